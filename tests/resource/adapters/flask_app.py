"""The application of the contract in Flask."""

from typing import Any

from flask import Flask, Request, request

from authserver.resource.flask import ResourceServer
from tests.resource.adapters.views import BOTH, EITHER, Whole, has_token, optional_token, seen
from tests.resource.adapters.wire import Application, over_wsgi


def album(request: Request) -> str:
    return f"images:read:{(request.view_args or {})['name']}"


def make(**options: Any) -> Application:
    app, api = Flask(__name__), ResourceServer(**options)
    api.init_app(app)

    @app.route("/images", methods=["GET", "POST"])
    @app.get("/images/<path:name>")
    @api.requires("images:read")
    def images(name: str = "") -> dict[str, str | None]:
        return seen(api.token, name)

    def simple(path: str, *needs: Any, **more: Any) -> None:
        @app.get(path, endpoint=path)
        @api.requires(*needs, **more)
        def view(name: str = "") -> dict[str, str | None]:
            return seen(api.optional_token, name)

    simple("/both", *BOTH)
    simple("/either", any_of=EITHER)
    simple("/anybody")
    simple("/optional", optional=True)
    simple("/albums/<name>", album)

    @app.get("/twice")
    @api.requires("images:read")
    @api.requires("images:read")
    def twice() -> dict[str, str | None]:
        return seen(api.token)

    @app.post("/body")
    @api.requires("images:read")
    def body() -> bytes:
        return request.get_data()

    @app.get("/open")
    def unprotected() -> dict[str, bool]:
        return has_token(api)

    @app.get("/broken")
    @api.requires()
    def broken() -> str:
        raise KeyError("the view's own mistake")

    return over_wsgi(app)


def make_whole(whole: Whole, **options: Any) -> Application:
    app, api = Flask(__name__, static_folder=None), ResourceServer(**options)
    api.protect(app, *whole.needs, exempt=whole.exempt)
    api.init_app(app)

    @app.route("/", defaults={"path": ""})
    @app.route("/<path:path>")
    def everything(path: str) -> dict[str, str | None]:
        return seen(optional_token(api), path)

    @app.get("/stricter")
    @api.requires("images:write")
    def stricter() -> dict[str, str | None]:
        return seen(api.token)

    return over_wsgi(app)
