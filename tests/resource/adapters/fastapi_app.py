"""The application of the contract in FastAPI: dependencies of asynchronous and synchronous path operations."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response

from authserver.resource import VerifiedToken
from authserver.resource.asgi import ResourceServer
from tests.resource.adapters.views import BOTH, EITHER, Whole, has_token, optional_token, seen
from tests.resource.adapters.wire import Application, over_asgi


def album(request: Request) -> str:
    return f"images:read:{request.path_params['name']}"


def build(**options: Any) -> FastAPI:
    app, api = FastAPI(), ResourceServer(**options)
    reads = Depends(api.requires("images:read"))

    @app.get("/images")
    @app.post("/images")
    @app.get("/images/{name:path}")
    async def images(token: Annotated[VerifiedToken, reads], name: str = "") -> dict[str, str | None]:
        return seen(token, name)

    def simple(path: str, *needs: Any, **more: Any) -> None:
        @app.get(path)
        def view(
            token: Annotated[VerifiedToken | None, Depends(api.requires(*needs, **more))], request: Request
        ) -> dict[str, str | None]:
            assert token is api.optional_token
            return seen(token, request.path_params.get("name", ""))

    simple("/both", *BOTH)
    simple("/either", any_of=EITHER)
    simple("/anybody")
    simple("/optional", optional=True)
    simple("/albums/{name}", album)

    @app.get("/twice", dependencies=[Depends(api.requires("images:read")), reads])
    def twice() -> dict[str, str | None]:
        return seen(api.token)

    @app.post("/body", dependencies=[reads])
    async def body(request: Request) -> Response:
        return Response(await request.body())

    @app.get("/open")
    async def unprotected() -> dict[str, bool]:
        return has_token(api)

    @app.get("/broken", dependencies=[Depends(api.requires())])
    async def broken() -> None:
        raise KeyError("the view's own mistake")

    api.init_app(app)
    return app


def make(**options: Any) -> Application:
    return over_asgi(build(**options))


def make_whole(whole: Whole, **options: Any) -> Application:
    app, api = FastAPI(), ResourceServer(**options)

    @app.get("/stricter", dependencies=[Depends(api.requires("images:write"))])
    async def stricter() -> dict[str, str | None]:
        return seen(api.token)

    @app.get("/{path:path}")
    def everything(path: str) -> dict[str, str | None]:
        return seen(optional_token(api), path)

    app.add_middleware(api.middleware, *whole.needs, exempt=whole.exempt)
    api.init_app(app)
    return over_asgi(app)
