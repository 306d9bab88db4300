"""The application that servers run: most requests are answered here, straight from the WSGI environment.

To find an endpoint and to write what it answers takes Flask longer than both signatures of a token take. So it is left
the requests that need its help. Which of the two has answered, nobody can tell.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final
from wsgiref.types import StartResponse, WSGIEnvironment

from authserver.endpoints.http import CLIENT_ID, Response
from authserver.hosting.flask import create_app
from authserver.hosting.serving import STATUS_LINES, Serving
from authserver.server import Service

_USUAL_HOST: Final = re.compile(
    # A name, an IPv4 address or an IPv6 address, and a port. Flask refuses some others, and is left to say which.
    r"(?:[A-Za-z0-9-]{1,50}(?:\.[A-Za-z0-9-]{1,50})*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
)
_WITHOUT_BODY: Final = frozenset((HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED))


class Doorway:
    """A WSGI application that serves every endpoint of ``service``.

    It answers requests for a path and with a method that stand in the route table as they are. What is spelled
    otherwise, or names a device in its path, is handed on to Flask, and so is whatever is not there at all.
    """

    def __init__(self, service: Service) -> None:
        self._serving = Serving(service)
        self._elsewhere = create_app(service)
        self._routes = {(route.method, route.path): route for route in service.routes if CLIENT_ID not in route.path}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        route = self._routes.get((environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")))
        if route is None or not _is_usual(environ):
            return self._elsewhere(environ, start_response)
        return _sent(self._serving.answer(route, environ), start_response)


def _is_usual(environ: WSGIEnvironment) -> bool:
    """Whether Flask would route this by its path alone."""
    return "HTTP_UPGRADE" not in environ and _USUAL_HOST.fullmatch(environ.get("HTTP_HOST", "")) is not None


def _sent(response: Response, start_response: StartResponse) -> Iterable[bytes]:
    headers = list(response.headers)
    if response.status not in _WITHOUT_BODY:
        headers.append(("Content-Length", str(len(response.body))))
    start_response(STATUS_LINES[response.status], headers)
    return (response.body,)
