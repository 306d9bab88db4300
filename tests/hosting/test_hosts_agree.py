"""Nobody can tell which host has answered: any request, asked of both."""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from wsgiref.types import WSGIApplication

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authserver.endpoints.http import Request, Response, Route
from authserver.hosting.doorway import Doorway
from authserver.hosting.flask import create_app
from tests.hosting.conftest import PROXY, World, ask, environ
from tests.served import exchange_form

PATHS = [
    "/token", "/introspect", "/revoke", "/register", "/devices", "/devices/invitations", "/devices/dev_A", "/livez",
    "/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration",
    "/.well-known/oauth-protected-resource", "//token", "/token/", "token", "", "*", "/nothing", "/\xe9",
]  # fmt: skip
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW", "post", "get"]
VARIABLES: dict[str, list[str | None]] = {
    "HTTP_HOST": [
        "auth.example.com", "127.0.0.1:8400", "[::1]:8400", "[fe80::1%eth0]", "a..b", "x" * 70, f"{'x' * 57}:65535",
        "host:99999999", "ex_ample", "a b", "\xe9", "", ".", "a.", "[", "a,b", None,
    ],
    "HTTP_UPGRADE": [None, None, "websocket", "h2c"],
    "HTTP_CONNECTION": [None, "upgrade", "keep-alive, Upgrade"],
    "HTTP_TRANSFER_ENCODING": [None, None, "chunked", "gzip, chunked"],
    "HTTP_EXPECT": [None, "100-continue"],
    "CONTENT_TYPE": [None, "", "application/x-www-form-urlencoded", "application/json"],
    "CONTENT_LENGTH": [None, "", "0", "3", "20", "99", "99999999", "-1", "x"],
    "HTTP_AUTHORIZATION": [None, "Basic YTpi", "Bearer x", "DPoP x,DPoP y"],
    "HTTP_DPOP": [None, "a,b"],
    "HTTP_COOKIE": [None, "a=b"],
    "HTTP_X_HTTP_METHOD_OVERRIDE": [None, "GET"],
    "HTTP_X_FORWARDED_PROTO": [None, "http", "https"],
    "HTTP_IF_NONE_MATCH": [None, "*", '"x"'],
    "QUERY_STRING": ["", "a=b", "\xe9"],
    "SCRIPT_NAME": ["", "/below"],
    "SERVER_PROTOCOL": ["HTTP/1.1", "HTTP/1.0", "HTTP/2"],
    "wsgi.url_scheme": ["http", "https"],
}  # fmt: skip

REQUESTS = st.fixed_dictionaries(
    {"REQUEST_METHOD": st.sampled_from(METHODS), "PATH_INFO": st.sampled_from(PATHS)},
    optional={
        **{name: st.sampled_from(values) for name, values in VARIABLES.items()},
        "wsgi.input_terminated": st.just(True),
    },
)
BODIES = {"empty": b"", "form": b"a=b", "repeated": b"grant_type=x&grant_type=y", "json": b"{}", "long": b"x" * 70_000}


@pytest.fixture
def both(world: World) -> list[WSGIApplication]:
    """Both hosts of one world."""
    return [create_app(world.service), Doorway(world.service)]


def answers(world: World, hosts: list[WSGIApplication], body: bytes, asked: dict[str, Any]) -> list[Any]:
    """What each host answers, counts and puts on record."""
    found = []
    for host in hosts:
        events, requests = world.audit.tell(), world.counted()
        named = {"REMOTE_ADDR": PROXY, "HTTP_X_REQUEST_ID": "given-by-proxy", **asked}
        answer = ask(host, environ("GET", "/", body, **named))
        found.append((answer, answer.body, world.audit.getvalue()[events:], world.counted() - requests))
    return found


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(asked=REQUESTS, body=st.sampled_from(list(BODIES)))
def test_both_hosts_answer_any_request_alike(
    world: World, both: list[WSGIApplication], asked: dict[str, Any], body: str
) -> None:
    flask, doorway = answers(world, both, BODIES[body], asked)
    assert flask == doorway


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_of_any_value_makes_no_difference(world: World, both: list[WSGIApplication], name: str) -> None:
    form = urlencode(exchange_form("x")).encode()
    for value in VARIABLES[name]:
        flask, doorway = answers(world, both, form, {"REQUEST_METHOD": "POST", "PATH_INFO": "/token", name: value})
        assert flask == doorway


def test_the_doorway_leaves_to_flask_what_it_is_not_sure_of(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And answers the rest itself, or the whole of it would be for nothing."""
    handed_on = []

    def here(_request: Request) -> Response:
        return Response(204)

    def elsewhere(asked: dict[str, Any], start_response: Any) -> list[bytes]:
        handed_on.append((asked["REQUEST_METHOD"], asked["PATH_INFO"]))
        start_response("204 No Content", [])
        return []

    paths = [("POST", "/token"), ("GET", "/keys"), ("DELETE", "/devices/<client_id>")]
    door = Doorway(replace(world.service, routes=tuple(Route(path, method, here) for method, path in paths)))
    monkeypatch.setattr(door, "_elsewhere", elsewhere)
    for method, path in [*paths, ("HEAD", "/keys"), ("GET", "/token"), ("POST", "//token"), ("post", "/token")]:
        ask(door, environ(method, path))
    for more in ({"HTTP_UPGRADE": "websocket"}, {"HTTP_HOST": "a..b"}, {"HTTP_HOST": None}):
        ask(door, environ("POST", "/token", **more))
    assert handed_on == [
        ("DELETE", "/devices/<client_id>"), ("HEAD", "/keys"), ("GET", "/token"), ("POST", "//token"),
        ("post", "/token"), ("POST", "/token"), ("POST", "/token"), ("POST", "/token"),
    ]  # fmt: skip
