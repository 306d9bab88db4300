"""Requests that granian has read, and what a WSGI application answers.

granian is made for coroutines, and calls its application in a thread of its pool to start one. Here the application
runs in that thread, without an event loop: to hand each request from a loop to a thread and back costs 150
microseconds. While a body is still on its way the thread goes on to something else, and another takes the request up
when it is there. So whoever sends slowly holds no thread, and a stalled store one for each request that needs it.
"""

import contextlib
import io
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, Protocol

from authserver.endpoints.http import MAX_BODY
from authserver.hosting.answer import Application, collected
from authserver.hosting.environ import CutShort, Environ
from authserver.hosting.heads import Heads, has_body
from authserver.hosting.wire import NotARequest

BODY_DEADLINE: Final = 10.0
"""Seconds that a body may take to arrive once its head is there."""

_MOST_PIECES: Final = 512
"""A body in a transfer coding may come byte by byte, which costs more to read than to send."""

_CLOSE: Final = (b"connection", b"close")
_PLAIN: Final = (b"content-type", b"text/plain")

_log = logging.getLogger("authserver")


class _Future(Protocol):
    """What granian gives for something that will be there."""

    def add_done_callback(self, callback: Callable[["_Future"], None], /) -> None: ...
    def cancel(self) -> bool: ...
    def result(self) -> Mapping[str, Any]: ...


class _Caller(Protocol):
    """Whom granian has a request from: an ASGI connection whose ``receive`` and ``send`` may be called anywhere."""

    def receive(self) -> _Future: ...
    def send(self, message: Mapping[str, Any], /) -> object: ...


class _Begun(Protocol):
    """A request that granian has read the head of."""

    @property
    def scope(self) -> Mapping[str, Any]: ...
    @property
    def proto(self) -> _Caller: ...


class Here:
    """The event loop that granian asks to call somebody back: it calls at once, in the thread that has the result."""

    def call_soon(self, callback: Callable[..., object], *arguments: object, **_context: object) -> None:
        """Call."""
        callback(*arguments)

    call_soon_threadsafe = call_soon


class Exchanges:
    """Answers the requests of one worker with ``application``; ``count`` is called before each."""

    def __init__(self, heads: Heads, application: Application, count: Callable[[], None]) -> None:
        self._heads = heads
        self._application = application
        self._count = count
        self._arriving: set[_Arrival] = set()

    def begin(self, begun: _Begun) -> None:
        """Take up a request. granian calls this in one of its threads."""
        self._guarded(self._begin, begun.proto, begun.scope)

    def give_up(self, now: float) -> None:
        """Refuse what has not arrived in time. ``now`` is of the monotonic clock."""
        for arrival in list(self._arriving):
            if arrival.deadline < now and self._is_ours(arrival):
                arrival.cancel()
                _refuse(arrival.caller, HTTPStatus.REQUEST_TIMEOUT)

    def _begin(self, caller: _Caller, scope: Mapping[str, Any]) -> None:
        try:
            environ = self._heads.read(scope)
        except NotARequest as refused:
            facts = {"status": refused.status.value, "address": scope["client"][0]}
            _log.warning("something was refused that is no request", extra=facts)
            _refuse(caller, refused.status)
            return
        if has_body(environ):
            arrival = _Arrival(caller, environ, self._arrived)
            self._arriving.add(arrival)
            arrival.go_on()
        else:
            self._answer(caller, environ, io.BytesIO())

    def _arrived(self, arrival: "_Arrival", body: io.BytesIO) -> None:
        if self._is_ours(arrival):
            self._guarded(self._answer, arrival.caller, arrival.environ, body)

    def _is_ours(self, arrival: "_Arrival") -> bool:
        """Whether it is still to be answered, which is then for whoever asked."""
        try:
            self._arriving.remove(arrival)
        except KeyError:
            return False
        return True

    def _answer(self, caller: _Caller, environ: Environ, body: io.BytesIO) -> None:
        self._count()
        environ["wsgi.input"] = body
        answer = collected(self._application, environ)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        if "HTTP_TRANSFER_ENCODING" in environ:
            headers.append(_CLOSE)  # granian keeps to itself whether there was a length too (RFC 9112 section 6.1)
        _send(caller, int(answer.status[:3]), headers, answer.body)

    def _guarded(self, step: Callable[..., None], caller: _Caller, *arguments: object) -> None:
        """Answer the caller whatever goes wrong: an exception would be lost, or worse, among granian's threads."""
        try:
            step(caller, *arguments)
        except Exception:
            _log.exception("a request failed outside of every endpoint")
            _refuse(caller, HTTPStatus.INTERNAL_SERVER_ERROR)


class _Arrival:
    """A request whose body is on its way. No thread waits for it."""

    def __init__(self, caller: _Caller, environ: Environ, arrived: Callable[["_Arrival", io.BytesIO], None]) -> None:
        self.caller = caller
        self.environ = environ
        self.deadline = time.monotonic() + BODY_DEADLINE
        self._arrived = arrived
        self._wanted = min(int(environ.get("CONTENT_LENGTH", MAX_BODY + 1)), MAX_BODY + 1)
        self._content = bytearray()
        self._pieces = 0
        self._next: _Future | None = None

    def go_on(self) -> None:
        """Ask for the next piece of the body."""
        self._next = self.caller.receive()
        self._next.add_done_callback(self._received)

    def cancel(self) -> None:
        """Ask for no more."""
        asked, self._next = self._next, None
        if asked is not None:
            asked.cancel()

    def _received(self, piece: _Future) -> None:
        if self._next is None:
            return  # cancelled
        self._next = None  # it refers to this object, by a path that the garbage collector does not see
        message = piece.result()
        self._content += message.get("body", b"")
        self._pieces += 1
        if message["type"] != "http.request" or self._pieces > _MOST_PIECES:
            self._arrived(self, CutShort(self._content))
        elif message["more_body"] and len(self._content) < self._wanted:
            self.go_on()
        else:
            self._arrived(self, io.BytesIO(self._content))


def _refuse(caller: _Caller, status: HTTPStatus) -> None:
    with contextlib.suppress(RuntimeError):  # an answer has begun
        _send(caller, status, [_CLOSE, _PLAIN], status.phrase.encode("ascii"))


def _send(caller: _Caller, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
    caller.send({"type": "http.response.start", "status": status, "headers": headers})
    caller.send({"type": "http.response.body", "body": body})
