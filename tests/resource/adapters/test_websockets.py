"""WebSockets are refused before they are accepted."""

import asyncio
import json
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from authserver.resource import VerifiedToken
from authserver.resource.asgi import ResourceServer
from authserver.testing import FakeIssuer
from tests.resource.adapters.wire import Call, http_scope
from tests.resource.calls import Device
from tests.resource.environment import AUDIENCE

DENIAL = "websocket.http.response"
Sent = list[dict[str, Any]]


def connect(app: Any, *headers: tuple[str, str], path: str = "/live", extensions: Any = None) -> Sent:
    """What an application sends to who wants a WebSocket."""
    scope = {**http_scope(Call(target=path, headers=headers)), "type": "websocket", "scheme": "wss", "subprotocols": []}
    del scope["method"]
    scope["extensions"] = {DENIAL: {}} if extensions is None else extensions
    waiting: Sent = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]
    sent: Sent = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(dict(message))

    asyncio.run(app(scope, receive, send))
    return sent


@pytest.fixture
def api(settings: dict[str, Any]) -> ResourceServer:
    return ResourceServer(**settings)


def with_fastapi(api: ResourceServer) -> Any:
    app = FastAPI()

    @app.websocket("/live")
    async def live(websocket: WebSocket, token: Annotated[VerifiedToken, Depends(api.requires("images:read"))]) -> None:
        await websocket.accept()
        await websocket.send_text(token.subject)

    api.init_app(app)
    return app


def with_starlette(api: ResourceServer) -> Any:
    @api.requires("images:read")
    async def live(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(api.token.subject)

    return Starlette(routes=[WebSocketRoute("/live", live)])


def with_middleware(api: ResourceServer) -> Any:
    async def live(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": api.token.subject})

    return api.middleware(live, "images:read")


@pytest.fixture(params=[with_fastapi, with_starlette, with_middleware])
def app(request: pytest.FixtureRequest, api: ResourceServer) -> Any:
    return request.param(api)


def test_who_has_a_token_is_accepted(app: Any, bearer: tuple[str, str], phone: Device) -> None:
    """R65: the handshake is a GET, and its proof is for the address with https."""
    for headers in ([bearer], list(phone.headers("/live").items())):
        accepted, message, *_ = connect(app, *headers)
        assert (accepted["type"], message["text"]) == ("websocket.accept", "tests:somebody")


def test_who_has_none_is_refused_before_that_with_the_challenge(app: Any) -> None:
    """R98"""
    start, body = connect(app)
    assert (start["type"], start["status"]) == (f"{DENIAL}.start", 401)
    challenges = [value for name, value in start["headers"] if name == b"www-authenticate"]
    assert challenges[0].startswith(f'Bearer realm="{AUDIENCE}", scope="images:read"'.encode())
    assert len(challenges) == 2
    assert (body["type"], json.loads(body["body"])) == (f"{DENIAL}.body", {})


def test_a_server_that_cannot_say_why_refuses_all_the_same(app: Any, issuer: FakeIssuer) -> None:
    bad = ("Authorization", f"Bearer {issuer.access_token(AUDIENCE, 'images:write')}")
    for headers in ([], [bad]):
        assert [message["type"] for message in connect(app, *headers, extensions={})] == ["websocket.close"]


def test_an_accepted_websocket_brings_the_next_nonce(api: ResourceServer, phone: Device, clock: Any) -> None:
    """R67"""
    app = with_middleware(api)
    start, _ = connect(app, *phone.headers("/live", nonce="old").items())
    nonce = dict(start["headers"])[b"dpop-nonce"].decode()
    clock.advance(200)
    accepted, _ = connect(app, *phone.headers("/live", nonce=nonce).items())
    assert {name for name, _ in accepted["headers"]} == {b"dpop-nonce", b"cache-control"}


def test_only_what_is_nobody_s_request_passes(api: ResourceServer) -> None:
    """Default deny: a protocol that servers have yet to learn is not open because it is new."""
    seen: list[str] = []
    sent: Sent = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        raise AssertionError("nobody is asked")

    async def send(message: Any) -> None:
        sent.append(message)

    protected = api.middleware(app, "images:read")
    asyncio.run(protected({"type": "lifespan"}, nothing, nothing))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
    asyncio.run(protected({**http_scope(Call()), "type": "webtransport"}, nothing, send))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
    assert sent[0]["status"] == 401
