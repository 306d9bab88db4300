"""What a hostile or unlucky environment does to a running server."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from authserver.testing import FakeIssuer
from tests.live.test_rotation import CachingVerifier
from tests.served import Server, ask, exchange_form, serving, write_configuration

pytestmark = pytest.mark.slow

ES256: dict[str, Any] = {"keys": 'algorithms = ["ES256"]', "reports": ""}


def connect(server: Server) -> socket.socket:
    """A connection to the server."""
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def replace_a_worker(server: Server) -> None:
    """Kill one worker, and return when another has taken its place."""
    before = server.workers()
    os.kill(before[0], signal.SIGKILL)
    deadline = time.monotonic() + 30
    while before[0] in server.workers() or len(server.workers()) < server.worker_count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.usefixtures("either_server")
def test_clients_that_send_slowly_or_nothing_keep_nobody_waiting(
    tmp_path: Path, cluster: FakeIssuer, identity: str
) -> None:
    with serving(tmp_path, cluster=cluster.issuer, **ES256) as server:
        assert server.token(identity).status == 200
        idle = [connect(server) for _ in range(50)]
        assert server.token(identity).status == 200
        slow = [connect(server) for _ in range(20)]
        for position, connection in enumerate(slow):
            head = b"POST /token HTTP/1.1\r\nHost: x\r\n"
            connection.sendall(head if position % 2 else head + b"Content-Length: 100\r\n\r\nabc")
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.2):
                for connection in slow[1::2]:
                    try:
                        connection.sendall(b"X")
                    except OSError:
                        return

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            # Twenty requests that never end, and eight threads.
            for _ in range(10):
                assert ask("GET", f"{server.url}/livez").status == 200
                assert ask("POST", f"{server.url}/token", form=exchange_form(identity)).status == 200
        finally:
            stop.set()
            dripping.join()
            for connection in (*idle, *slow):
                connection.close()


@pytest.mark.usefixtures("either_server")
def test_a_worker_that_finds_no_store_begins_none_and_is_unready_until_it_is_back(
    tmp_path: Path, cluster: FakeIssuer, identity: str
) -> None:
    with serving(tmp_path, cluster=cluster.issuer, workers=2, **ES256) as server:
        before = {key["kid"] for key in ask("GET", f"{server.url}/.well-known/jwks.json").json["keys"]}
        store, away = tmp_path / "authserver.db", tmp_path / "away.db"
        store.rename(away)
        replace_a_worker(server)
        replace_a_worker(server)
        assert server.process is not None
        assert server.process.poll() is None
        assert not store.exists()
        answer = server.token(identity)
        assert (answer.status, answer.json["error"]) in ((200, None), (503, "temporarily_unavailable"))
        away.rename(store)
        deadline = time.monotonic() + 30
        while server.token(identity).status != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        header, _ = CachingVerifier(server.url).verify(server.token(identity).json["access_token"])
        assert header["kid"] in before


@pytest.mark.usefixtures("either_server")
def test_a_worker_that_is_replaced_decides_by_the_rules_the_server_started_with(
    tmp_path: Path, cluster: FakeIssuer, identity: str
) -> None:
    with serving(tmp_path, cluster=cluster.issuer, workers=2, **ES256) as server:
        text = server.configuration.read_text(encoding="utf-8")
        wider = text.replace('scope = ["images:read"]', 'scope = ["images:read", "images:write"]', 1)
        assert wider != text
        server.configuration.write_text(wider, encoding="utf-8")
        replace_a_worker(server)
        replace_a_worker(server)
        assert {server.token(identity, scope="images:write").status for _ in range(20)} == {400}
        server.configuration.write_text(text + "\n[oops]\n", encoding="utf-8")
        replace_a_worker(server)
        assert server.token(identity).status == 200


@pytest.mark.usefixtures("either_server")
def test_readiness_answers_at_once_while_the_store_is_locked(
    tmp_path: Path, cluster: FakeIssuer, identity: str
) -> None:
    with serving(tmp_path, cluster=cluster.issuer, **ES256) as server:
        assert server.token(identity).status == 200
        locker = sqlite3.connect(tmp_path / "authserver.db", isolation_level=None)
        locker.execute("BEGIN IMMEDIATE")
        try:
            degraded: list[str] = []
            deadline = time.monotonic() + 30
            while degraded != ["store"]:
                assert time.monotonic() < deadline
                # Each must answer well before the five seconds that a write waits for the lock.
                degraded = ask("GET", f"{server.url}/readyz", timeout=4.0).json["degraded"]
            assert server.token(identity).status == 200
        finally:
            locker.execute("ROLLBACK")
            locker.close()


def test_an_address_that_is_none_and_a_closed_standard_output_are_refused_at_once(
    tmp_path: Path, cluster: FakeIssuer
) -> None:

    configuration = write_configuration(tmp_path, cluster=cluster.issuer, **ES256)
    command = [sys.executable, "-m", "authserver", "serve", "--config", str(configuration)]
    for bind in ("nonsense", "0.0.0.0", "unix:x.sock"):
        done = subprocess.run([*command, "--bind", bind], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2, bind
        assert "host:port" in done.stderr
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command], stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    assert closed.returncode == 1
    assert "Standard output is closed" in closed.stderr


@pytest.mark.usefixtures("either_server")
def test_what_is_refused_before_any_endpoint_is_on_record_under_its_id(tmp_path: Path, cluster: FakeIssuer) -> None:
    with serving(tmp_path, cluster=cluster.issuer, **ES256) as server:
        ids = [ask("GET", server.url + path).json["request_id"] for path in ("/nothing", "/token")]
        for raw in (
            b"POST /token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nSECRETBYTES",
            b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\ngrant_type=a",
        ):
            with connect(server) as connection:
                connection.sendall(raw)
                connection.shutdown(socket.SHUT_WR)
                answer = b""
                while chunk := connection.recv(65536):
                    answer += chunk
            assert b" 400 " in answer.split(b"\r\n")[0]
            if found := re.search(rb'"request_id":"([0-9a-f]+)"', answer):
                ids.append(found[1].decode())
        server.stop()
        output = server.read_output()
    assert len(ids) >= 3
    assert all(request_id in output for request_id in ids)
    assert "Traceback" not in output
    assert "SECRETBYTES" not in output
