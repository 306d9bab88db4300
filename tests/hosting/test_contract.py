"""What every host of the endpoints must do: the same requests, with the same answers, on each of them."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from wsgiref.types import WSGIApplication
from wsgiref.validate import validator

import pytest

from authserver.endpoints.http import MAX_BODY, Request, Response, Route
from authserver.housekeeping import Housekeeping
from authserver.telemetry.catalogue import NONE
from tests.hosting.conftest import PAGE, PROXY, Answered, Host, World, ask, environ
from tests.served import exchange_form

JWKS = "/.well-known/jwks.json"
METADATA = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"


def form(world: World, **changes: str | None) -> bytes:
    """The body of an exchange."""
    return urlencode(exchange_form(world.identity, **changes)).encode()


def error(answer: Answered) -> str:
    """The error code of an answer, which says what went wrong and nothing else."""
    document = json.loads(answer.body)
    assert document.keys() == {"error", "error_description", "request_id"}
    assert document["request_id"] == answer.header("X-Request-Id")
    assert answer.header("Content-Type") == "application/json"
    return str(document["error"])


def only_route(world: World, endpoint: Callable[[Request], Response], method: str = "POST") -> Any:
    """The world's service with one endpoint, at ``/token``."""
    return replace(world.service, routes=(Route("/token", method, endpoint),))


class Stream(io.BytesIO):
    """A body that says how much of it was asked for, in pieces of so many bytes."""

    def __init__(self, body: bytes, piece: int = 1 << 20) -> None:
        super().__init__(body)
        self.taken = 0
        self._piece = piece

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert size > 0
        chunk = super().read(min(size, self._piece))
        self.taken += len(chunk)
        return chunk


def test_a_token_is_issued_on_record_and_counted_once(host: WSGIApplication, world: World) -> None:
    events, requests = world.events, world.counted(route="/token", method="POST", status="200")
    answer = ask(validator(host), environ("POST", "/token", form(world)))
    assert answer.status == "200 OK"
    assert "access_token" in json.loads(answer.body)
    assert [name for name, _ in answer.headers] == [
        "Content-Type", "Cache-Control", "Pragma", "X-Request-Id", "X-Content-Type-Options", "Content-Length",
    ]  # fmt: skip
    assert answer.header("Content-Length") == str(len(answer.body))
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert re.fullmatch("[0-9a-f]{32}", answer.header("X-Request-Id") or "")
    assert world.events == events + 1
    assert world.counted(route="/token", method="POST", status="200") == requests + 1


def test_every_request_has_an_identifier_of_its_own(host: WSGIApplication) -> None:
    assert len({ask(host, environ("GET", JWKS)).header("X-Request-Id") for _ in range(20)}) == 20


@pytest.mark.parametrize("path", [JWKS, METADATA, OPENID])
def test_keys_and_metadata_are_given_to_everybody(host: WSGIApplication, path: str) -> None:
    answer = ask(validator(host), environ("GET", path))
    assert (answer.status, answer.header("Content-Length")) == ("200 OK", str(len(answer.body)))
    assert json.loads(answer.body)


def test_who_has_the_keys_is_told_so_without_a_body(host: WSGIApplication) -> None:
    etag = ask(host, environ("GET", JWKS)).header("ETag")
    answer = ask(validator(host), environ("GET", JWKS, HTTP_IF_NONE_MATCH=etag))
    assert (answer.status, answer.body, answer.header("ETag")) == ("304 Not Modified", b"", etag)
    assert answer.header("Content-Length") is answer.header("Content-Type") is None


def test_an_issuer_with_a_path_is_served_below_it(hosted: Host, below: World) -> None:
    host = hosted(below.service)
    assert ask(host, environ("POST", "/auth/token", form(below))).status == "200 OK"
    for path in ("/auth/.well-known/jwks.json", "/.well-known/oauth-authorization-server/auth"):
        assert ask(host, environ("GET", path)).status == "200 OK"
    for path in ("/token", JWKS):
        assert error(ask(host, environ("POST", path, b""))) == "not_found"


def test_a_page_of_a_named_origin_may_ask_and_read(hosted: Host, below: World) -> None:
    host = hosted(below.service)
    allowed = ask(validator(host), environ("OPTIONS", "/auth/token", HTTP_ORIGIN=PAGE))
    assert (allowed.status, allowed.body, allowed.header("Content-Length")) == ("204 No Content", b"", None)
    assert allowed.header("Access-Control-Allow-Methods") == "POST"
    read = ask(host, environ("POST", "/auth/token", form(below), HTTP_ORIGIN=PAGE))
    assert (read.status, read.header("Access-Control-Allow-Origin")) == ("200 OK", PAGE)
    assert ask(host, environ("OPTIONS", "/auth/livez", HTTP_ORIGIN=PAGE)).status.startswith("405 ")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/nothing",
        "/token/",
        "//token",
        "///token",
        "token",
        "/Token",
        "/%74oken",
        "/token;a",
        "/./token",
        "/\xc3\xa9",
        "/\xff",
        "*",
        "//.well-known/jwks.json",
        "/.well-known/jwks.json/",
        "/register/",
        "//nothing",
    ],
)
def test_what_is_not_at_the_path_of_an_endpoint_is_not_found(host: WSGIApplication, world: World, path: str) -> None:
    events, requests = world.events, world.counted(route=NONE, status="404")
    answer = ask(host, environ("POST", path, form(world)))
    assert (answer.status, error(answer)) == ("404 Not Found", "not_found")
    assert (world.events, world.counted(route=NONE, status="404")) == (events, requests + 1)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/token", "POST"),
        ("PUT", "/token", "POST"),
        ("OPTIONS", "/token", "POST"),
        ("BREW", "/token", "POST"),
        ("POST", JWKS, "GET, HEAD"),
        ("DELETE", METADATA, "GET, HEAD"),
        ("POST", "/devices/dev_AAAAAAAAAAAAAAAAAAAAAA", "DELETE"),
    ],
)
def test_another_method_is_told_which_would_do(
    host: WSGIApplication, world: World, method: str, path: str, allowed: str
) -> None:
    events = world.events
    answer = ask(host, environ(method, path))
    assert (answer.status, error(answer)) == ("405 Method Not Allowed", "invalid_request")
    assert (answer.header("Allow"), world.events) == (allowed, events)


def test_head_is_answered_like_get_without_the_body(host: WSGIApplication) -> None:
    for path in (JWKS, METADATA):
        head, get = (ask(validator(host), environ(method, path)) for method in ("HEAD", "GET"))
        assert (head.status, head.body, head.header("Content-Length")) == (get.status, b"", str(len(get.body)))
    refused = ask(host, environ("HEAD", "/token"))
    assert (refused.status, refused.body) == ("405 Method Not Allowed", b"")


def test_the_last_segment_of_a_path_names_a_device(hosted: Host, world: World) -> None:
    def named(request: Request) -> Response:
        return Response(200, (("Content-Type", "text/plain"),), request.client_id.encode())

    service = replace(world.service, routes=(Route("/devices/<client_id>", "GET", named),))
    assert ask(hosted(service), environ("GET", "/devices/dev_A")).body == b"dev_A"
    assert ask(hosted(service), environ("GET", "/devices/<client_id>")).body == b"<client_id>"
    assert ask(hosted(service), environ("GET", "/devices/")).status == "404 Not Found"


def test_a_body_that_is_too_long_is_refused_and_not_read_to_its_end(host: WSGIApplication, world: World) -> None:
    body = b"a=" + b"x" * (4 * MAX_BODY)
    for more in ({}, {"CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}):
        stream = Stream(body, piece=4096)
        answer = ask(host, environ("POST", "/token", body, **{"wsgi.input": stream, **more}))
        assert (answer.status, error(answer)) == ("400 Bad Request", "invalid_request")
        assert json.loads(world.audit.getvalue().splitlines()[-1])["reason"] == "body_too_large"
        assert stream.taken == MAX_BODY + 1


def test_a_body_that_comes_in_pieces_is_put_together_and_nothing_behind_it_is_read(
    host: WSGIApplication, world: World
) -> None:
    body = form(world)
    stream = Stream(body + b"&grant_type=again", piece=7)
    asked = environ("POST", "/token", body, **{"wsgi.input": stream})
    assert ask(host, asked).status == "200 OK"
    assert stream.taken == len(body)


@pytest.mark.parametrize("terminated", [None, True])
def test_a_body_that_is_cut_short_is_no_request(host: WSGIApplication, world: World, terminated: bool | None) -> None:
    body, events = form(world), world.events
    asked = environ(
        "POST", "/token", body, **{"wsgi.input": io.BytesIO(body[:-1]), "wsgi.input_terminated": terminated}
    )
    answer = ask(host, asked)
    assert (answer.status, error(answer)) == ("400 Bad Request", "invalid_request")
    assert (world.events, world.counted(route=NONE, status="400") > 0) == (events, True)


@pytest.mark.parametrize("raised", [OSError, ValueError, RuntimeError])
def test_a_body_that_the_server_cannot_read_is_no_request(
    host: WSGIApplication, world: World, raised: type[Exception]
) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise raised(f"not {size} bytes")

    answer = ask(host, environ("POST", "/token", form(world), **{"wsgi.input": Broken()}))
    assert (answer.status, error(answer)) == ("400 Bad Request", "invalid_request")


def test_a_body_of_no_declared_length_is_read_where_the_server_ends_it(host: WSGIApplication, world: World) -> None:
    unsized = {"CONTENT_LENGTH": None, "HTTP_TRANSFER_ENCODING": "chunked"}
    ended = environ("POST", "/token", form(world), **unsized, **{"wsgi.input_terminated": True})
    assert ask(host, ended).status == "200 OK"
    assert error(ask(host, environ("POST", "/token", form(world), **unsized))) == "invalid_request"
    assert json.loads(world.audit.getvalue().splitlines()[-1])["reason"] == "parameter_missing"


@pytest.mark.parametrize("declared", ["x", "-1", "+5", "1e3", " 5", "5, 5", "\xb2", "9" * 5000])
def test_a_length_that_is_none_is_no_request(host: WSGIApplication, world: World, declared: str) -> None:
    events = world.events
    for method, path in (("POST", "/token"), ("GET", JWKS)):
        answer = ask(host, environ(method, path, form(world), CONTENT_LENGTH=declared))
        assert (answer.status, error(answer)) == ("400 Bad Request", "invalid_request")
    assert world.events == events


def test_an_empty_body_is_an_empty_form(host: WSGIApplication, world: World) -> None:
    for asked in (environ("POST", "/token", b""), environ("POST", "/token", b"", CONTENT_LENGTH="")):
        assert error(ask(host, asked)) == "invalid_request"
        assert json.loads(world.audit.getvalue().splitlines()[-1])["reason"] == "parameter_missing"


def test_headers_are_found_by_any_spelling_and_as_they_were_sent(hosted: Host, world: World) -> None:
    found: dict[str, tuple[str, ...]] = {}

    def look(request: Request) -> Response:
        names = ("content-type", "content-length", "dpop", "x-forwarded-for", "x_forwarded_for", "authorization")
        found.update({name: request.header_values(name) for name in names})
        return Response(204)

    more = {
        "HTTP_CONTENT_TYPE": "text/plain",  # what a sloppy server makes of Content_Type
        "HTTP_CONTENT_LENGTH": "7",
        "HTTP_DPOP": "a, b",  # as a server joins two of them
        "HTTP_X_FORWARDED_FOR": "192.0.2.1",
        "HTTP_AUTHORIZATION": "Bearer \xe4\xff",  # bytes that are no text: WSGI has them in Latin-1
    }
    assert ask(hosted(only_route(world, look)), environ("POST", "/token", b"a=b", **more)).status == "204 No Content"
    assert found == {
        "content-type": ("application/x-www-form-urlencoded",),
        "content-length": ("3",),
        "dpop": ("a, b",),
        "x-forwarded-for": ("192.0.2.1",),
        "x_forwarded_for": ("192.0.2.1",),
        "authorization": ("Bearer \xe4\xff",),
    }


def test_what_follows_the_question_mark_is_handed_on_as_it_came(hosted: Host, world: World) -> None:
    queries = []

    def look(request: Request) -> Response:
        queries.append(request.query)
        return Response(204)

    host = hosted(only_route(world, look))
    for query in ("", "a=%41&b=\xe9", "a?b"):
        ask(host, environ("POST", "/token", b"", QUERY_STRING=query))
    assert queries == ["", "a=%41&b=\xe9", "a?b"]


def test_only_a_trusted_proxy_names_the_request(host: WSGIApplication, world: World) -> None:
    named = {"HTTP_X_REQUEST_ID": "given-by-proxy"}
    for method, path in (("POST", "/token"), ("GET", "/nothing"), ("HEAD", JWKS)):
        believed = ask(host, environ(method, path, form(world), REMOTE_ADDR=PROXY, **named))
        assert believed.header("X-Request-Id") == "given-by-proxy"
        for peer in ("192.0.2.1", "", "unix:", None):
            stranger = ask(host, environ(method, path, form(world), REMOTE_ADDR=peer, **named))
            assert stranger.header("X-Request-Id") != "given-by-proxy"


def test_what_a_trusted_proxy_had_in_the_clear_is_refused(host: WSGIApplication, world: World) -> None:
    plain = {"HTTP_X_FORWARDED_PROTO": "http"}
    assert error(ask(host, environ("POST", "/token", form(world), REMOTE_ADDR=PROXY, **plain))) == "invalid_request"
    assert json.loads(world.audit.getvalue().splitlines()[-1])["reason"] == "plain_http"
    assert ask(host, environ("POST", "/token", form(world), **plain)).status == "200 OK"


def test_an_endpoint_that_fails_is_a_500_without_a_word_and_counted(
    hosted: Host, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(request: Request) -> Response:
        raise ZeroDivisionError("SECRETWORD", request.body)

    requests = world.counted(route="/token", status="500")
    answer = ask(hosted(only_route(world, broken)), environ("POST", "/token", b"a=b"))
    assert (answer.status, error(answer)) == ("500 Internal Server Error", "server_error")
    assert b"SECRETWORD" not in answer.body
    assert "ZeroDivisionError" in caplog.text
    assert world.counted(route="/token", status="500") == requests + 1


def test_a_failure_before_any_endpoint_is_a_500_without_a_word_too(
    hosted: Host, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    class Threadless(Housekeeping):
        def ensure_running(self) -> None:
            raise RuntimeError("can't start new thread")

    service = replace(world.service, housekeeping=(Threadless(()),))
    events = world.events
    for method, path in (("POST", "/token"), ("GET", JWKS), ("HEAD", JWKS)):
        answer = ask(hosted(service), environ(method, path, form(world)))
        assert answer.status == "500 Internal Server Error"
        assert method == "HEAD" or error(answer) == "server_error"
    assert world.events == events
    assert "can't start new thread" in caplog.text


def test_the_background_work_is_begun_by_the_first_request(hosted: Host, world: World) -> None:
    begun = []

    class Noticed(Housekeeping):
        def ensure_running(self) -> None:
            begun.append("now")

    host = hosted(replace(world.service, housekeeping=(Noticed(()),)))
    assert begun == []
    ask(host, environ("GET", JWKS))
    assert begun == ["now"]
