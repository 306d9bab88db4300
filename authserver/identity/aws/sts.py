"""Asking STS who signed a request, without letting callers or an outage of AWS hold up this server."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from authserver.errors import Reason, Unavailable
from authserver.identity.aws.answer import read_caller
from authserver.identity.aws.request import UnverifiedSignedRequest
from authserver.identity.aws_principal import Principal
from authserver.identity.source import Identified
from authserver.jose.fetch import Answer

MAX_AT_ONCE: Final = 8
"""How many requests one process has with STS at a time: callers make us ask, so they must not fill every thread."""

FAILURES: Final = 3
COOL_DOWN: Final = 10
"""After so many failures in a row an endpoint is not asked for so many seconds."""

Forward = Callable[[UnverifiedSignedRequest], Answer]
"""Sends a request to the endpoint of STS that it is for; raises :class:`Unavailable` where there is no answer."""


@dataclass(slots=True)
class _Endpoint:
    failures: int = 0
    closed_until: float = 0.0


class SecurityTokenService:
    """STS, by all of its endpoints. What counts as a failure is that one is away, and never what a caller sent."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward
        self._places = threading.BoundedSemaphore(MAX_AT_ONCE)
        self._endpoints: dict[str, _Endpoint] = {}
        self._lock = threading.Lock()

    def ask(self, request: UnverifiedSignedRequest, now: float) -> tuple[Principal, Identified]:
        """Who signed ``request``. Its host must have been found to be one that may be asked.

        :raises CredentialRejected: nobody did, or nobody that can be a caller.
        :raises Unavailable: STS is away, or has been a moment ago; or too many are waiting for it already.
        """
        endpoint = self._open(request.host, now)
        if not self._places.acquire(blocking=False):
            raise Unavailable(Reason.ISSUER_UNREACHABLE, retry_after=1, cause="busy", host=request.host)
        try:
            answer = self._answer(endpoint, request, now)
        finally:
            self._places.release()
        return read_caller(answer, request.host)

    def _answer(self, endpoint: _Endpoint, request: UnverifiedSignedRequest, now: float) -> Answer:
        try:
            answer = self._forward(request)
        except Unavailable:
            self._failed(endpoint, now)
            raise
        # One that refuses or throttles is there. AWS throttles each account by itself, and anybody has an account.
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._failed(endpoint, now)
        else:
            endpoint.failures = 0
        return answer

    def _open(self, host: str, now: float) -> _Endpoint:
        with self._lock:
            endpoint = self._endpoints.setdefault(host, _Endpoint())
            # A clock that was set back opens it, and does not keep it closed for longer.
            left = endpoint.closed_until - now
            if 0 < left <= COOL_DOWN:
                raise Unavailable(Reason.ISSUER_UNREACHABLE, retry_after=round(left) or 1, cause="cool_down", host=host)
            return endpoint

    def _failed(self, endpoint: _Endpoint, now: float) -> None:
        with self._lock:
            endpoint.failures += 1
            if endpoint.failures >= FAILURES:
                endpoint.closed_until = now + COOL_DOWN
