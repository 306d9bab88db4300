"""What happens to a request in every host: it is read, answered, counted, and never left without an answer of ours."""

import logging
from http import HTTPStatus
from typing import Final
from wsgiref.types import WSGIEnvironment

from authserver.endpoints import respond
from authserver.endpoints.http import Endpoint, Request, Response, Route
from authserver.hosting.reading import read_body, read_request
from authserver.server import Service
from authserver.telemetry.catalogue import NONE
from authserver.telemetry.observer import Served

STATUS_LINES: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

_NOSNIFF: Final = ("X-Content-Type-Options", "nosniff")

_log = logging.getLogger("authserver")


class Serving:
    """Answers the requests that a host has found an endpoint for, and those that it has found none for."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def answer(self, route: Route, environ: WSGIEnvironment, client_id: str = "") -> Response:
        """What the endpoint of a route answers; ``client_id`` is the last segment of the path, where it names one."""
        try:
            return self._answer(route, environ, client_id)
        except Exception:
            _log.exception("request failed")
            return self.refuse(environ, respond.server_error)

    def refuse(self, environ: WSGIEnvironment, answer: Endpoint) -> Response:
        """Answer what reaches no endpoint, and put it on record: the caller is given an id to ask about."""
        request = read_request(environ, b"", self._service.proxies)
        with self._observed(NONE, request, environ) as served:
            response = answer(request)
            served.status = response.status
            facts = {"status": response.status, "method": request.method, "address": request.peer}
            _log.info("request refused before any endpoint", extra=facts)
        return _completed(request, response)

    def _answer(self, route: Route, environ: WSGIEnvironment, client_id: str) -> Response:
        self._service.ensure_running()
        try:
            body = read_body(environ)
        except OSError:
            return self.refuse(environ, respond.malformed)
        request = read_request(environ, body, self._service.proxies, client_id)
        with self._observed(route.path, request, environ) as served:
            response = _answered(route.endpoint, request)
            served.status = response.status
        return _completed(request, response)

    def _observed(self, route: str, request: Request, environ: WSGIEnvironment) -> Served:
        traceparent = environ.get("HTTP_TRACEPARENT")
        return self._service.telemetry.serving(route, request.method, request.request_id, traceparent)


def _answered(endpoint: Endpoint, request: Request) -> Response:
    try:
        return endpoint(request)
    except Exception:
        # The last resort: the traceback goes to the operator, a constant to the caller.
        _log.exception("request failed")
        return respond.server_error(request)


def _completed(request: Request, response: Response) -> Response:
    headers = (*response.headers, ("X-Request-Id", request.request_id), _NOSNIFF)
    return Response(response.status, headers, response.body)
