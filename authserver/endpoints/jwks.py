"""``GET /.well-known/jwks.json``: the public keys, and for how long they may be kept."""

from collections.abc import Callable
from typing import Protocol

from authserver.endpoints import respond
from authserver.endpoints.http import Request, Response
from authserver.errors import Unavailable


class PublishedKeys(Protocol):
    """The part of the key ring that this endpoint needs."""

    def jwks(self, now: float) -> tuple[bytes, str, int]:
        """The JWK set, its strong ETag, and how many seconds it may be kept.

        :raises Unavailable: the set cannot be published yet.
        """
        ...  # a protocol has no body


class JwksEndpoint:
    """The JWK set document (RFC 7517 section 5)."""

    def __init__(self, keys: PublishedKeys, *, clock: Callable[[], float]) -> None:
        self._keys = keys
        self._clock = clock

    def __call__(self, request: Request) -> Response:
        """Answer with the set, or with 304 when the caller has it (RFC 9110 section 13.1.2)."""
        try:
            document, etag, max_age = self._keys.jwks(self._clock())
        except Unavailable as unavailable:
            return respond.unavailable(request, unavailable)
        headers = (("ETag", etag), ("Cache-Control", f"public, max-age={max_age}"))
        if _has(request, etag):
            return Response(304, headers)
        return Response(200, (("Content-Type", "application/jwk-set+json"), *headers), document)


def _has(request: Request, etag: str) -> bool:
    known = [
        tag.strip().removeprefix("W/") for value in request.header_values("if-none-match") for tag in value.split(",")
    ]
    return etag in known or "*" in known
