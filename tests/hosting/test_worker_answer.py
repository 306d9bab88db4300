"""What an application is given and what becomes of what it answers: PEP 3333, and one answer for each request."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.validate import validator

import pytest
from gunicorn.config import Config

from authserver.hosting.environ import CutShort, of_connection, of_worker
from tests.hosting.crews import Served, get, served

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


def answering(status: str = "200 OK", *fields: tuple[str, str], body: Iterable[bytes] = (b"body",)) -> Application:
    def application(_environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        start(status, list(fields))
        return body

    return application


@pytest.fixture
def given() -> dict[str, Any]:
    return {}


@pytest.fixture
def serving(given: dict[str, Any]) -> Iterator[Served]:
    def looking(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        given.update(environ)
        environ["wsgi.input"].read(1)
        start("200 OK", [("Content-Type", "text/plain")])
        return [b"seen"]

    with served(validator(looking), environ=of_worker(Config())) as serving:
        yield serving


def test_the_environment_is_as_the_standard_has_it(serving: Served, given: dict[str, Any]) -> None:
    """PEP 3333; the validator of the standard library looks at it, and at how it is called."""
    caller = serving.call().send(
        b"POST /a%20b%C3%A9?q=%20 HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
        b"X-Forwarded-For: a\r\nX-Forwarded-For: b\r\nX_Forwarded_For: c\r\nX-Odd: \xe9\r\n\r\nabc"
    )
    assert caller.answer().body == b"seen"
    address, port = caller.sock.getsockname()
    expected = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a b\xc3\xa9",
        "QUERY_STRING": "q=%20",
        "RAW_URI": "/a%20b%C3%A9?q=%20",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "3",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(serving.listener.getsockname()[1]),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": address,
        "REMOTE_PORT": str(port),
        "HTTP_HOST": "x",
        "HTTP_X_FORWARDED_FOR": "a,b",
        "HTTP_X_ODD": "\xe9",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    assert {name: given[name] for name in expected} == expected
    assert {name for name in given if name.startswith("HTTP_")} == {"HTTP_HOST", "HTTP_X_FORWARDED_FOR", "HTTP_X_ODD"}
    given.clear()
    serving.ask(get("/"))
    assert "CONTENT_TYPE" not in given


def test_a_unix_socket_has_a_path_and_no_port() -> None:
    class Unix:
        def getsockname(self) -> str:
            return "/run/authserver.sock"

    environ = of_connection({}, Unix(), "")  # type: ignore[arg-type]
    assert environ == {
        "SERVER_NAME": "/run/authserver.sock", "SERVER_PORT": "", "REMOTE_ADDR": "", "REMOTE_PORT": "",
    }  # fmt: skip


def test_an_answer_is_sent_as_it_was_and_with_what_belongs_to_the_connection() -> None:
    fields = [
        ("Set-Cookie", "a"),
        ("Set-Cookie", "b"),
        ("X-A", " \u00e9 "),
        ("Connection", "upgrade"),
        ("Date", "then"),
    ]
    with served(answering("201 Created", *fields, ("Content-Length", "3"), body=[b"bo", b"dy"])) as serving:
        caller = serving.call().send(get("/"))
        caller.sock.shutdown(1)
        head, _, body = caller.rest().decode("latin-1").partition("\r\n\r\n")
    status, server, date, *others = head.split("\r\n")
    assert (status, server) == ("HTTP/1.1 201 Created", "Server: gunicorn")
    assert date.startswith("Date: ")
    assert others == [
        "Connection: keep-alive", "Set-Cookie: a", "Set-Cookie: b", "X-A: \xe9", "Content-Length: 4",
    ]  # fmt: skip
    assert "then" not in date
    assert body == "body"


@pytest.mark.parametrize(
    ("method", "status", "sent", "length"),
    [
        ("GET", "200 OK", b"body", "4"),
        ("HEAD", "200 OK", b"", "100"),
        ("GET", "204 No Content", b"", None),
        ("GET", "304 Not Modified", b"", "100"),
    ],
)
def test_some_answers_have_no_body(method: str, status: str, sent: bytes, length: str | None) -> None:
    with served(answering(status, ("Content-Length", "100"))) as serving:
        caller = serving.call().send(get("/", "Connection: close").replace(b"GET", method.encode("ascii")))
        _, headers = caller.head()
        assert (headers.get("Content-Length"), caller.rest()) == (length, sent)


@pytest.mark.parametrize(
    ("status", "field"),
    [
        ("200 OK\r\nX: y", ("X-A", "1")),
        ("OK", ("X-A", "1")),
        ("", ("X-A", "1")),
        ("100 Continue", ("X-A", "1")),
        ("200 OK", ("X-A", "1\r\nSet-Cookie: a")),
        ("200 OK", ("X-A", "1\n2")),
        ("200 OK", ("X-A", "1\r2")),
        ("200 OK", ("X-A", "1\x002")),
        ("200 OK", ("X-A", "\u20ac")),
        ("200 OK", ("X-A\r\nSet-Cookie", "a")),
        ("200 OK", ("X A", "1")),
        ("200 OK", ("X-A:", "1")),
        ("200 OK", ("", "1")),
        ("200 OK", (b"X-A", "1")),
        ("200 OK", ("X-A", b"1")),
    ],
)
def test_an_answer_that_would_be_two_is_an_error_of_the_application(
    status: str, field: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with served(answering(status, field)) as serving:
        caller = serving.call().send(get("/"))
        answer = caller.answer()
        assert (answer.status, answer.body, caller.rest()) == (500, b"Internal Server Error", b"")
    assert len(caplog.records) == 1
    assert "Set-Cookie: a" not in caplog.text


@pytest.mark.parametrize("body", [["text"], [b"", None]])
def test_a_body_is_bytes(body: Any) -> None:
    with served(answering(body=body)) as serving:
        assert serving.ask().status == 500


def test_an_application_may_write_think_better_of_it_and_be_told_when_it_is_over() -> None:
    over: list[str] = []

    class Content:
        def __iter__(self) -> Iterator[bytes]:
            yield b"returned"

        def close(self) -> None:
            over.append("closed")

    def application(_environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        start("200 OK", [])(b"written, ")
        with pytest.raises(ValueError, match="before"):
            start("200 OK", [])
        try:
            raise RuntimeError
        except RuntimeError as error:
            start("503 Service Unavailable", [], (RuntimeError, error, error.__traceback__))
        return Content()

    with served(application) as serving:
        answer = serving.ask()
    assert (answer.status, answer.body, over) == (503, b"written, returned", ["closed"])


def test_a_body_that_ends_too_early_can_be_read_up_to_there() -> None:
    for size in (None, -1, 4):
        with pytest.raises(OSError, match="early"):
            CutShort(b"abc").read(size)
        with pytest.raises(OSError, match="early"):
            CutShort(b"abc").readline(size)
    assert CutShort(b"abc").read(3) == b"abc"
    assert CutShort(b"a\nbc").readline() == b"a\n"
    assert CutShort(b"").read(0) == b""
