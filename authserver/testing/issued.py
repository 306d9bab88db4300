"""What a fake issuer issued and took back, and what it answers to who asks about a token (RFC 7662)."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from authserver.oauth import BEARER
from authserver.testing.loopback import Page
from authserver.testing.splice import as_json


class Issued:
    """The tokens of one issuer. ``clock`` gives seconds since the epoch."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._claims: dict[str, Mapping[str, Any]] = {}

    def note(self, token: str, claims: Mapping[str, Any]) -> str:
        """Keep in mind that this token was issued; the token."""
        self._claims[token] = claims
        return token

    def revoke(self, token: str) -> None:
        """Take a token back. One that was never issued is no error (RFC 7009 section 2.2)."""
        self._claims.pop(token, None)

    def introspect(self, audience: str, authorization: str, form: bytes) -> Page:
        """The answer to a question in ``form``, from who shows a token for ``audience`` in its ``Authorization``."""
        scheme, _, own = authorization.partition(" ")
        caller = self._active(own) if scheme == BEARER else None
        if caller is None or caller.get("aud") != audience:
            return _page({"error": "invalid_token"}, HTTPStatus.UNAUTHORIZED)
        if "introspect:" not in str(caller.get("scope")):
            return _page({"error": "insufficient_scope"}, HTTPStatus.FORBIDDEN)
        asked = parse_qs(form.decode("ascii", "replace")).get("token", ())
        if len(asked) != 1:
            return _page({"error": "invalid_request"}, HTTPStatus.BAD_REQUEST)
        claims = self._active(asked[0])
        return _page({"active": False} if claims is None else {"active": True, **claims})

    def _active(self, token: str) -> Mapping[str, Any] | None:
        claims = self._claims.get(token)
        return claims if claims is not None and self._clock() < claims.get("exp", 0) else None


def _page(document: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Page:
    return Page("application/json", as_json(document), status)
