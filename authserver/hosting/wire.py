"""Requests as bytes: gunicorn's parser with our bounds, and the answers to what is no request."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from gunicorn.asgi.parser import (
    LimitRequestHeaders,
    LimitRequestLine,
    ParseError,
    PythonProtocol,
    UnsupportedTransferCoding,
)

from authserver.endpoints.http import MAX_BODY

MAX_HEAD: Final = 128 * 1024
"""The longest request line with all header fields, in bytes. Connections that wait hold no more of a request."""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_METHOD: Final = re.compile(rb"[!$%&'*+\-.^_`|~0-9A-Z]{3,20}")
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 section 5.6.2
_NOT_IN_A_VALUE: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110 section 5.5


class NotARequest(Exception):
    """What came is refused before anything sees it. ``status`` is the answer."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.status = status


class _Parser(PythonProtocol):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's parser, which looks at the bytes of names and values one by one, with the same done by expressions.

    A DPoP proof is one value of some 600 bytes: 28 microseconds become 11. In a gunicorn that no longer calls these
    three, its own checks are made.
    """

    __slots__ = ()

    def _is_valid_method(self, method: bytes) -> bool:
        return _METHOD.fullmatch(method) is not None

    def _is_valid_token(self, data: bytes) -> bool:
        return _TOKEN.fullmatch(data) is not None

    def _has_invalid_header_chars(self, value: bytes) -> bool:
        return _NOT_IN_A_VALUE.search(value) is not None


class Incoming:
    """One request after another, as far as each has arrived.

    It does not refer to itself, as a parser with callbacks of its owner would, so what a closed connection held is gone
    at once and not when the garbage collector comes by.
    """

    __slots__ = ("_arrived", "_body", "parser")

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._body = _Body()
        self._arrived = 0
        self.parser: Any = _Parser(on_headers_complete=self._body.begin, on_body=self._body.add, **limits)

    @property
    def begun(self) -> bool:
        """Whether anything of a request is there."""
        return self._arrived > 0

    @property
    def has_head(self) -> bool:
        """Whether the request line and every header field are there, and in order."""
        return self._body.begun

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing more to wait for, because all of it is there or too much."""
        return bool(self.parser.is_complete) or self.is_too_long

    @property
    def is_too_long(self) -> bool:
        """Whether the body is longer than any that is read."""
        return len(self._body.content) > MAX_BODY

    @property
    def body(self) -> bytes:
        """The body as far as it is there; of one that is too long, one byte more than is allowed."""
        return bytes(self._body.content[: MAX_BODY + 1])

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """The header fields, their names in lower case."""
        return self.parser.headers  # type: ignore[no-any-return]

    def feed(self, data: bytes) -> None:
        """Take what has arrived.

        :raises NotARequest: it cannot become a request, or its body cannot be read; ``has_head`` tells which.
        """
        in_head = not self.has_head
        self._arrived += len(data)
        try:
            self.parser.feed(data)
        except ParseError as error:
            raise NotARequest(_status(error)) from None
        except ValueError:  # a Content-Length of thousands of digits
            raise NotARequest(HTTPStatus.BAD_REQUEST) from None
        if in_head and self._arrived > MAX_HEAD and self._head_size() > MAX_HEAD:
            self._body.begun = False
            raise NotARequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _head_size(self) -> int:
        if not self.has_head:
            return self._arrived
        return len(self.parser.path) + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)

    def expects(self) -> bool:
        """Whether the caller waits for ``100 Continue`` before it sends the body (RFC 9110 section 10.1.1).

        :raises NotARequest: 417, it waits for something else.
        """
        expected = [value.lower() for name, value in self.headers if name == b"expect"]
        if any(value != b"100-continue" for value in expected):
            raise NotARequest(HTTPStatus.EXPECTATION_FAILED)
        return bool(expected) and self.parser.http_version >= (1, 1)

    def next(self) -> None:
        """Go on to the next request, with what of it came along with the last.

        :raises NotARequest: as for :meth:`feed`.
        """
        rest = self.parser.remaining()
        self.parser.reset()
        self._body.begun = False
        self._body.content.clear()
        self._arrived = 0
        if rest:
            self.feed(rest)


class _Body:
    """What a parser has found behind the header fields."""

    __slots__ = ("begun", "content")

    def __init__(self) -> None:
        self.begun = False
        self.content = bytearray()

    def begin(self) -> bool:
        self.begun = True
        return False  # there may be a body, whatever the method

    def add(self, chunk: bytes) -> None:
        self.content += chunk


def _status(error: ParseError) -> HTTPStatus:
    if isinstance(error, LimitRequestLine):
        return HTTPStatus.REQUEST_URI_TOO_LONG
    if isinstance(error, LimitRequestHeaders):
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    if isinstance(error, UnsupportedTransferCoding):
        return HTTPStatus.NOT_IMPLEMENTED
    return HTTPStatus.BAD_REQUEST


def plain(status: HTTPStatus) -> bytes:
    """The last answer on a connection, which says nothing but its status."""
    body = status.phrase.encode("ascii")
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body
