"""What is a request and what is none: nothing that gunicorn's own WSGI parser refuses is let in, and nothing is seen
otherwise than it sees it.
"""

import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import ParseException
from gunicorn.http.parser import RequestParser
from gunicorn.http.wsgi import create
from gunicorn.workers.base import Worker
from hypothesis import given, settings
from hypothesis import strategies as st

from authserver.endpoints.http import MAX_BODY
from authserver.hosting.connection import Connection, Terms
from authserver.hosting.environ import of_worker
from tests.hosting.crews import LIMITS, get, served

POST: Final = b"POST /a HTTP/1.1\r\nHost: x\r\n"
CHUNKED: Final = POST + b"Transfer-Encoding: chunked\r\n\r\n"

ROWS: Final[dict[str, tuple[bytes, int]]] = {
    "a request": (get("/a"), 200),
    "without a Host": (b"GET /a HTTP/1.1\r\n\r\n", 200),
    "HTTP/1.0": (b"GET /a HTTP/1.0\r\n\r\n", 200),
    "an empty line before it": (b"\r\n" + get("/a"), 200),
    "two empty lines before it": (b"\r\n\r\n" + get("/a"), 400),
    "two requests": (get("/a") + get("/b?c"), 200),
    "a request and nonsense": (get("/a") + b"nonsense\r\n\r\n", 400),
    "a body": (POST + b"Content-Length: 3\r\n\r\nabc", 200),
    "a body and a request": (POST + b"Content-Length: 3\r\n\r\nabc" + get("/b"), 200),
    "chunks": (CHUNKED + b"3\r\nabc\r\n2;name=value\r\nde\r\n0\r\n\r\n" + get("/b"), 200),
    "chunks and a trailer": (CHUNKED + b"3\r\nabc\r\n0\r\nX-Checksum: 1\r\n\r\n" + get("/b"), 200),
    "a path that is encoded": (get("/a%20b%C3%A9%2F?c=%20"), 200),
    "a path of two slashes": (get("//evil.example/a"), 200),
    "a fragment": (get("/a#b?c"), 200),
    "a whole URI": (get("http://evil.example/a?b"), 200),
    "a URI without a path": (get("http://evil.example"), 200),
    "a URI that is none": (get("http://[/"), 400),
    "an authority": (get("evil.example:443"), 400),
    "everything": (get("*"), 400),
    "a field twice": (get("/a", "X-A: 1", "X-A: 2"), 200),
    "a value with edges": (get("/a", "X-A: \t 1 \t "), 200),
    "an empty value": (get("/a", "X-A:"), 200),
    "a value beyond ASCII": (get("/a", "X-A: \xe9"), 200),
    # Framing: whoever stands in front must not see another request than this server does.
    "a length and chunks": (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunks and a length": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde", 400),
    "the same length twice": (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "lengths in a list": (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "a length with a sign": (POST + b"Content-Length: +3\r\n\r\nabc", 400),
    "a length below nothing": (POST + b"Content-Length: -3\r\n\r\nabc", 400),
    "a length in hexadecimal": (POST + b"Content-Length: 0x3\r\n\r\nabc", 400),
    "a length with an underscore": (POST + b"Content-Length: 1_0\r\n\r\nabcabcabca", 400),
    "an empty length": (POST + b"Content-Length:\r\n\r\nabc", 400),
    "a length of Unicode": (POST + b"Content-Length: \xb2\r\n\r\nab", 400),
    "a length of five thousand digits": (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
    "chunked twice": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked in two fields": (POST + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n", 400),
    "identity": (POST + b"Transfer-Encoding: identity\r\n\r\n", 400),
    "identity and a length": (POST + b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc", 400),
    "chunked before gzip": (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400),
    "chunked with a vertical tab": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "chunked in quotes": (POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 501),
    "a coding that nobody knows": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    "chunks in HTTP/1.0": (b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a coding with an underscore": (POST + b"Transfer_Encoding: chunked\r\n\r\n", 200),
    "a length with a hyphen of another kind": (POST + b"Content_Length: 3\r\n\r\n", 200),
    "a space before the colon": (POST + b"Content-Length : 3\r\n\r\nabc", 400),
    "a tab before the colon": (POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400),
    "a space before the name": (b"POST /a HTTP/1.1\r\n Content-Length: 3\r\n\r\nabc", 400),
    "a folded value": (get("/a", "X-A: 1", " 2"), 400),
    "a folded value with a tab": (get("/a", "X-A: 1", "\t2"), 400),
    "a folded coding": (POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    # Lines.
    "a bare LF after the request line": (b"GET /a HTTP/1.1\nHost: x\r\n\r\n", 400),
    "a bare LF after a field": (b"GET /a HTTP/1.1\r\nHost: x\nX-A: 1\r\n\r\n", 400),
    "bare LFs throughout": (b"GET /a HTTP/1.1\nHost: x\n\n", 400),
    "a bare CR in a value": (get("/a", "X-A: 1\rX-B: 2"), 400),
    "a bare CR in the request line": (b"GET /a\r HTTP/1.1\r\n\r\n", 400),
    "NUL in a value": (get("/a", "X-A: 1\x002"), 400),
    "DEL in a value": (get("/a", "X-A: \x7f"), 400),
    "no colon": (get("/a", "X-A"), 400),
    "no name": (get("/a", ": 1"), 400),
    "a name with a space": (get("/a", "X A: 1"), 400),
    "a name beyond ASCII": (get("/a", "X-\xdf: 1"), 400),
    "a name with a quote": (get("/a", 'X"A: 1'), 400),
    "two Hosts": (get("/a", "Host: y"), 400),
    "two kinds of content": (get("/a", "Content-Type: a", "Content-Type: b"), 400),
    # The request line.
    "nonsense": (b"nonsense\r\n\r\n", 400),
    "no version": (b"GET /a\r\n\r\n", 400),
    "no target": (b"GET  HTTP/1.1\r\n\r\n", 400),
    "two spaces": (b"GET  /a HTTP/1.1\r\n\r\n", 400),
    "a space in the target": (b"GET /a b HTTP/1.1\r\n\r\n", 400),
    "a tab in the target": (b"GET /a\tb HTTP/1.1\r\n\r\n", 400),
    "a target beyond ASCII": (b"GET /\xe9 HTTP/1.1\r\n\r\n", 400),
    "a small method": (b"get /a HTTP/1.1\r\n\r\n", 400),
    "a short method": (b"GE /a HTTP/1.1\r\n\r\n", 400),
    "a method with a colon": (b"GE:T /a HTTP/1.1\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "HTTP/0.9": (b"GET /a HTTP/0.9\r\n\r\n", 400),
    "a version that is none": (b"GET /a HTTP/1.1x\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    # Bounds.
    "a long request line": (get("/" + "a" * 5000), 414),
    "a request line without end": (b"GET /" + b"a" * 5000, 414),
    "a long value": (get("/a", "X-A: " + "a" * 20_000), 431),
    "many fields": (get("/a", *["X-A: 1"] * 100), 431),
    # Expectations.
    "an expectation that nobody knows": (POST + b"Expect: 200-ok\r\nContent-Length: 3\r\n\r\nabc", 417),
}

# Bodies that cannot be read. The application answers 400 and puts it on record, so the body fails to be read.
BROKEN: Final[dict[str, bytes]] = {
    "a size that is none": CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n",
    "a size with a sign": CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n",
    "a size with a prefix": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "a size with an underscore": CHUNKED + b"0_3\r\nabc\r\n0\r\n\r\n",
    "a size with a space before it": CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n",
    "a size with a space behind it": CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
    "no size": CHUNKED + b"\r\nabc\r\n0\r\n\r\n",
    "an extension without a size": CHUNKED + b";a=b\r\nabc\r\n0\r\n\r\n",
    "an extension that is none": CHUNKED + b"3;=\r\nabc\r\n0\r\n\r\n",
    "a bare CR in an extension": CHUNKED + b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "a bare LF after a size": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "a chunk that is longer": CHUNKED + b"3\r\nabcde\r\n0\r\n\r\n",
    "a chunk without an end": CHUNKED + b"3\r\nabc0\r\n\r\n",
    "a trailer that frames": CHUNKED + b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
    "a size without end": CHUNKED + b"0" * 20_000,
    "many trailers": CHUNKED + b"0\r\n" + b"X-A: 1\r\n" * 100 + b"\r\n",
}


# What gunicorn's WSGI parser takes, or waits for more of.
STRICTER: Final = {
    "HTTP/1.2": b"GET /a HTTP/1.2\r\n\r\n",
    "fields that are dropped count": get("/a", *["X_A: 1"] * 100),
    "a value without end": b"GET /a HTTP/1.1\r\nX-A: " + b"a" * 20_000,
    "a head without end": b"GET /a HTTP/1.1\r\n" + (b"X-A: " + b"a" * 16_000 + b"\r\n") * 9,
    "a long head": get("/a", *[f"X-{number}: " + "a" * 16_000 for number in range(9)]),
}


@dataclass(frozen=True)
class Seen:
    """One request, as an application sees it."""

    environ: tuple[tuple[str, str], ...]
    body: bytes | None

    @classmethod
    def of(cls, environ: dict[str, Any]) -> "Seen":
        names = {"REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "RAW_URI", "SERVER_PROTOCOL", "SCRIPT_NAME"}
        kept = {
            name: value for name, value in environ.items() if name in names or name.startswith(("HTTP_", "CONTENT_"))
        }
        try:
            body = environ["wsgi.input"].read(MAX_BODY + 1)
        except (OSError, ParseException):
            body = None
        return cls(tuple(sorted(kept.items())), body)


def configured() -> Config:
    """gunicorn's configuration, as the server has it."""
    config = Config()
    for name, value in {**LIMITS, "header_map": "drop", "forwarded_allow_ips": "", "forwarder_headers": ""}.items():
        config.set(name, value)
    return config


CONFIG: Final = configured()


def by_gunicorn(data: bytes) -> tuple[list[Seen], int]:
    """What gunicorn's WSGI parser makes of it: the requests, and the status of the last answer."""
    config = CONFIG
    parser = RequestParser(config, iter([data]), ("127.0.0.1", 1))
    seen: list[Seen] = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        try:
            for request in parser:
                environ = create(request, SimpleNamespace(send=lambda _: None), ("", 1), ("", 1), config)[1]
                seen.append(Seen.of(environ))
                if seen[-1].body is None or request.should_close():
                    break
        except Exception as error:
            if not isinstance(error, (ParseException, StopIteration)) or type(error).__name__ == "NoMoreData":
                return seen, 0
            log = SimpleNamespace(warning=_nothing, exception=_nothing, access=_nothing)
            Worker.handle_error(SimpleNamespace(log=log, cfg=config), None, ours, ("", 1), error)
            return seen, int(theirs.recv(4096).split(b" ")[1])
    return seen, 200


def _nothing(*_arguments: object) -> None:
    pass


Reader = Callable[[bytes], tuple[list[Seen], int]]


@pytest.fixture(scope="module")
def by_us() -> Iterator[Reader]:
    """What this server's worker makes of it, over a connection: the requests, and the status of the last answer."""
    seen: list[Seen] = []

    def looking(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        seen.append(Seen.of(environ))
        start("200 OK" if seen[-1].body is not None else "400 Bad Request", [])
        return [b"seen"]

    def read(data: bytes) -> tuple[list[Seen], int]:
        seen.clear()
        caller, status = serving.call().send(data), 0
        caller.sock.shutdown(socket.SHUT_WR)
        while (head := caller.head())[0]:
            status = int(head[0].split(" ")[1])
            caller.read(int(head[1].get("Content-Length", "0")))
        caller.close()
        return list(seen), status

    with served(looking, environ=of_worker(CONFIG)) as serving:
        yield read


@pytest.mark.parametrize("name", ROWS)
def test_what_is_sent_is_seen_or_refused_as_by_gunicorn(name: str, by_us: Reader) -> None:
    data, status = ROWS[name]
    assert by_us(data) == (by_gunicorn(data)[0], status)
    assert by_gunicorn(data)[1] == status


@pytest.mark.parametrize("name", BROKEN)
def test_a_body_that_cannot_be_read_ends_the_connection_once_the_application_knows(name: str, by_us: Reader) -> None:
    data = BROKEN[name] + get("/smuggled")
    seen, status = by_us(data)
    assert ([each.body for each in seen], status) == ([None], 400)
    assert [each.body for each in by_gunicorn(data)[0]] == [None]


@pytest.mark.parametrize("name", STRICTER)
def test_some_of_what_gunicorn_lets_in_is_refused(name: str, by_us: Reader) -> None:
    seen, status = by_us(STRICTER[name])
    assert seen == []
    assert status in (400, 431)
    assert by_gunicorn(STRICTER[name])[1] in (200, 0)


PIECES: Final = st.sampled_from(
    [
        *(line + b"\r\n" for line in (b"GET /a HTTP/1.1", b"POST /b?c HTTP/1.1", b"HEAD / HTTP/1.0", b"Host: x", b"")),
        *(line + b"\r\n" for line in (b"Content-Length: 3", b"Content-Length: 0", b"Transfer-Encoding: chunked")),
        *(line + b"\r\n" for line in (b"Transfer-Encoding: gzip", b"Connection: close", b"Connection: keep-alive")),
        *(line + b"\r\n" for line in (b"Expect: 100-continue", b"X_A: 1", b"X-A : 1", b" folded", b"X-A: \x00", b"0")),
        *(
            b"POST /c HTTP/1.1\r\n",
            b"\r\n",
            b"3\r\nabc\r\n",
            b"0\r\n\r\n",
            b"abc",
            b"a;b\r\n",
            b"\n",
            b"\r",
            b" ",
            b"3",
        ),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=12).map(b"".join), st.lists(st.integers(1, 40), max_size=6))
def test_whatever_comes_in_whatever_pieces_is_never_seen_otherwise_than_by_gunicorn(
    data: bytes, sizes: list[int]
) -> None:
    ours = piecewise([data])
    assert piecewise(split(data, sizes)) == ours
    theirs = by_gunicorn(data)[0]
    assert ours == theirs[: len(ours)]


def split(data: bytes, sizes: list[int]) -> list[bytes]:
    """The same bytes in pieces."""
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [each for each in (*pieces, data) if each]


def piecewise(pieces: list[bytes]) -> list[Seen]:
    """What an application sees of what comes in pieces, before the other end closes."""
    seen: list[Seen] = []

    def looking(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        seen.append(Seen.of(environ))
        start("200 OK", [])
        return []

    theirs, sock = socket.socketpair()
    with theirs, sock:
        connection = Connection(Terms(looking, of_worker(CONFIG), 65.0, LIMITS), sock, "")
        for piece in pieces:
            theirs.sendall(piece)
            connection.advance()
            while connection.is_due:
                connection.work()
    return seen
