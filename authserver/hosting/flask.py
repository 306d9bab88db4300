"""Flask as the host of the endpoints."""

import logging
import uuid
from collections.abc import Callable

import flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from authserver.endpoints import respond
from authserver.endpoints.http import MAX_BODY, Endpoint, Request, Response
from authserver.server import Service

_log = logging.getLogger("authserver")


def create_app(service: Service) -> flask.Flask:
    """A WSGI application that serves every endpoint of ``service``."""
    app = flask.Flask("authserver", static_folder=None)
    app.url_map.merge_slashes = False  # or "//token" would be answered with a redirect and a page
    for route in service.routes:
        app.add_url_rule(
            route.path,
            endpoint=f"{route.method} {route.path}",
            view_func=_view(service, route.endpoint),
            methods=[route.method],
            provide_automatic_options=False,
        )
    app.register_error_handler(HTTPException, _http_error)
    return app


def _view(service: Service, endpoint: Endpoint) -> Callable[[], flask.Response]:
    def view() -> flask.Response:
        service.housekeeping.ensure_running()
        request = _request(flask.request)
        return _response(request, _answer(endpoint, request))

    return view


def _answer(endpoint: Endpoint, request: Request) -> Response:
    try:
        return endpoint(request)
    except Exception:
        # The last resort: the traceback goes to the operator, a constant to the caller.
        _log.exception("request failed", extra={"request_id": request.request_id})
        return respond.server_error(request)


def _request(incoming: flask.Request) -> Request:
    return Request(
        method=incoming.method,
        request_id=uuid.uuid4().hex,
        peer=incoming.remote_addr or "",
        query=incoming.query_string.decode("latin-1"),
        headers=tuple(incoming.headers.items()),
        body=_body(incoming),
    )


def _body(incoming: flask.Request) -> bytes:
    chunks: list[bytes] = []
    wanted = MAX_BODY + 1
    while wanted > 0 and (chunk := incoming.stream.read(wanted)):
        chunks.append(chunk)
        wanted -= len(chunk)
    return b"".join(chunks)


def _response(request: Request, response: Response) -> flask.Response:
    outgoing = flask.Response(response.body, status=response.status)
    outgoing.headers.clear()
    for name, value in response.headers:
        outgoing.headers.add(name, value)
    outgoing.headers["X-Request-Id"] = request.request_id
    outgoing.headers["X-Content-Type-Options"] = "nosniff"
    return outgoing


def _http_error(error: HTTPException) -> flask.Response:
    """What Flask refuses before an endpoint sees it: an unknown path, another method, a broken body."""
    request = Request(flask.request.method, uuid.uuid4().hex, flask.request.remote_addr or "")
    if isinstance(error, NotFound):
        return _response(request, respond.not_found(request))
    if isinstance(error, MethodNotAllowed):
        return _response(request, respond.method_not_allowed(request, ", ".join(sorted(error.valid_methods or ()))))
    return _response(request, respond.malformed(request))
