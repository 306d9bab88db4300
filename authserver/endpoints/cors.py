"""Letting pages of named origins use an endpoint from a browser: the CORS protocol (Fetch standard, section 3.3).

Nothing here protects the server. A browser lets pages of other origins send requests and read answers only where these
headers say so, and no other program asks for them. Cookies are never used, so credentials are never allowed.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from authserver.endpoints.http import Endpoint, Request, Response, Route
from authserver.oauth import DPOP, DPOP_NONCE

MAX_AGE: Final = 7200
"""For how many seconds a browser may remember what a preflight said. Chromium does so for no longer than this."""

REQUEST_HEADERS: Final = ("Authorization", "Content-Type", DPOP)
"""What a page may send beyond what every page may."""

RESPONSE_HEADERS: Final = (DPOP_NONCE, "WWW-Authenticate", "Date", "Retry-After", "X-Request-Id")
"""What a page may read beyond what every page may. ``Date`` gives the time to a device whose clock is wrong."""

_EXPOSED: Final = (("Access-Control-Expose-Headers", ", ".join(RESPONSE_HEADERS)),)


def share(routes: Sequence[Route], origins: Collection[str]) -> tuple[Route, ...]:
    """The same routes, usable by pages of these origins, with the preflight that a browser asks for at each path.

    ``origins`` are spelled as browsers send them. Without any, the routes are returned as they are: there is no
    ``OPTIONS`` route then and no header changes.
    """
    if not origins:
        return tuple(routes)
    allowed = frozenset(origins)
    shared = [replace(route, endpoint=_shared(route.endpoint, allowed, _EXPOSED)) for route in routes]
    paths = {route.path: route for route in routes}
    preflights = [
        replace(route, method="OPTIONS", endpoint=_shared(_no_content, allowed, _permission(_methods(routes, path))))
        for path, route in paths.items()
    ]
    return *shared, *preflights


def _shared(endpoint: Endpoint, allowed: Collection[str], more: tuple[tuple[str, str], ...]) -> Endpoint:
    """The endpoint, with the headers for an allowed origin, errors included, and ``more`` beside them.

    ``Vary`` is on every answer, or a cache would give one that was made for no page at all to a page, which could not
    read it (Fetch standard, "CORS protocol and HTTP caches").
    """

    def answer(request: Request) -> Response:
        response = endpoint(request)
        headers = (*response.headers, ("Vary", "Origin"))
        origins = request.header_values("origin")
        if len(origins) == 1 and origins[0] in allowed:
            headers = (*headers, ("Access-Control-Allow-Origin", origins[0]), *more)
        return Response(response.status, headers, response.body)

    return answer


def _no_content(request: Request) -> Response:
    del request
    return Response(204)


def _permission(methods: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return (
        ("Access-Control-Allow-Methods", ", ".join(methods)),
        ("Access-Control-Allow-Headers", ", ".join(REQUEST_HEADERS)),
        ("Access-Control-Max-Age", str(MAX_AGE)),
    )


def _methods(routes: Sequence[Route], path: str) -> list[str]:
    return sorted(route.method for route in routes if route.path == path)
