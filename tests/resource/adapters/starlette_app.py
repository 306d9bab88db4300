"""The application of the contract in Starlette: endpoints that are asynchronous, synchronous, and methods."""

from typing import Any

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from authserver.resource.asgi import ResourceServer
from tests.resource.adapters.views import BOTH, EITHER, Whole, has_token, optional_token, seen
from tests.resource.adapters.wire import Application, over_asgi


def album(request: Request) -> str:
    return f"images:read:{request.path_params['name']}"


def make(**options: Any) -> Application:
    api = ResourceServer(**options)

    class Images(HTTPEndpoint):
        @api.requires("images:read")
        async def get(self, request: Request) -> Response:
            return JSONResponse(seen(api.token, request.path_params.get("name", "")))

        @api.requires("images:read")
        def post(self, _request: Request) -> Response:
            return JSONResponse(seen(api.token))

    def simple(path: str, *needs: Any, **more: Any) -> Route:
        @api.requires(*needs, **more)
        def view(request: Request) -> Response:
            return JSONResponse(seen(api.optional_token, request.path_params.get("name", "")))

        return Route(path, view)

    @api.requires("images:read")
    @api.requires("images:read")
    async def twice(_request: Request) -> Response:
        return JSONResponse(seen(api.token))

    @api.requires("images:read")
    async def body(request: Request) -> Response:
        return Response(await request.body())

    async def unprotected(_request: Request) -> Response:
        return JSONResponse(has_token(api))

    @api.requires()
    async def broken(_request: Request) -> Response:
        raise KeyError("the view's own mistake")

    app = Starlette(
        routes=[
            Route("/images", Images),
            Route("/images/{name:path}", Images),
            simple("/both", *BOTH),
            simple("/either", any_of=EITHER),
            simple("/anybody"),
            simple("/optional", optional=True),
            simple("/albums/{name}", album),
            Route("/twice", twice),
            Route("/body", body, methods=["POST"]),
            Route("/open", unprotected),
            Route("/broken", broken),
        ]
    )
    api.init_app(app)
    return over_asgi(app)


def make_whole(whole: Whole, **options: Any) -> Application:
    api = ResourceServer(**options)

    async def everything(request: Request) -> Response:
        return JSONResponse(seen(optional_token(api), request.path_params["path"]))

    @api.requires("images:write")
    async def stricter(_request: Request) -> Response:
        return JSONResponse(seen(api.token))

    app = Starlette(routes=[Route("/stricter", stricter), Route("/{path:path}", everything)])
    app.add_middleware(api.middleware, *whole.needs, exempt=whole.exempt)
    return over_asgi(app)
