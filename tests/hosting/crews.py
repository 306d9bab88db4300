"""A crew of the worker in this process, and connections to it that read whole answers."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Self

from authserver.hosting.connection import Terms
from authserver.hosting.crew import Crew

LIMITS: Final = {"limit_request_line": 4096, "limit_request_fields": 64, "limit_request_field_size": 16_384}
GET: Final = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def get(path: str, *fields: str) -> bytes:
    """A request without a body."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *fields, "", ""]).encode("latin-1")


@dataclass
class Answer:
    """One answer, as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


class Caller:
    """A connection to a server."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._file = sock.makefile("rb")

    def send(self, data: bytes) -> Self:
        self.sock.sendall(data)
        return self

    def head(self) -> tuple[str, dict[str, str]]:
        """The status line and the header fields that come next; nothing at the end."""
        line = self._file.readline().decode("latin-1").rstrip("\r\n")
        fields = list(iter(lambda: self._file.readline().decode("latin-1").rstrip("\r\n"), "")) if line else []
        return line, dict(each.split(": ", 1) for each in fields)

    def answer(self, *, bare: bool = False) -> Answer:
        """The answer that comes next; ``bare`` if it has no body."""
        line, headers = self.head()
        assert line, "the connection ended"
        body = b"" if bare else self._file.read(int(headers["Content-Length"]))
        return Answer(int(line.split(" ")[1]), headers, body)

    def read(self, size: int) -> bytes:
        """So many bytes."""
        return self._file.read(size)

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        with contextlib.suppress(ConnectionResetError):
            return self._file.read()
        return b""

    def close(self) -> None:
        self._file.close()
        self.sock.close()


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Served:
    """A crew and its callers."""

    crew: Crew
    listener: socket.socket
    clock: Clock
    terms: Terms
    pulses: threading.Semaphore
    callers: list[Caller] = field(default_factory=list)

    def call(self) -> Caller:
        """A new connection."""
        caller = Caller(socket.create_connection(self.listener.getsockname(), timeout=60))
        self.callers.append(caller)
        return caller

    def ask(self, data: bytes = GET) -> Answer:
        """The answer to one request on a connection of its own."""
        return self.call().send(data).answer()

    def pass_time(self, seconds: float, *, stalled: int = 0) -> None:
        """Let time pass, and return when the crew has noticed. So many requests are stalled meanwhile."""
        self._settle(stalled)
        while self.pulses.acquire(blocking=False):
            pass
        self.clock.now += seconds
        self.call().close()  # which wakes it
        assert self.pulses.acquire(timeout=60)

    def _settle(self, stalled: int) -> None:
        """Return when all connections but those that are stalled are polled for: an answer comes before that is so."""
        deadline = time.monotonic() + 60
        while self.crew._away is not None or sum(not each.events for each in list(self.crew._connections)) > stalled:
            assert time.monotonic() < deadline
            time.sleep(0.001)


@contextlib.contextmanager
def served(
    application: Any,
    *,
    threads: int = 4,
    most: int = 100,
    let_go: Callable[[], None] = lambda: None,
    listener: socket.socket | None = None,
    **terms: Any,
) -> Iterator[Served]:
    """A crew that serves an application. ``let_go`` is called at the end, so that whatever is stalled goes on."""
    clock, pulses = Clock(), threading.Semaphore(0)
    with listener or socket.create_server(("127.0.0.1", 0)) as listener:
        agreed = Terms(application, terms.pop("environ", {}), 65.0, LIMITS, clock=clock, **terms)
        crew = Crew(agreed, [listener], threads=threads, most=most, pulse=pulses.release)
        before = set(threading.enumerate())
        crew.start()
        crews = [each for each in threading.enumerate() if each not in before]
        serving = Served(crew, listener, clock, agreed, pulses)
        try:
            yield serving
        finally:
            let_go()
            for caller in serving.callers:
                caller.close()
            crew.stop()
            assert crew.ended.wait(60)
            for thread in crews:
                thread.join(60)
                assert not thread.is_alive()
