"""The worker as gunicorn runs it: signals, replacement, and the end of the main process."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hosting.crews import GET, Caller, get
from tests.served import free_port

pytestmark = pytest.mark.slow


class Program:
    """A running gunicorn."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.port = free_port()
        self.settings = {"bind": f"127.0.0.1:{self.port}", "threads": 2, "control_socket_disable": True, **settings}
        self.log = folder / "log"
        self.callers: list[Caller] = []
        command = [sys.executable, "-m", "tests.hosting.process", json.dumps(self.settings)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stderr=log)
        wait_until(self.answers)

    def connect(self) -> Caller:
        caller = Caller(self._connected())
        self.callers.append(caller)
        return caller

    def _connected(self) -> socket.socket:
        bind = str(self.settings["bind"])
        if not bind.startswith("unix:"):
            return socket.create_connection(("127.0.0.1", self.port), timeout=60)
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(bind.removeprefix("unix:"))
        except OSError:
            sock.close()
            raise
        return sock

    def ask(self) -> int:
        """The process id of the worker."""
        return int(self.connect().send(GET).answer().body)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
        with contextlib.suppress(OSError, AssertionError):
            return self.ask() > 0
        return False

    def stall(self, count: int = 1) -> list[Caller]:
        """So many stalled requests."""
        callers = []
        for _ in range(count):
            (self.folder / "stalled").unlink(missing_ok=True)
            callers.append(self.connect().send(get("/stalled")))
            wait_until((self.folder / "stalled").exists)
        return callers

    def let_go(self) -> None:
        """Let what is stalled go on."""
        (self.folder / "go-on").touch()


Start = Callable[..., Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    programs: list[Program] = []

    def started(**settings: Any) -> Program:
        programs.append(Program(tmp_path, **settings))
        return programs[-1]

    yield started
    for program in programs:
        program.let_go()
        for caller in program.callers:
            caller.close()
        program.process.terminate()
        program.process.wait(60)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("count", [1, 2])
def test_a_stop_waits_for_what_is_stalled_even_if_every_thread_is(start: Start, count: int) -> None:
    program = start(graceful_timeout=60)
    worker = program.ask()
    stalled = program.stall(count)
    program.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "Handling signal: term" in program.log.read_text(encoding="utf-8"))
    program.let_go()
    answers = [caller.answer() for caller in stalled]
    assert {(each.status, int(each.body)) for each in answers} == {(200, worker)}
    for caller in program.callers:
        caller.close()
    assert program.process.wait(60) == 0
    assert is_gone(worker)


def test_a_stop_waits_no_longer_than_agreed(start: Start) -> None:
    program = start(graceful_timeout=1)
    program.stall(2)
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(60) == 0


def test_a_quick_stop_waits_for_nobody(start: Start) -> None:
    program = start(graceful_timeout=60)
    program.stall(2)
    program.process.send_signal(signal.SIGQUIT)
    assert program.process.wait(30) == 0


def test_after_enough_requests_the_worker_is_replaced_and_every_request_is_answered(start: Start) -> None:
    program = start(max_requests=5)
    first = program.ask()
    wait_until(lambda: program.ask() != first)
    wait_until(lambda: is_gone(first))
    assert "Autorestarting worker after" in program.log.read_text(encoding="utf-8")


def test_a_worker_that_ends_over_a_mistake_of_its_own_is_replaced_at_once(start: Start) -> None:
    program = start(timeout=600)
    worker = program.ask()
    assert program.connect().send(get("/mistake")).answer().status == 200
    wait_until(lambda: program.answers() and program.ask() != worker)


def test_a_worker_ends_when_its_parent_has(start: Start) -> None:
    program = start()
    worker = program.ask()
    program.process.kill()
    program.process.wait(60)
    wait_until(lambda: is_gone(worker) or "Parent changed" in program.log.read_text(encoding="utf-8"))


def test_a_worker_whose_every_thread_is_stalled_for_too_long_is_replaced_and_one_with_a_thread_left_is_not(
    start: Start,
) -> None:
    program = start(timeout=3)
    first = program.ask()
    program.stall(1)
    before = time.monotonic()
    while time.monotonic() < before + 5:
        assert program.ask() == first
        time.sleep(0.5)
    program.connect().send(get("/stalled"))
    wait_until(lambda: "WORKER TIMEOUT" in program.log.read_text(encoding="utf-8"))
    wait_until(lambda: program.ask() != first)


def test_it_speaks_over_a_unix_socket(start: Start, tmp_path: Path) -> None:
    program = start(bind=f"unix:{tmp_path}/sock")
    assert program.ask() > 0


def test_a_stop_closes_what_has_asked_nothing(start: Start) -> None:
    program = start(graceful_timeout=60)
    silent, kept = program.connect(), program.connect()
    assert kept.send(GET).answer().status == 200
    program.process.send_signal(signal.SIGTERM)
    assert (silent.rest(), kept.rest()) == (b"", b"")
    assert program.process.wait(60) == 0
