"""One connection: what it waits for, and each step that it can take without waiting."""

import logging
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from http import HTTPStatus
from selectors import EVENT_READ, EVENT_WRITE
from typing import Final, cast

from authserver.hosting.answer import Application, collected, serialized
from authserver.hosting.environ import Environ, of_connection, of_request
from authserver.hosting.wire import CONTINUE, Incoming, NotARequest, plain

READ_DEADLINE: Final = 10.0
"""Seconds that a request may take to arrive, from its first byte to its last, and a TLS handshake."""

WRITE_DEADLINE: Final = 10.0
"""Seconds that an answer may take to be read, but for what the kernel keeps of it."""

LINGER: Final = 2.0
"""Seconds for the other end to notice that a connection is over; RFC 9112 section 9.6."""

_CHUNK: Final = 64 * 1024
_DRAINED: Final = 64 * 1024

_log = logging.getLogger("authserver")


class Phase(IntEnum):
    """What a connection waits for."""

    GREETING = 0  # the first byte of a TLS handshake
    HANDSHAKE = 1  # the rest of a TLS handshake
    IDLE = 2  # the first byte of a request
    READING = 3  # the rest of a request
    WHOLE = 4  # the answer of the application
    WRITING = 5  # the other end to take its answer
    DRAINING = 6  # the other end to close
    GONE = 7  # nothing


@dataclass(slots=True)
class Terms:
    """What the connections of a worker have in common. ``keepalive`` is in seconds, ``limits`` the parser's.

    ``wrap`` makes a TLS socket of a plain one, if ``is_tls``. ``last`` says that no connection is to outlive its next
    answer.
    """

    application: Application
    environ: Environ
    keepalive: float
    limits: Mapping[str, int] = field(default_factory=dict)
    wrap: Callable[[socket.socket], socket.socket] = lambda plain: plain
    is_tls: bool = False
    clock: Callable[[], float] = time.monotonic
    last: bool = False


class Connection:
    """A socket that never blocks, and how far the request on it has come. Only one thread at a time may touch it.

    ``deadline`` is when it is to be expired, by the monotonic clock; ``events`` what it is polled for at the moment,
    which is its owner's to keep.
    """

    __slots__ = (
        "_broken", "_drained", "_environ", "_incoming", "_keep", "_outgoing", "_peer", "_terms", "_wants_write",
        "deadline", "events", "number", "phase", "sock",
    )  # fmt: skip

    def __init__(self, terms: Terms, sock: socket.socket, peer: object) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.number = sock.fileno()
        self.events = 0
        self.phase = Phase.GREETING if terms.is_tls else Phase.IDLE
        self.deadline = terms.clock() + terms.keepalive
        self._terms = terms
        self._peer = peer
        self._incoming = Incoming(terms.limits)
        self._environ = of_connection(terms.environ, sock, peer)
        self._environ["gunicorn.socket"] = sock
        self._outgoing = memoryview(b"")
        self._broken = self._keep = self._wants_write = False
        self._drained = 0

    @property
    def wants(self) -> int:
        """What it is to be polled for."""
        return EVENT_WRITE if self.phase is Phase.WRITING or self._wants_write else EVENT_READ

    @property
    def is_due(self) -> bool:
        """Whether there is something to do for it that may take its time: the application, or the context of TLS."""
        return self.phase is Phase.WHOLE or self.phase is Phase.GREETING

    @property
    def is_idle(self) -> bool:
        """Whether nothing has been asked that is not answered."""
        return self.phase is Phase.IDLE or self.phase is Phase.GREETING

    def advance(self) -> None:
        """Do what can be done without waiting, now that the socket is ready for it."""
        self._wants_write = False
        try:
            _STEPS[self.phase](self)
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except ssl.SSLWantWriteError:
            self._wants_write = True
        except OSError as error:  # the other end is gone, or its TLS is none
            self._fail(error)

    def work(self) -> None:
        """Do what is due; in any thread, and without the lead."""
        if self.phase is Phase.GREETING:
            self._greet()
        else:
            self._answer()

    def expire(self) -> None:
        """Its deadline has passed."""
        if self.phase is Phase.READING and self._incoming.has_head:
            self._cut_short()
        else:
            self.phase = Phase.GONE

    def close(self) -> None:
        """Let go of the socket."""
        self.phase = Phase.GONE
        self.sock.close()

    def _become(self, phase: Phase, seconds: float) -> None:
        self.phase = phase
        self.deadline = self._terms.clock() + seconds

    def _greet(self) -> None:
        self._become(Phase.HANDSHAKE, READ_DEADLINE)
        try:
            self.sock = self._environ["gunicorn.socket"] = self._terms.wrap(self.sock)
        except OSError as error:
            self._fail(error)
        else:
            self.advance()

    def _shake_hands(self) -> None:
        cast(ssl.SSLSocket, self.sock).do_handshake()
        self._become(Phase.IDLE, self._terms.keepalive)
        self._receive()

    def _fail(self, error: OSError) -> None:
        if self.phase is Phase.HANDSHAKE:
            why = getattr(error, "reason", None) or type(error).__name__
            _log.info("a TLS handshake failed", extra={"reason": why, "address": self._environ["REMOTE_ADDR"]})
        self.phase = Phase.GONE

    def _receive(self) -> None:
        data = self.sock.recv(_CHUNK)  # over TLS that is a whole record, so nothing stays behind that no poll tells of
        if not data:
            self.expire()  # as far as a request is concerned, it is the same
            return
        self._take(data)

    def _take(self, data: bytes) -> None:
        """Take bytes that have arrived; none if they are there already."""
        expected = self._incoming.has_head
        try:
            if data:
                self._incoming.feed(data)
            if not self._incoming.is_whole and self._incoming.has_head and not expected and self._incoming.expects():
                self.sock.send(CONTINUE)
        except NotARequest as refused:
            if self._incoming.has_head and refused.status is not HTTPStatus.EXPECTATION_FAILED:
                self._cut_short()
            else:
                self._refuse(refused)
        else:
            if self._incoming.is_whole:
                self.phase = Phase.WHOLE
            elif self._incoming.begun and self.phase is Phase.IDLE:
                self._become(Phase.READING, READ_DEADLINE)

    def _cut_short(self) -> None:
        """Let the application answer a request whose body ends too early, which puts it on record under an id."""
        self._broken = True
        self.phase = Phase.WHOLE

    def _refuse(self, refused: NotARequest) -> None:
        """Answer what is no request. The text of what was wrong could be a credential, so nobody is told it."""
        facts = {"status": refused.status.value, "address": self._environ["REMOTE_ADDR"]}
        _log.warning("something was refused that is no request", extra=facts)
        self._keep = False
        self._send(plain(refused.status))

    def _answer(self) -> None:
        incoming = self._incoming
        try:
            incoming.expects()
            short = self._broken or incoming.is_too_long
            environ = of_request(self._environ, incoming, cut_short=short)
        except NotARequest as refused:
            self._refuse(refused)
            return
        may_stay = incoming.parser.should_keep_alive and not short and environ["REQUEST_METHOD"] != "CONNECT"
        try:
            answer = collected(self._terms.application, environ)
            self._keep = may_stay and not self._terms.last
            encoded = serialized(environ, answer, keep=self._keep)
        except (Exception, SystemExit):
            _log.exception("a request failed outside of every endpoint")
            self._keep = False
            encoded = plain(HTTPStatus.INTERNAL_SERVER_ERROR)
        self._send(encoded)

    def _send(self, answer: bytes) -> None:
        self._outgoing = memoryview(answer)
        self._become(Phase.WRITING, WRITE_DEADLINE)
        self.advance()

    def _write(self) -> None:
        while self._outgoing:
            self._outgoing = self._outgoing[self.sock.send(self._outgoing) :]
        if self._keep:
            self._next()
        else:
            self._end()

    def _next(self) -> None:
        """Wait for the next request, some or all of which may be there already."""
        self._become(Phase.IDLE, LINGER if self._terms.last else self._terms.keepalive)
        try:
            self._incoming.next()
        except NotARequest as refused:
            self._refuse(refused)
        else:
            self._take(b"")

    def _end(self) -> None:
        """Say that nothing more will come, and wait until the other end has noticed.

        Otherwise what it still sends would make the kernel throw away an answer that it has not read.
        """
        self._become(Phase.DRAINING, LINGER)
        # Not by the method of a TLS socket, which would read and write in the clear from then on.
        socket.socket.shutdown(self.sock, socket.SHUT_WR)

    def _drain(self) -> None:
        while data := socket.socket.recv(self.sock, _CHUNK):
            self._drained += len(data)
            if self._drained > _DRAINED:
                break
        self.phase = Phase.GONE


def _nothing(_connection: Connection) -> None:
    """What is due is not to be done here."""


_STEPS: Final[Mapping[Phase, Callable[[Connection], None]]] = {
    Phase.GREETING: _nothing,
    Phase.HANDSHAKE: Connection._shake_hands,
    Phase.IDLE: Connection._receive,
    Phase.READING: Connection._receive,
    Phase.WHOLE: _nothing,
    Phase.WRITING: Connection._write,
    Phase.DRAINING: Connection._drain,
    Phase.GONE: _nothing,
}
