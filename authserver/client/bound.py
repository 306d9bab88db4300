"""Calling an API with a token that is bound to a key (RFC 9449 section 7)."""

import secrets
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Protocol, TypeVar

from authserver.client.exchange import IssuedToken
from authserver.client.server import AuthorizationServer
from authserver.jose.dpop import make_proof
from authserver.oauth import DPOP, ErrorCode


class ApiAnswer(Protocol):
    """What matters of an answer, as urllib3 has it. ``headers`` must be indifferent to case."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...  # a protocol has no body

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields."""
        ...  # a protocol has no body


SomeAnswer = TypeVar("SomeAnswer", bound=ApiAnswer)


class BoundCalls:
    """Makes the headers for calls to APIs, with the time of ``server`` and the newest nonce of each API."""

    def __init__(self, server: AuthorizationServer) -> None:
        self._clock = server.clock
        self._nonces = server.nonces

    def headers(self, method: str, url: str, token: IssuedToken) -> dict[str, str]:
        """What one request with ``token`` carries. A proof is good for one request only.

        :raises ValueError: ``url`` is none that a request can be made to.
        """
        headers = {"Authorization": f"{token.token_type} {token.value}"}
        if token.key is not None:
            headers[DPOP] = make_proof(
                token.key,
                method=method,
                url=url,
                identifier=secrets.token_urlsafe(16),
                now=self._clock(),
                nonce=self._nonces.newest(url),
                access_token=token.value,
            )
        return headers

    def learn(self, url: str, answer: ApiAnswer) -> bool:
        """Take note of the nonce in an answer; whether the same request should be made once more, with it."""
        fresh = self._nonces.learn(url, answer.headers)
        challenge = answer.headers.get("WWW-Authenticate", "")
        return fresh and answer.status == HTTPStatus.UNAUTHORIZED and ErrorCode.USE_DPOP_NONCE in challenge

    def call(
        self, method: str, url: str, token: IssuedToken, send: Callable[[dict[str, str]], SomeAnswer]
    ) -> SomeAnswer:
        """The answer to a request that ``send`` sends with the headers it is given: once, or twice for a nonce."""
        answer = send(self.headers(method, url, token))
        if self.learn(url, answer):
            answer = send(self.headers(method, url, token))
            self.learn(url, answer)
        return answer
