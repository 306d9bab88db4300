"""A token for everybody in a program who needs it, asked for once."""

import asyncio
import contextlib
import copy
import logging
import os
import pickle
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from authserver.client import AsyncTokenClient, CallRefused, IssuedToken, NoAnswer, TokenClient
from authserver.client.chain import EXPLICIT, State
from authserver.client.failures import CallFailed, NoIdentity
from authserver.client.supplier import Offer
from tests.client.cloud import IDENTITY, RESOURCE, Cloud, Said, Workload


@pytest.fixture
def client(cloud: Cloud) -> TokenClient:
    return TokenClient(issuer=cloud.issuer, resource=RESOURCE, scope="images:read", identity=Workload())


def in_threads(number: int, call: Callable[[], str]) -> list[str]:
    """What as many threads get that all begin together."""
    together, got = threading.Barrier(number), list[str]()

    def run() -> None:
        together.wait()
        got.append(call())

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


def test_fifty_threads_that_ask_at_the_same_moment_cause_one_exchange(cloud: Cloud, client: TokenClient) -> None:
    """Contract section 6: one flight."""
    got = in_threads(50, client.get_token)
    assert len(got) == 50
    assert set(got) == cloud.valid
    assert (cloud.metadata, cloud.exchanges) == (1, 1)


def test_five_hundred_tasks_that_ask_at_the_same_moment_cause_one_exchange(cloud: Cloud) -> None:
    """Contract section 6: one flight, and the event loop is not held up by it."""
    client = AsyncTokenClient(issuer=cloud.issuer, resource=RESOURCE, identity=Workload())
    cloud.gate.clear()

    async def all_at_once() -> list[str]:
        tasks = [asyncio.create_task(client.get_token()) for _ in range(500)]
        while not cloud.asked.is_set():
            await asyncio.sleep(0.001)
        assert not any(task.done() for task in tasks)
        cloud.gate.set()
        return await asyncio.gather(*tasks)

    before = threading.active_count()
    got = asyncio.run(all_at_once())
    assert len(got) == 500
    assert set(got) == cloud.valid
    assert cloud.exchanges == 1
    assert threading.active_count() <= before + 3  # the flight, and what serves it


def test_one_client_serves_several_event_loops_one_after_the_other(cloud: Cloud) -> None:
    client = AsyncTokenClient(issuer=cloud.issuer, resource=RESOURCE, identity=Workload())
    assert asyncio.run(client.get_token()) == asyncio.run(client.get_token())
    assert cloud.exchanges == 1


def test_a_task_that_is_cancelled_and_a_loop_that_is_closed_disturb_nobody(cloud: Cloud) -> None:
    client = AsyncTokenClient(issuer=cloud.issuer, resource=RESOURCE, identity=Workload())
    cloud.gate.clear()

    async def impatient() -> None:
        cancelled = asyncio.create_task(client.get_token())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.get_token(), 0.01)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)

    asyncio.run(impatient())
    cloud.gate.set()
    assert asyncio.run(client.get_token()) in cloud.valid
    assert cloud.exchanges == 1


def test_making_a_client_asks_nobody(cloud: Cloud, client: TokenClient) -> None:
    assert (cloud.metadata, cloud.exchanges) == (0, 0)
    assert repr(client) == f"TokenClient(issuer={cloud.issuer!r}, resource='{RESOURCE}')"


@pytest.mark.parametrize("wrong", [{"issuer": "auth.example.com"}, {"deadline": 0}])
def test_a_client_that_cannot_work_is_not_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"URL|deadline"):
        TokenClient(**{"issuer": "https://auth.example.com", "resource": RESOURCE, **wrong})


def test_a_server_that_hangs_is_waited_for_no_longer_than_the_deadline(cloud: Cloud) -> None:
    cloud.gate.clear()
    client = TokenClient(issuer=cloud.issuer, resource=RESOURCE, identity=Workload(), deadline=0.2)
    started = time.monotonic()
    with pytest.raises(NoAnswer):
        client.get_token()
    assert time.monotonic() - started < 5


def test_a_server_that_stumbles_once_is_asked_again(cloud: Cloud, client: TokenClient) -> None:
    cloud.exchange_plans = [Said(503)]
    assert client.get_token() in cloud.valid
    assert cloud.exchanges == 2


def test_what_was_refused_is_not_asked_again(cloud: Cloud, client: TokenClient) -> None:
    cloud.exchange_plans = [Said(400, {}, {"error": "invalid_grant"})]
    for _ in range(3):
        with pytest.raises(CallRefused, match="invalid_grant"):
            client.get_token()
    assert cloud.exchanges == 1


def test_a_credential_that_was_refused_is_shown_again_only_after_a_while_and_another_one_at_once(cloud: Cloud) -> None:
    now = [1000.0]
    workload = Workload("one", "one", "one", "two", "one", "one")
    client = TokenClient(issuer=cloud.issuer, resource=RESOURCE, identity=workload, uptime=lambda: now[0])
    cloud.exchange_plans = [Said(400, {}, {"error": "invalid_grant"})] * 2
    for _ in range(2):
        with pytest.raises(CallRefused):
            client.get_token()
        now[0] += 61
    assert (workload.offers, cloud.exchanges) == (2, 1)
    for _ in range(2):  # the third offer is the same, the fourth is another
        with pytest.raises(CallRefused):
            client.get_token()
        now[0] += 61
    assert (workload.offers, cloud.exchanges) == (4, 2)
    assert client.get_token() in cloud.valid


def test_a_credential_that_was_refused_is_shown_again_in_the_end(cloud: Cloud) -> None:
    now = [1000.0]
    client = TokenClient(issuer=cloud.issuer, resource=RESOURCE, identity=Workload(), uptime=lambda: now[0])
    cloud.exchange_plans = [Said(400, {}, {"error": "invalid_grant"})]
    with pytest.raises(CallRefused):
        client.get_token()
    now[0] += 301
    assert client.get_token() in cloud.valid


class Mistaken(Workload):
    """A supplier with a mistake in it."""

    def offer(self, now: float) -> Offer:
        raise KeyError(IDENTITY, now)


def test_a_mistake_of_a_supplier_reaches_everybody_who_waits_without_its_text(cloud: Cloud) -> None:
    client = TokenClient(issuer=cloud.issuer, resource=RESOURCE, identity=Mistaken())
    with pytest.raises(CallFailed, match="failed with KeyError") as failed:
        client.get_token()
    assert "at test_token_client.py:" in str(failed.value)
    shown = "".join(traceback.TracebackException.from_exception(failed.value, capture_locals=True).format())
    assert "client = TokenClient(" in shown
    assert IDENTITY not in shown


def test_a_failure_is_raised_anew_for_each_caller(cloud: Cloud, client: TokenClient) -> None:
    cloud.exchange_plans = [Said(400, {}, {"error": "invalid_grant", "request_id": "r-1"})]
    caught = []
    for _ in range(2):
        with pytest.raises(CallRefused) as refused:
            client.get_token()
        caught.append(refused.value)
    assert caught[0] is not caught[1]
    assert [(each.status, each.request_id, str(each)) for each in caught] == [
        (400, "r-1", "invalid_grant (request r-1)")
    ] * 2


SECRETS = {"of another type": "a-token-of-another-type", "without an end": "a-token-without-an-end"}
FAILURES = {
    "away": Said(503, {"Retry-After": "60"}),
    "refused": Said(400, {}, {"error": "invalid_grant"}),
    "of another type": Said(200, {}, {"access_token": SECRETS["of another type"], "token_type": "mac"}),
    "without an end": Said(200, {}, {"access_token": SECRETS["without an end"], "token_type": "Bearer"}),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_no_credential_is_in_a_traceback_with_its_variables_or_in_the_log(
    failure: str, cloud: Cloud, client: TokenClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    cloud.exchange_plans = [FAILURES[failure]]
    with pytest.raises(CallFailed) as failed:
        client.get_token()
    cloud.exchange_plans = []
    for flight in [each for each in threading.enumerate() if each.name == "access-token"]:
        flight.join(20)
    assert "no access token" in caplog.text
    shown = "".join(traceback.TracebackException.from_exception(failed.value, capture_locals=True).format())
    assert "client = TokenClient(" in shown
    found = [name for name, secret in {**SECRETS, "identity": IDENTITY}.items() if secret in shown + caplog.text]
    assert found == []


def test_a_token_is_neither_printed_nor_copied_nor_pickled(cloud: Cloud, client: TokenClient) -> None:
    token = client.token()
    assert isinstance(token, IssuedToken)
    for held in (client, client.auth(), token):
        assert token.value not in repr(held)
        for spread in (pickle.dumps, copy.copy, copy.deepcopy):
            if held is token or spread is not copy.copy:
                with pytest.raises(TypeError, match=r"neither copied nor pickled"):
                    spread(held)
    assert token.value in cloud.valid


def test_the_chain_says_what_was_looked_for(cloud: Cloud, client: TokenClient) -> None:
    first = client.explain()[0]
    assert (first.name, first.state) == (EXPLICIT, State.USED)
    assert cloud.exchanges == 0


def test_without_anything_that_vouches_for_the_program_there_is_no_token(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in list(os.environ):
        if name.startswith(("AUTHSERVER_", "KUBERNETES_", "ACTIONS_", "GITLAB_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AUTHSERVER_HOME", str(tmp_path))
    client = TokenClient(issuer=cloud.issuer, resource=RESOURCE, environment="production")
    with pytest.raises(NoIdentity):
        client.get_token()
    assert {link.state for link in client.explain()} == {State.SKIPPED}
    monkeypatch.setenv("AUTHSERVER_IDENTITY_TOKEN", IDENTITY)
    assert {link.state for link in client.explain()} != {State.SKIPPED}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_during_a_flight_while_the_lock_is_held_leaves_the_child_able_to_ask(
    cloud: Cloud, client: TokenClient
) -> None:
    cloud.gate.clear()
    parent = threading.Thread(target=client.get_token)
    parent.start()
    assert cloud.asked.wait(20)
    with client._renewal._lock:
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                os._exit(0 if client.get_token() else 1)
            os._exit(2)
    give_up = time.monotonic() + 20
    while cloud.exchanges < 2 and time.monotonic() < give_up:
        time.sleep(0.005)
    cloud.gate.set()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    parent.join(20)
    assert cloud.exchanges == 2


PROGRAM = """
import sys, threading
from authserver.client import TokenClient
from tests.client.cloud import Workload
client = TokenClient(issuer=sys.argv[1], resource="r", identity=Workload(), deadline=60)
threading.Thread(target=client.get_token, daemon=True).start()
sys.stdin.read(1)
"""


def test_a_flight_holds_up_no_program_that_ends(cloud: Cloud) -> None:
    cloud.gate.clear()
    with subprocess.Popen([sys.executable, "-c", PROGRAM, cloud.issuer], stdin=subprocess.PIPE) as program:
        assert cloud.asked.wait(30)
        program.communicate(b"x", timeout=10)
    assert program.returncode == 0
