"""What the resource servers of ASGI and Django have in common, and what an ASGI server may leave out."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from authserver.resource.adapter import Adapter
from authserver.resource.asgi import ResourceServer
from tests.resource.adapters.wire import Call, ask_asgi, http_scope
from tests.resource.calls import Device
from tests.resource.environment import AUDIENCE


@pytest.fixture
def api(settings: dict[str, Any]) -> ResourceServer:
    return ResourceServer(**settings)


def run(app: Any, *arguments: Any) -> None:
    async def answer() -> None:
        await app(*arguments)

    asyncio.run(answer())


def test_it_says_what_it_was_told(settings: dict[str, Any]) -> None:
    assert Adapter(**settings).url is None
    assert Adapter(**settings, url="https://cdn.example").url == "https://cdn.example"


def test_the_token_is_there_only_while_something_protected_runs(api: ResourceServer) -> None:
    with pytest.raises(RuntimeError, match="requires"):
        _ = api.optional_token
    with api.during(None):
        assert api.optional_token is None
        with pytest.raises(RuntimeError, match="optional_token"):
            _ = api.token
    with pytest.raises(RuntimeError, match="requires"):
        _ = api.token


def test_requests_are_counted(api: ResourceServer, bearer: tuple[str, str]) -> None:
    async def view(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    before = api.accepted
    assert asyncio.run(ask_asgi(api.middleware(view), Call(headers=[bearer]))).status == 200
    assert api.accepted != before


@pytest.mark.parametrize("left_out", ["raw_path", "root_path", "client", "extensions"])
def test_a_server_need_not_say_everything(api: ResourceServer, phone: Device, left_out: str) -> None:
    """R63"""
    scope = http_scope(Call(target="/images/caf%C3%A9", headers=list(phone.headers("/images/caf%C3%A9").items())))
    del scope[left_out]
    sent: list[Any] = []

    async def view(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def receive() -> Any:
        raise AssertionError("nobody needs the body")

    async def send(message: Any) -> None:
        sent.append(message["status"])

    run(api.middleware(view, "images:read"), scope, receive, send)
    assert sent == [204]


def test_a_form_in_several_pieces_is_read_and_given_out_once_more(api: ResourceServer, bearer: tuple[str, str]) -> None:
    form = ("Content-Type", "application/x-www-form-urlencoded")
    scope = http_scope(Call("POST", headers=[bearer, form], body=b"a=bc=d"))
    pieces: list[Any] = [
        {"type": "http.request", "body": b"a=b", "more_body": True},
        {"type": "http.request", "body": b"&c=d" + b"e" * 70_000, "more_body": True},
        {"type": "http.disconnect"},
    ]
    expected, got = list(pieces), []

    async def view(_scope: Any, receive: Any, _send: Any) -> None:
        got.extend([await receive() for _ in expected])

    async def receive() -> Any:
        return pieces.pop(0)

    async def send(_: Any) -> None:
        raise AssertionError("nothing is refused")

    run(api.middleware(view, "images:read"), scope, receive, send)
    assert got == expected


def test_without_fastapi_a_guard_is_no_wrapper() -> None:
    """Contract section 6: the base install will do."""
    program = (
        "import sys, inspect; sys.modules['fastapi'] = None\n"
        "from authserver.resource.asgi import ResourceServer\n"
        f"guard = ResourceServer(issuer='https://auth.example.com', audience={AUDIENCE!r}).requires('a')\n"
        "sys.exit(inspect.unwrap(guard) is not guard)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
