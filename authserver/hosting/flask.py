"""Flask as the host of the endpoints."""

from collections.abc import Callable
from functools import partial

import flask
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from authserver.endpoints import respond
from authserver.endpoints.http import Request, Response, Route
from authserver.hosting.serving import STATUS_LINES, Serving
from authserver.server import Service


def create_app(service: Service) -> flask.Flask:
    """A WSGI application that serves every endpoint of ``service``."""
    app = flask.Flask("authserver", static_folder=None)
    app.url_map.merge_slashes = False  # or "//token" would be answered with a redirect and a page
    serving = Serving(service)
    for route in service.routes:
        app.add_url_rule(
            route.path,
            endpoint=f"{route.method} {route.path}",
            view_func=_view(serving, route),
            methods=[route.method],
            provide_automatic_options=False,
        )
    app.before_request(partial(_respelled, serving))
    app.register_error_handler(HTTPException, _http_error(serving))
    return app


def _respelled(serving: Serving) -> flask.Response | None:
    """Refuse a path that Werkzeug would take for another, because it does not count slashes at the beginning."""
    environ = flask.request.environ
    path = environ.get("PATH_INFO", "")
    return None if path[:1] == "/" != path[1:2] else _response(serving.refuse(environ, respond.not_found))


def _view(serving: Serving, route: Route) -> Callable[..., flask.Response]:
    def view(client_id: str = "") -> flask.Response:
        return _response(serving.answer(route, flask.request.environ, client_id))

    return view


def _http_error(serving: Serving) -> Callable[[HTTPException], flask.Response]:
    """What Flask refuses before an endpoint sees it: an unknown path, another method, a broken body."""

    def answer(error: HTTPException) -> flask.Response:
        return _response(serving.refuse(flask.request.environ, partial(_refusal, error)))

    return answer


def _refusal(error: HTTPException, request: Request) -> Response:
    if isinstance(error, NotFound):
        return respond.not_found(request)
    if isinstance(error, MethodNotAllowed):
        return respond.method_not_allowed(request, allowed=", ".join(sorted(error.valid_methods or ())))
    return respond.server_error(request) if (error.code or 500) >= 500 else respond.malformed(request)


def _response(response: Response) -> flask.Response:
    outgoing = flask.Response(response.body, STATUS_LINES[response.status])
    outgoing.headers = Headers(list(response.headers))
    return outgoing
