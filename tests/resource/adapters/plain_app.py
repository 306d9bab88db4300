"""The application of the contract in plain ASGI: no framework, and the middleware before each part of it."""

import json
from typing import Any

from authserver.resource.asgi import ResourceServer
from tests.resource.adapters.views import BOTH, EITHER, Whole, has_token, optional_token, seen
from tests.resource.adapters.wire import Application, over_asgi


def route_of(scope: Any) -> str:
    path: str = scope["path"].removeprefix(scope["root_path"])
    return path


def album(scope: Any) -> str:
    return f"images:read:{route_of(scope).rpartition('/')[2]}"


async def answer(send: Any, body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


def make(**options: Any) -> Application:
    api = ResourceServer(**options)

    async def view(scope: Any, _receive: Any, send: Any) -> None:
        name = "/".join(route_of(scope).split("/")[2:])
        await answer(send, json.dumps(seen(api.optional_token, name)).encode())

    async def body(_scope: Any, receive: Any, send: Any) -> None:
        read = b""
        while (message := await receive())["type"] == "http.request":
            read += message["body"]
            if not message["more_body"]:
                break
        await answer(send, read)

    async def unprotected(_scope: Any, _receive: Any, send: Any) -> None:
        await answer(send, json.dumps(has_token(api)).encode())

    async def broken(_scope: Any, _receive: Any, _send: Any) -> None:
        raise KeyError("the view's own mistake")

    reads = api.middleware(view, "images:read")
    parts = {
        "images": reads,
        "both": api.middleware(view, *BOTH),
        "either": api.middleware(view, any_of=EITHER),
        "anybody": api.middleware(view),
        "optional": api.middleware(view, optional=True),
        "albums": api.middleware(view, album),
        "twice": api.middleware(reads, "images:read"),
        "body": api.middleware(body, "images:read"),
        "open": unprotected,
        "broken": api.middleware(broken),
        ".well-known": reads,
    }

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        await parts[route_of(scope).split("/")[1]](scope, receive, send)

    return over_asgi(dispatch)


def make_whole(whole: Whole, **options: Any) -> Application:
    api = ResourceServer(**options)

    async def everything(scope: Any, _receive: Any, send: Any) -> None:
        await answer(send, json.dumps(seen(optional_token(api), route_of(scope)[1:])).encode())

    stricter = api.middleware(everything, "images:write")

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        await (stricter if route_of(scope) == "/stricter" else everything)(scope, receive, send)

    return over_asgi(api.middleware(dispatch, *whole.needs, exempt=whole.exempt))
