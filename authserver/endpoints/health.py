"""Liveness and readiness, for whoever restarts processes and routes traffic."""

from collections.abc import Callable, Sequence

from authserver.endpoints import respond
from authserver.endpoints.http import Request, Response


def livez(request: Request) -> Response:
    """The process answers."""
    del request
    return respond.json_response(200, {"status": "alive"}, *respond.NO_STORE)


class ReadyEndpoint:
    """200 while a token can be signed. The body names what is degraded, in either case."""

    def __init__(self, signs: Callable[[], bool], degraded: Callable[[], Sequence[str]]) -> None:
        self._signs = signs
        self._degraded = degraded

    def __call__(self, request: Request) -> Response:
        """Answer whether traffic should be sent here."""
        del request
        signs, degraded = self._signs(), list(self._degraded())
        status = "unready" if not signs else "degraded" if degraded else "ready"
        return respond.json_response(200 if signs else 503, {"status": status, "degraded": degraded}, *respond.NO_STORE)
