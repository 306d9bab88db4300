"""Starlette's part of :mod:`authserver.resource.asgi`, which imports it where something of Starlette is protected."""

import inspect
from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import Any, cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from authserver.resource.adapter import Denied
from authserver.resource.asgi_admission import Admission
from authserver.resource.asgi_messages import encoded, send_answer
from authserver.resource.challenge import Answer
from authserver.resource.requirement import Needs

Endpoint = Callable[..., Any]


class Answered(Response):
    """An answer of ours as a response of Starlette."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body, answer.status)
        self.raw_headers = encoded((*answer.headers, ("Content-Length", str(len(answer.body)))))
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, also to who wants a WebSocket from a server that cannot send a response to that."""
        if scope["type"] == "websocket":
            await send_answer(self._answer, scope, send)
        else:
            await super().__call__(scope, receive, send)


class RequestRefused(HTTPException):
    """A request was refused in a dependency. Status and headers are right whoever makes the response of it."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status, headers=Headers(raw=encoded(_without_type(answer))))  # may repeat a name
        self.response = Answered(answer)


class HandsOver:
    """A middleware that hands out nonces, whatever makes the response."""

    def __init__(self, app: ASGIApp, api: Admission) -> None:
        self._app = app
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let everything pass."""
        await self._app(scope, receive, self._api.hand_over(scope, send))


def protect(endpoint: Endpoint, api: Admission, needs: Needs) -> Endpoint:
    """Decorate an endpoint: a function, or a method of an endpoint class, for HTTP or for a WebSocket."""
    run = endpoint if inspect.iscoroutinefunction(endpoint) else partial(run_in_threadpool, endpoint)

    @wraps(endpoint)
    async def protected(*args: Any, **kwargs: Any) -> Any:
        connection = _connection((*args, *kwargs.values()))
        try:
            accepted = await api.admit(connection.scope, needs, connection, partial(read_form, connection))
        except Denied as denied:
            if isinstance(connection, WebSocket):
                return await send_answer(denied.answer, connection.scope, connection.send)
            return Answered(denied.answer)
        with api.during(accepted and accepted.token):
            return await run(*args, **kwargs)

    return protected


def prepare(app: object, api: Admission) -> None:
    """What :meth:`authserver.resource.asgi.ResourceServer.init_app` does.

    :raises TypeError: ``app`` is no application of Starlette or FastAPI.
    """
    if not isinstance(app, Starlette):
        raise TypeError("init_app is for an application of Starlette or FastAPI; use api.middleware for any other")

    async def metadata(_: Request) -> Response:
        return Answered(api.protection.metadata)

    async def refused(_: Request, error: Exception) -> Response:
        return cast(RequestRefused, error).response

    app.add_exception_handler(RequestRefused, refused)
    app.add_middleware(HandsOver, api)
    if api.protection.metadata_path is not None:
        # First, or a route that takes everything would take this.
        route = Route(api.protection.metadata_path, metadata, methods=["GET"], include_in_schema=False)
        app.router.routes.insert(0, route)


async def read_form(connection: HTTPConnection) -> bytes:
    """The body of a request, so that the endpoint can still read it; or as much of a form as matters here."""
    request = cast(Request, connection)  # a WebSocket has no form
    try:
        return await request.body()
    except RuntimeError:  # FastAPI has parsed the form for its parameters and dropped the body
        return b"&".join(name.encode() for name in await request.form())


def _connection(arguments: Iterable[object]) -> HTTPConnection:
    for argument in arguments:
        if isinstance(argument, HTTPConnection):
            return argument
    raise TypeError("a decorated endpoint must be called with its request; in FastAPI, use Depends")


def _without_type(answer: Answer) -> list[tuple[str, str]]:
    return [(name, value) for name, value in answer.headers if name != "Content-Type"]
