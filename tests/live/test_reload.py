"""A new configuration for a server that runs, by SIGHUP and by ``authserver reload``, with traffic all the while."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import urllib3

from authserver.testing import FakeIssuer
from tests.served import Server, ask, exchange_form, free_port, serving, write_configuration

pytestmark = pytest.mark.slow

ES256: dict[str, Any] = {"keys": 'algorithms = ["ES256"]', "reports": ""}
EXPECT = """
[[expect]]
name = "the thumbnailer writes"
source = "cluster"
claims = {{ namespace = "media", service_account = "thumbnailer" }}
resource = "https://images.example.com"
scope = ["images:write"]
decision = "{decision}"
"""

TRY_OUT = """
import sys
from pathlib import Path
from authserver.hosting.reload import NotTaken, try_out
from authserver.keys.wrapping import MasterKeys
from authserver.settings import load

try:
    try_out(load(Path(sys.argv[1])), MasterKeys(bytes(32)))
except NotTaken as refused:
    print((refused.outcome, refused.problems))
"""


@pytest.fixture
def server(tmp_path: Path, cluster: FakeIssuer) -> Iterator[Server]:
    with serving(tmp_path, cluster=cluster.issuer, workers=2, telemetry=free_port(), **ES256) as running:
        yield running


def reload(configuration: Path) -> subprocess.CompletedProcess[str]:
    """``authserver reload``, to its end."""
    command = [sys.executable, "-m", "authserver", "reload", "--config", str(configuration)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def with_more(server: Server, more: str = "", *, write: bool = False) -> None:
    """Edit the configuration: the first one, with ``more`` at its end, and with a rule that is wider."""
    kept = server.configuration.with_suffix(".first")
    if not kept.exists():
        kept.write_bytes(server.configuration.read_bytes())
    text = kept.read_text(encoding="utf-8")
    if write:
        text = text.replace('scope = ["images:read"]', 'scope = ["images:read", "images:write"]', 1)
    server.configuration.write_text(text + more, encoding="utf-8")


def taken(server: Server) -> bool:
    """What the metrics say of the last reload."""
    address = next(
        line.split('"')[1]
        for line in server.configuration.read_text(encoding="utf-8").partition("[telemetry]")[2].splitlines()
        if line.startswith("bind")
    )
    deadline = time.monotonic() + 30
    while True:  # another worker may be about to take the address over
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            served = ask("GET", f"http://{address}/metrics").body.decode()
            return "authserver_last_reload_taken 1.0" in served.splitlines()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def may_write(server: Server, identity: str) -> set[int]:
    return {server.token(identity, scope="images:write").status for _ in range(10)}


@pytest.mark.usefixtures("either_server")
def test_a_good_configuration_is_taken_by_every_worker_before_the_command_ends(server: Server, identity: str) -> None:
    before = set(server.workers())
    assert may_write(server, identity) == {400}
    with_more(server, EXPECT.format(decision="allow"), write=True)
    done = reload(server.configuration)
    # Not on standard output, which is the audit log where a unit of systemd reloads.
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "The configuration was taken.\n")
    assert not before & set(server.workers())
    assert may_write(server, identity) == {200}
    assert taken(server)


@pytest.mark.usefixtures("either_server")
def test_a_broken_file_is_refused_with_every_problem_and_the_workers_stay(server: Server, identity: str) -> None:
    before = server.workers()
    with_more(server, "\n[oops]\n\n[tokens]\nlifetime = 5\n", write=True)
    done = reload(server.configuration)
    assert done.returncode == 78
    assert "The configuration was not taken; the last good one stays in use." in done.stderr
    assert "oops" in done.stderr
    assert "tokens.lifetime" in done.stderr
    assert server.workers() == before
    assert may_write(server, identity) == {400}
    assert not taken(server)
    logged = [json.loads(line) for line in server.read_output().splitlines() if "was not reloaded" in line]
    assert [line["level"] for line in logged] == ["error"]
    assert "oops" in str(logged[0]["problems"])
    assert "tokens.lifetime" in str(logged[0]["problems"])
    with_more(server)
    assert reload(server.configuration).returncode == 0
    assert taken(server)


def test_a_policy_test_that_fails_keeps_the_new_rules_out(server: Server, identity: str) -> None:
    before = server.workers()
    with_more(server, EXPECT.format(decision="deny"), write=True)
    done = reload(server.configuration)
    assert done.returncode == 1
    assert "expect 'the thumbnailer writes': expected: deny, decided: allowed images:write" in done.stderr
    assert server.workers() == before
    assert may_write(server, identity) == {400}


def test_a_master_key_that_does_not_open_the_ring_keeps_the_old_one_in_use(server: Server, identity: str) -> None:
    key = server.configuration.with_name("master.key")
    key.rename(key.with_name("kept.key"))
    key.write_bytes(b"A" * 43 + b"\n")
    done = reload(server.configuration)
    assert done.returncode == 78
    assert "no configured master key opens" in done.stderr
    assert server.token(identity).status == 200


def test_what_only_a_start_would_notice_is_tried_before_any_worker_is_replaced(server: Server) -> None:
    """gunicorn ends a server whose workers fail to start."""
    command = [sys.executable, "-c", TRY_OUT, str(server.configuration)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "('failed', ('a process could not start with it; the log says why',))\n", done.stderr
    assert "no configured master key opens" in done.stderr


@pytest.mark.usefixtures("either_server")
def test_nobody_is_refused_while_one_reload_follows_the_other(server: Server, identity: str) -> None:
    """Each caller keeps its connection, and opens another when the server has closed it in the meantime."""
    answers: Counter[int | str] = Counter()
    done = threading.Event()
    callers = [threading.Thread(target=call, args=(server, identity, answers, done)) for _ in range(4)]
    for caller in callers:
        caller.start()
    try:
        for number in range(4):
            with_more(server, "\n[oops]\n" if number % 2 else "")
            assert reload(server.configuration).returncode == (78 if number % 2 else 0)
            until_answered_again(answers)
    finally:
        done.set()
        for caller in callers:
            caller.join(60)
    assert set(answers) == {200}, answers


def until_answered_again(answers: Counter[int | str]) -> None:
    """Return when some callers were answered once more."""
    enough, deadline = answers.total() + 10, time.monotonic() + 120
    while answers.total() < enough:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def call(server: Server, identity: str, answers: Counter[int | str], done: threading.Event) -> None:
    """Ask for tokens one after the other, and count what is answered."""
    # A connection may be closed at the moment at which a request is sent on it (RFC 9112 section 9.5). An exchange does
    # no harm when it is made twice, so it is sent once more.
    pool = urllib3.PoolManager(retries=urllib3.Retry(1, connect=0, status=0, allowed_methods=None), timeout=30.0)
    while not done.is_set():
        try:
            response = pool.request(
                "POST", f"{server.url}/token", fields=exchange_form(identity), encode_multipart=False
            )
            answers[response.status] += 1
        except urllib3.exceptions.HTTPError as error:
            answers[type(error).__name__] += 1
    pool.clear()


@pytest.mark.usefixtures("either_server")
def test_whoever_connects_and_says_nothing_does_not_keep_an_old_worker(server: Server, identity: str) -> None:
    before = set(server.workers())
    host, port = server.url.removeprefix("http://").split(":")
    with contextlib.ExitStack() as silent:
        for _ in range(10):
            silent.enter_context(socket.create_connection((host, int(port)), timeout=60))
        assert server.token(identity).status == 200
        assert reload(server.configuration).returncode == 0
        assert not before & set(server.workers())


def test_two_who_ask_at_once_are_both_answered_about_the_file_as_they_left_it(server: Server, identity: str) -> None:
    with_more(server, write=True)
    with ThreadPoolExecutor(2) as both:
        codes = [done.returncode for done in both.map(reload, [server.configuration] * 2)]
    assert codes == [0, 0]
    assert may_write(server, identity) == {200}


def test_without_a_server_there_is_nothing_to_reload(tmp_path: Path, cluster: FakeIssuer) -> None:
    done = reload(write_configuration(tmp_path, cluster=cluster.issuer))
    assert done.returncode == 1
    assert "No server of this user runs here" in done.stderr


def test_a_server_that_was_killed_is_no_server(tmp_path: Path, cluster: FakeIssuer) -> None:
    with Server(write_configuration(tmp_path, cluster=cluster.issuer, **ES256)) as server:
        server.kill()
        assert reload(server.configuration).returncode == 1


@pytest.mark.usefixtures("either_server")
def test_sighup_does_the_same(server: Server, identity: str) -> None:
    before = set(server.workers())
    with_more(server, write=True)
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGHUP)
    deadline = time.monotonic() + 60
    while before & set(server.workers()) or len(server.workers()) != 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert may_write(server, identity) == {200}
