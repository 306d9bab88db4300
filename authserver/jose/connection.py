"""A connection that ends: so many bytes, so many seconds, whatever the peer does with them.

Libraries have a timeout for each read, which a server that sends one byte at a time never reaches. So both
limits are kept here, on the socket, below :mod:`http.client`.
"""

import io
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CONNECT_TIMEOUT: Final = 2.0  # for one address, so that a dead one leaves time for the next


class TooMuch(Exception):
    """The peer sent more bytes than it was given."""


class Deadline:
    """An instant by which everything must be over."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._ends_at = clock() + seconds
        self._clock = clock

    def remaining(self) -> float:
        """The seconds left, more than none.

        :raises TimeoutError: there are none left.
        """
        seconds = self._ends_at - self._clock()
        if seconds <= 0:
            raise TimeoutError
        return seconds


class Wire(io.RawIOBase):
    """A connected socket with a limit in bytes and a deadline.

    It is what :class:`http.client.HTTPConnection` needs of a socket. Closing it leaves the socket to its owner.
    """

    def __init__(self, sock: socket.socket, deadline: Deadline, max_bytes: int) -> None:
        super().__init__()
        self._sock = sock
        self._deadline = deadline
        self._left = max_bytes

    def makefile(self, _mode: str) -> io.BufferedReader:
        """The reading side, as :meth:`socket.socket.makefile` gives it."""
        return io.BufferedReader(self)

    def sendall(self, data: bytes) -> None:
        """Send everything before the deadline."""
        self._sock.settimeout(self._deadline.remaining())
        self._sock.sendall(data)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read what has arrived.

        :raises TimeoutError: the deadline has passed.
        :raises TooMuch: the limit in bytes is exceeded.
        """
        self._sock.settimeout(self._deadline.remaining())
        count = self._sock.recv_into(buffer)
        self._left -= count
        if self._left < 0:
            raise TooMuch
        return count

    def close(self) -> None:
        """Do nothing: http.client closes its connection before the answer has been read."""


def connect(addresses: Sequence[str], port: int, deadline: Deadline) -> socket.socket:
    """Connect to the first of these numeric addresses that answers.

    :raises OSError: none did; :class:`TimeoutError` when the last one was silent.
    """
    error: OSError = ConnectionError("no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=min(_CONNECT_TIMEOUT, deadline.remaining()))
        except OSError as failure:
            error = failure
    raise error


def secure(plain: socket.socket, host: str, context: ssl.SSLContext, deadline: Deadline) -> socket.socket:
    """TLS with ``host``, verified against that name and not the address (RFC 9525 section 6.3).

    :raises ssl.SSLError: the peer is not ``host`` for anyone who is trusted.
    """
    plain.settimeout(deadline.remaining())  # holds for the handshake as a whole
    return context.wrap_socket(plain, server_hostname=host)
