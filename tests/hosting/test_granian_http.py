"""granian's HTTP in this process, over real connections: what an application sees, and what is refused before it."""

import contextlib
import gc
import logging
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import pytest

from authserver.endpoints.http import MAX_BODY
from authserver.hosting import exchanges
from authserver.hosting.exchanges import BODY_DEADLINE, Exchanges
from authserver.hosting.granian import Server
from authserver.hosting.heads import Heads
from tests.hosting.crews import Caller, get
from tests.hosting.test_worker_wire import BROKEN, CHUNKED, POST, ROWS, Seen, by_gunicorn, configured

THREADS: Final = 3
LAST: Final = get("/last", "Connection: close")

SEEN: Final = {
    # RFC 9112 section 2.2 lets a server read these so.
    "two empty lines before it": 200,
    "a bare LF after the request line": 200,
    "a bare LF after a field": 200,
    "bare LFs throughout": 200,
    # granian drops the length (section 6.3). The connection ends, so that nobody in front can have meant another rest.
    "a length and chunks": 200,
    "chunks and a length": 200,
    "the same length twice": 200,
    # Nothing has a method of two letters, or this path.
    "a short method": 200,
    "a URI without a path": 200,
}
"""Rows that gunicorn refuses, or sees otherwise, and granian lets an application see."""

REFUSED: Final = {
    "chunked twice": 501,
    "chunked in two fields": 501,
    "chunked in quotes": 400,
    "a coding that nobody knows": 400,
    "HTTP/2": 0,
}
"""Rows that both refuse, by another status. 0 is none: the connection ends."""

WAITED_FOR: Final = {"a request line without end"}
"""granian waits for more of it, as long as it waits for a next request."""

LENIENT: Final = {
    "a size with a space behind it": b"abc",
    "an extension that is none": b"abc",
    "a trailer that frames": b"abc",
    "many trailers": b"",
}
"""Bodies that gunicorn cannot read, and what granian reads. The connection ends behind them as behind the others."""


class Application:
    """Shows what it saw, and does what a path says."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.let_go = threading.Event()
        self.stalled = threading.Semaphore(0)

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/fail":
            raise ValueError("a secret")
        if environ["PATH_INFO"] == "/stall":
            self.stalled.release()
            assert self.let_go.wait(60)
        self.seen.append(Seen.of({name: value for name, value in environ.items() if name != "RAW_URI"}))
        status = "304 Not Modified" if environ["PATH_INFO"] == "/known" else "200 OK"
        start(status if self.seen[-1].body is not None else "400 Bad Request", [("X-A", "1"), ("X-A", "2")])
        return [b"se", b"en"]


class Traced(Exchanges):
    """Exchanges whose lines coverage sees: granian's threads are none of Python's, which would trace themselves."""

    def begin(self, begun: Any) -> None:
        sys.settrace(threading.gettrace())
        super().begin(begun)


class Served:
    """granian and an application."""

    def __init__(self) -> None:
        config = configured()
        config.set("threads", THREADS)
        self.application = Application()
        self.counted: list[None] = []
        self.exchanges = Traced(Heads(config), self.application, lambda: self.counted.append(None))
        self.ended = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.server = Server(self.listener, self.exchanges, config, 1, self.ended.set)
        self.callers: list[Caller] = []

    def call(self, data: bytes = b"") -> Caller:
        """A new connection, on which something is sent."""
        caller = Caller(socket.create_connection(self.listener.getsockname(), timeout=60)).send(data)
        self.callers.append(caller)
        return caller

    def ask(self, data: bytes) -> tuple[int, list[Seen]]:
        """The status of the last answer to what is sent, and all that the application sees of it."""
        self.application.seen.clear()
        caller, statuses = self.call(data + LAST), [0]
        with contextlib.suppress(ConnectionResetError):  # what could not be read was not read
            while (head := caller.head())[0]:
                statuses.append(int(head[0].split(" ")[1]))
                caller.read(int(head[1].get("content-length", "0")))
        seen = self.application.seen
        if seen and dict(seen[-1].environ)["PATH_INFO"] == "/last":
            return statuses[-2], seen[:-1]
        return statuses[-1], seen

    def stop(self) -> None:
        """Stop, and wait for the end."""
        self.application.let_go.set()
        self.server.stop()
        for caller in self.callers:
            caller.close()
        assert self.ended.wait(60)
        assert self.server.has_ended
        self.listener.close()


@pytest.fixture(scope="module")
def granian() -> Iterator[Served]:
    served = Served()
    yield served
    served.stop()


@pytest.fixture
def granian_of_its_own() -> Iterator[Served]:
    served = Served()
    yield served
    served.stop()


def without_target(seen: list[Seen]) -> list[Seen]:
    """The same without what gunicorn alone tells an application."""
    return [Seen(tuple(each for each in one.environ if each[0] != "RAW_URI"), one.body) for one in seen]


@pytest.mark.parametrize("name", sorted(ROWS.keys() - WAITED_FOR))
def test_what_is_sent_is_seen_or_refused_as_by_gunicorn_but_for_what_is_listed(name: str, granian: Served) -> None:
    data, expected = ROWS[name]
    status, seen = granian.ask(data)
    theirs = without_target(by_gunicorn(data)[0])
    if data.startswith(CHUNKED):
        theirs = theirs[:1]  # a connection ends behind a body in chunks
    if name in SEEN:
        assert seen != theirs
        assert len(seen) == 1
        assert status == SEEN[name]
    else:
        assert (status, seen) == (REFUSED.get(name, expected), theirs)


@pytest.mark.parametrize("name", BROKEN)
def test_behind_chunks_the_connection_ends_whether_they_can_be_read_or_not(name: str, granian: Served) -> None:
    status, seen = granian.ask(BROKEN[name] + get("/smuggled"))
    body = LENIENT.get(name)
    assert ([each.body for each in seen], status) == ([body], 400 if body is None else 200)


def test_a_field_spelled_with_an_underscore_is_no_other_one(granian: Served) -> None:
    for fields in (["Client_Cert: forged"], ["Client-Cert: :YQ==:", "Client_Cert: forged"]):
        (seen,) = granian.ask(get("/a", *fields, "Client_Cert: forged"))[1]
        assert "forged" not in str(seen)
    assert ("HTTP_CLIENT_CERT", ":YQ==:") in seen.environ


def test_a_field_that_is_repeated_is_seen_so_even_if_its_value_is_strange(granian: Served) -> None:
    (seen,) = granian.ask(get("/a", "DPoP: a", "Authorization: \xff", "DPoP: \xff", "Authorization: b"))[1]
    assert ("HTTP_DPOP", "a,\xff") in seen.environ
    assert ("HTTP_AUTHORIZATION", "\xff,b") in seen.environ


@pytest.mark.parametrize(
    ("path", "status"),
    [("/?" + "a" * 4081, 200), ("/?" + "a" * 4082, 414), ("/?a=<", 400), ("/?" + "\xc3\xa9", 400), ("/?\xff", 400)],
)
def test_a_request_line_has_its_bounds(path: str, status: int, granian: Served) -> None:
    assert len(get(path).partition(b"\r\n")[0]) - len(path) == len("GET  HTTP/1.1")
    assert granian.ask(get(path))[0] == status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (["X-A: " + "a" * 16_377], 200),
        (["X-A: " + "a" * 16_378], 431),
        (["X-A: 1"] * 62, 200),
        (["X_A: 1"] * 64, 431),
        (["X-A: " + "a" * 16_000] * 20, 431),
        (["Expect: 100-continue, 200-ok"], 417),
    ],
)
def test_header_fields_have_their_bounds(fields: list[str], status: int, granian: Served) -> None:
    assert granian.ask(get("/", *fields))[0] == status


@pytest.mark.parametrize("length", [MAX_BODY - 1, MAX_BODY, MAX_BODY + 1, MAX_BODY + 2, 5 * MAX_BODY])
def test_of_a_body_that_is_too_long_as_much_is_read_as_shows_it(length: int, granian: Served) -> None:
    in_chunks = CHUNKED + b"%x\r\n" % length + b"a" * length + b"\r\n0\r\n\r\n"
    for data in (POST + b"Content-Length: %d\r\n\r\n" % length + b"a" * length, in_chunks):
        (seen,) = granian.ask(data)[1]
        assert seen.body == b"a" * min(length, MAX_BODY + 1)


def test_a_body_that_breaks_off_is_known_to_be_cut_short(granian: Served) -> None:
    for data in (CHUNKED + b"3\r\nabc\r\n", POST + b"Content-Length: 5\r\n\r\nabc"):
        caller = granian.call(data)
        caller.sock.shutdown(socket.SHUT_WR)
        assert caller.head()[0] == "HTTP/1.1 400 Bad Request"
        assert granian.application.seen[-1].body is None


def test_a_body_of_very_many_pieces_is_not_read_to_its_end(granian: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "_MOST_PIECES", 8)
    assert granian.ask(CHUNKED + b"1\r\na\r\n" * 7 + b"0\r\n\r\n")[1][0].body == b"a" * 7
    assert granian.ask(CHUNKED + b"1\r\na\r\n" * 50 + b"0\r\n\r\n")[1][0].body is None


def test_a_caller_who_asks_before_it_sends_is_told_to_go_on(granian: Served) -> None:
    caller = granian.call(POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert caller.head() == ("HTTP/1.1 100 Continue", {})
    assert caller.send(b"abc").head()[0] == "HTTP/1.1 200 OK"
    assert granian.application.seen[-1].body == b"abc"


def test_answers_have_what_the_application_says_and_no_body_where_there_is_none(granian: Served) -> None:
    caller = granian.call(get("/a") + get("/a").replace(b"GET", b"HEAD") + get("/known") + LAST)
    answer = caller.rest()
    assert answer.count(b"\r\nx-a: 1\r\nx-a: 2\r\n") == 4
    assert answer.count(b"seen") == 2
    assert answer.count(b"content-length: 4\r\n") == 3
    assert b"304 Not Modified" in answer


def test_what_an_application_raises_goes_to_the_log_and_a_constant_to_the_caller(
    granian: Served, caplog: pytest.LogCaptureFixture
) -> None:
    answer = granian.call(get("/fail")).rest()
    assert answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert b"secret" not in answer
    logged = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert logged == ["a request failed outside of every endpoint"]


def test_senders_that_are_slow_hold_no_thread_and_are_given_up(granian_of_its_own: Served) -> None:
    granian = granian_of_its_own
    slow = [granian.call(POST + b"Content-Length: 9\r\n\r\nabc") for _ in range(10 * THREADS)]
    assert granian.ask(get("/a"))[0] == 200
    granian.exchanges.give_up(time.monotonic() - BODY_DEADLINE)
    assert slow[0].send(b"defghi").head()[0] == "HTTP/1.1 200 OK"
    for caller in slow[1:]:
        while not select.select([caller.sock], [], [], 0.05)[0]:
            granian.exchanges.give_up(time.monotonic() + 2 * BODY_DEADLINE)
        answer = caller.rest()
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b"connection: close" in answer
    assert [each.body for each in granian.application.seen] == [b"", b"", b"abcdefghi"]
    assert len(granian.counted) == 3


def test_a_stalled_request_keeps_nobody_waiting_and_is_finished_before_the_end(granian_of_its_own: Served) -> None:
    granian = granian_of_its_own
    stalled = [granian.call(get("/stall")) for _ in range(THREADS - 1)]
    for _ in stalled:
        assert granian.application.stalled.acquire(timeout=60)
    idle = granian.call()
    assert granian.ask(get("/a"))[0] == 200
    granian.server.stop()
    assert idle.rest() == b""
    assert not granian.server.has_ended
    granian.application.let_go.set()
    for caller in stalled:
        assert b"200 OK" in caller.rest()
    assert granian.ended.wait(60)


def test_nothing_of_a_request_is_kept(granian: Served) -> None:
    """What refers to itself through granian is out of the garbage collector's sight, and would stay for ever."""
    for _ in range(20):
        granian.ask(POST + b"Content-Length: 3\r\n\r\nabc")
        granian.ask(CHUNKED + b"3\r\nabc\r\n0\r\n\r\n")
    gc.collect()
    kept = [each for each in gc.get_objects() if type(each).__name__ in ("_Arrival", "CutShort")]
    assert len(kept) <= 2 * THREADS


class Late:
    """A request as granian hands it on, whose body comes when a test says so, even if nobody wants it any more."""

    def __init__(self, asked: Callable[[int], None] = lambda _: None) -> None:
        self.proto = self
        ends = {"client": ("127.0.0.1", "1"), "server": ("127.0.0.1", "2")}
        line = {"method": "POST", "raw_path": b"/a", "query_string": b"", "http_version": "1.1"}
        self.scope = {**ends, **line, "headers": [(b"host", b"x"), (b"content-length", b"3")]}
        self.sent: list[Any] = []
        self.come: list[Callable[[Any], None]] = []
        self._asked = asked

    def receive(self) -> "Late":
        self._asked(len(self.come))
        return self

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self.come.append(callback)

    def cancel(self) -> bool:
        return False

    def result(self) -> dict[str, Any]:
        return {"type": "http.request", "body": b"a", "more_body": True}

    def send(self, message: Any) -> None:
        self.sent.append(message)


def test_what_comes_when_it_was_given_up_is_not_answered_again() -> None:
    exchange, late = Exchanges(Heads(configured()), Application(), lambda: None), Late()
    exchange.begin(late)
    exchange.give_up(time.monotonic() + 2 * BODY_DEADLINE)
    assert [each.get("status") for each in late.sent] == [408, None]
    late.come.pop()(late)
    assert len(late.sent) == 2
    assert not late.come


def test_what_is_given_up_between_two_pieces_is_not_answered_again() -> None:
    exchange = Exchanges(Heads(configured()), Application(), lambda: None)

    def give_up_the_second(pieces: int) -> None:
        if pieces == 1:
            exchange.give_up(time.monotonic() + 2 * BODY_DEADLINE)

    late = Late(give_up_the_second)
    exchange.begin(late)
    for _ in range(3):
        late.come[-1](late)
    assert [each.get("status") for each in late.sent] == [408, None]
