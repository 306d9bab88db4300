"""Flask as the host of the endpoints."""

import logging
import uuid
from collections.abc import Callable
from functools import partial
from typing import IO

import flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from authserver.certificate import of_connection
from authserver.endpoints import respond
from authserver.endpoints.http import MAX_BODY, Endpoint, Request, Response, Route
from authserver.server import Service
from authserver.telemetry.catalogue import NONE
from authserver.telemetry.observer import Served

_log = logging.getLogger("authserver")


def create_app(service: Service) -> flask.Flask:
    """A WSGI application that serves every endpoint of ``service``."""
    app = flask.Flask("authserver", static_folder=None)
    app.url_map.merge_slashes = False  # or "//token" would be answered with a redirect and a page
    for route in service.routes:
        app.add_url_rule(
            route.path,
            endpoint=f"{route.method} {route.path}",
            view_func=_view(service, route),
            methods=[route.method],
            provide_automatic_options=False,
        )
    app.register_error_handler(HTTPException, _http_error(service))
    return app


def _view(service: Service, route: Route) -> Callable[..., flask.Response]:
    def view(client_id: str = "") -> flask.Response:
        service.ensure_running()
        try:
            request = _request(service, flask.request, _body(flask.request), client_id)
        except OSError:
            return _refused(service, respond.malformed)
        with _serving(service, route.path, request) as served:
            response = _answer(route.endpoint, request)
            served.status = response.status
        return _response(request, response)

    return view


def _serving(service: Service, route: str, request: Request) -> Served:
    traceparent = flask.request.environ.get("HTTP_TRACEPARENT")
    return service.telemetry.serving(route, request.method, request.request_id, traceparent)


def _answer(endpoint: Endpoint, request: Request) -> Response:
    try:
        return endpoint(request)
    except Exception:
        # The last resort: the traceback goes to the operator, a constant to the caller.
        _log.exception("request failed")
        return respond.server_error(request)


def _request(service: Service, incoming: flask.Request, body: bytes, client_id: str = "") -> Request:
    peer = incoming.remote_addr or ""
    offered = incoming.environ.get("HTTP_X_REQUEST_ID")
    return Request(
        method=incoming.method,
        request_id=service.proxies.request_id(peer, offered) or uuid.uuid4().hex,
        peer=peer,
        query=incoming.query_string.decode("latin-1"),
        headers=tuple(incoming.headers.items()),
        body=body,
        client_id=client_id,
        tls_certificate=of_connection(incoming.environ.get("gunicorn.socket")),
    )


def _body(incoming: flask.Request) -> bytes:
    """The body, or as much of it as shows that it is too long.

    :raises OSError: the connection ended before the body did.
    """
    try:
        body = _read(incoming.stream, MAX_BODY + 1)
    except Exception as error:  # each server has its own exceptions for a body that it cannot read
        raise OSError("the body cannot be read") from error
    if len(body) < min(incoming.content_length or 0, MAX_BODY + 1):
        raise OSError("the body was cut short")
    return body


def _read(stream: IO[bytes], size: int) -> bytes:
    chunks: list[bytes] = []
    while size > 0 and (chunk := stream.read(size)):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def _response(request: Request, response: Response) -> flask.Response:
    outgoing = flask.Response(response.body, status=response.status)
    outgoing.headers.clear()
    for name, value in response.headers:
        outgoing.headers.add(name, value)
    outgoing.headers["X-Request-Id"] = request.request_id
    outgoing.headers["X-Content-Type-Options"] = "nosniff"
    return outgoing


def _http_error(service: Service) -> Callable[[HTTPException], flask.Response]:
    """What Flask refuses before an endpoint sees it: an unknown path, another method, a broken body."""

    def answer(error: HTTPException) -> flask.Response:
        if isinstance(error, NotFound):
            return _refused(service, respond.not_found)
        if isinstance(error, MethodNotAllowed):
            allowed = ", ".join(sorted(error.valid_methods or ()))
            return _refused(service, partial(respond.method_not_allowed, allowed=allowed))
        return _refused(service, respond.server_error if (error.code or 500) >= 500 else respond.malformed)

    return answer


def _refused(service: Service, answer: Callable[[Request], Response]) -> flask.Response:
    """Answer what never reached an endpoint, and put it on record: the caller was given an id to ask about."""
    request = _request(service, flask.request, b"")
    with _serving(service, NONE, request) as served:
        response = answer(request)
        served.status = response.status
        facts = {"status": response.status, "method": request.method, "address": request.peer}
        _log.info("request refused before any endpoint", extra=facts)
    return _response(request, response)
