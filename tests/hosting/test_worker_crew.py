"""Who leads, and what becomes of those that are stalled."""

import errno
import logging
import signal
import socket
import threading
import time
from collections.abc import Iterable
from typing import Any

import pytest

from tests.hosting.crews import GET, Served, get, served


class Stalling:
    """An application that answers ``/stalled/...`` only when it is let go, and everything else at once."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.threads: dict[str, str] = {}

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        self.threads[path] = threading.current_thread().name
        if path.startswith("/stalled"):
            self.begun.release()
            assert self.go_on.wait(60)
        start("200 OK", [])
        return [path.encode("ascii")]

    def wait_for(self, count: int) -> None:
        """Return when so many more are stalled."""
        for _ in range(count):
            assert self.begun.acquire(timeout=60)


@pytest.fixture
def application() -> Stalling:
    return Stalling()


def stall(serving: Served, application: Stalling, count: int) -> list[Any]:
    """So many connections with a request that is stalled."""
    callers = [serving.call().send(get(f"/stalled/{number}")) for number in range(count)]
    application.wait_for(count)
    return callers


def test_requests_in_a_row_are_answered_by_one_thread(application: Stalling) -> None:
    with served(application, let_go=application.go_on.set) as serving:
        caller = serving.call()
        for number in range(20):
            assert caller.send(get(f"/{number}")).answer().body == f"/{number}".encode("ascii")
    # A machine that is busy enough may take the lead from a thread that is only slow; it is never two for each.
    assert len(set(application.threads.values())) < 20


@pytest.mark.parametrize("count", [1, 3])
def test_a_stalled_request_leaves_the_others_to_another_thread(application: Stalling, count: int) -> None:
    with served(application, threads=4, let_go=application.go_on.set) as serving:
        stalled = stall(serving, application, count)
        for number in range(10):
            assert serving.ask(get(f"/{number}")).body == f"/{number}".encode("ascii")
        application.go_on.set()
        for number, caller in enumerate(stalled):
            assert caller.answer().body == f"/stalled/{number}".encode("ascii")
            assert caller.send(get("/again")).answer().body == b"/again"


def test_while_every_thread_is_stalled_the_next_request_waits_and_none_is_lost(application: Stalling) -> None:
    with served(application, threads=3, let_go=application.go_on.set) as serving:
        stalled = stall(serving, application, 3)
        waiting = [serving.call().send(get(f"/{number}")) for number in range(5)]
        application.go_on.set()
        assert [caller.answer().status for caller in stalled + waiting] == [200] * 8
        assert {caller.send(get("/again")).answer().body for caller in stalled + waiting} == {b"/again"}


def test_stalls_come_and_go_and_every_thread_is_there_again(application: Stalling) -> None:
    with served(application, threads=3, let_go=application.go_on.set) as serving:
        for _ in range(3):
            application.go_on.clear()
            stalled = stall(serving, application, 2)
            assert serving.ask(get("/meanwhile")).body == b"/meanwhile"
            application.go_on.set()
            assert [caller.answer().status for caller in stalled] == [200, 200]


def test_what_follows_a_stalled_request_on_its_connection_waits_for_it(application: Stalling) -> None:
    with served(application, let_go=application.go_on.set) as serving:
        caller = serving.call().send(get("/stalled/first") + get("/second") + get("/third"))
        application.wait_for(1)
        caller.send(get("/fourth"))
        assert serving.ask(get("/meanwhile")).body == b"/meanwhile"
        assert "/second" not in application.threads
        application.go_on.set()
        assert [caller.answer().body for _ in range(4)] == [b"/stalled/first", b"/second", b"/third", b"/fourth"]


def test_requests_that_came_together_may_stall_one_after_another() -> None:
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def stalling(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/stalled":
            begun.release()
            assert go_on.acquire(timeout=60)
        start("200 OK", [])
        return []

    with served(stalling, let_go=lambda: go_on.release(9)) as serving:
        caller = serving.call().send(get("/stalled") * 3)
        for _ in range(3):
            assert begun.acquire(timeout=60)
            assert serving.ask().status == 200  # so another thread leads by now
            go_on.release()
            assert caller.answer().status == 200


@pytest.mark.parametrize("reset", [False, True])
def test_a_caller_that_leaves_while_its_request_is_stalled_harms_nobody(application: Stalling, reset: bool) -> None:
    with served(application, let_go=application.go_on.set) as serving:
        for caller in stall(serving, application, 2):
            if reset:
                caller.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            caller.close()
        assert serving.ask().status == 200
        application.go_on.set()
        for _ in range(5):
            assert serving.ask().status == 200


@pytest.mark.parametrize("error", [RuntimeError("CREDENTIAL"), SystemExit(1)])
def test_whatever_an_application_raises_is_500_and_the_next_request_is_answered(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        start("200 OK", [])
        if environ["PATH_INFO"] == "/fails":
            raise error
        return [b"fine"]

    with served(failing) as serving:
        caller = serving.call().send(get("/fails"))
        answer = caller.answer()
        assert (answer.status, answer.headers["Connection"], caller.rest()) == (500, "close", b"")
        assert serving.ask().body == b"fine"
    assert [each.message for each in caplog.records] == ["a request failed outside of every endpoint"]


def test_a_mistake_of_the_workers_own_costs_one_connection(
    application: Stalling, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with served(application, let_go=application.go_on.set) as serving:
        for method in ("advance", "work"):
            with monkeypatch.context() as patch:
                patch.setattr(f"authserver.hosting.connection.Connection.{method}", _mistaken)
                assert serving.call().send(GET).rest() == b""
            assert serving.ask().status == 200
    messages = [each.message for each in caplog.records if each.levelno == logging.ERROR]
    assert messages == ["a connection ends over a mistake of the worker's own"] * 2


def test_a_mistake_that_leaves_nobody_to_lead_ends_the_worker_and_is_on_record(
    application: Stalling, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with served(application, let_go=application.go_on.set) as serving:
        caller = serving.call()
        assert caller.send(GET).answer().status == 200
        monkeypatch.setattr(serving.crew, "_listen", _mistaken)
        serving.call().close()
        assert serving.crew.ended.wait(60)
        assert caller.rest() == b""
    assert [each.message for each in caplog.records] == ["the worker ends over a mistake of its own"]


class Reluctant(socket.socket):
    """A listener that has nothing to accept at first, and then no file for it."""

    errors: tuple[OSError, ...] = (
        BlockingIOError(),
        ConnectionAbortedError(),
        OSError(errno.EMFILE, "too many open files"),
    )

    def accept(self) -> tuple[socket.socket, Any]:
        if self.errors:
            error, self.errors = self.errors[0], self.errors[1:]
            raise error
        return super().accept()


@pytest.mark.slow
def test_while_no_connection_can_be_accepted_callers_wait(
    application: Stalling, caplog: pytest.LogCaptureFixture
) -> None:
    with Reluctant() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with served(application, listener=listener) as serving:
            caller = serving.call().send(GET)
            while not caplog.records:
                time.sleep(0.001)
            serving.clock.now += 2
            assert caller.answer().status == 200
    assert [each.message for each in caplog.records] == ["no connection can be accepted"]


def _mistaken(*_arguments: object) -> None:
    raise RuntimeError("a mistake")


def test_the_heart_beats_while_requests_are_stalled_and_not_when_all_are(application: Stalling) -> None:
    with served(application, threads=2, let_go=application.go_on.set) as serving:
        stall(serving, application, 1)
        serving.pass_time(1.5, stalled=1)
        stall(serving, application, 1)
        while serving.pulses.acquire(blocking=False):
            pass
        serving.clock.now += 100
        serving.call().close()
        application.go_on.set()
        assert serving.pulses.acquire(timeout=60)


@pytest.mark.slow
def test_a_stop_answers_what_was_asked_and_closes_what_was_not(application: Stalling) -> None:
    with served(application, let_go=application.go_on.set) as serving:
        idle = serving.call()
        kept = serving.call()
        assert kept.send(get("/kept")).answer().headers["Connection"] == "keep-alive"
        (stalled,) = stall(serving, application, 1)
        half = serving.call().send(b"GET /half HTTP/1.1\r\n")
        serving.ask()
        serving.crew.stop()
        answer = kept.send(get("/once-more")).answer()
        assert (answer.body, answer.headers["Connection"]) == (b"/once-more", "close")
        half.send(b"\r\n")
        answer = half.answer()
        assert (answer.body, answer.headers["Connection"]) == (b"/half", "close")
        serving.clock.now += 3
        assert idle.rest() == b""
        assert not serving.crew.ended.is_set()
        application.go_on.set()
        answer = stalled.answer()
        assert (answer.status, stalled.rest()) == (200, b"")
        for caller in serving.callers:
            caller.close()
        assert serving.crew.ended.wait(60)


def test_signals_are_left_to_the_main_thread() -> None:
    masks: list[set[Any]] = []

    def looking(_environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))
        start("200 OK", [])
        return []

    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with served(looking) as serving:
        assert serving.ask().status == 200
    assert signal.SIGTERM in masks[0]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_more_connections_than_agreed_wait_until_others_have_ended(application: Stalling) -> None:
    with served(application, most=2) as serving:
        first, second = serving.call(), serving.call()
        assert first.send(get("/first")).answer().status == 200
        assert second.send(get("/second")).answer().headers["Connection"] == "close"
        third = serving.call().send(get("/third"))
        second.close()
        assert third.answer().body == b"/third"


def test_connections_that_ask_nothing_give_way_when_there_is_no_room(application: Stalling) -> None:
    with served(application, most=2) as serving:
        idle = [serving.call(), serving.call()]
        while len(serving.crew._connections) < 2:
            time.sleep(0.001)
        waiting = serving.call().send(get("/waiting"))
        serving.clock.now += 3
        serving.crew._ring()
        assert waiting.answer().body == b"/waiting"
        assert [caller.rest() for caller in idle] == [b"", b""]


def test_connections_that_ask_nothing_stay_while_there_is_room(application: Stalling) -> None:
    with served(application, most=3) as serving:
        idle = serving.call()
        assert idle.send(get("/first")).answer().status == 200
        serving.pass_time(60)
        assert idle.send(get("/second")).answer().status == 200
