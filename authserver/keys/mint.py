"""Minting: from an authorization to a signed access token (RFC 9068)."""

from collections.abc import Callable
from secrets import token_bytes
from typing import Any, Protocol

from authserver.jose.compact import base64url_encode
from authserver.jose.jwk import SigningKey
from authserver.jose.sign import sign
from authserver.model import AccessToken, Authorization, Confirmation
from authserver.oauth import ACCESS_TOKEN_TYP, BEARER, LONGEST_LIFETIME


class SigningKeys(Protocol):
    """Where the key that signs now is looked up."""

    def signing_key(self, algorithm: str, now: float) -> SigningKey:
        """:raises Unavailable: ``no_active_key``."""
        ...  # a protocol has no body


def random_token_id() -> str:
    """A ``jti`` of 128 random bits (RFC 6749 section 10.10)."""
    return base64url_encode(token_bytes(16))


class Minter:
    """Mints the access tokens of ``issuer``. ``clock`` gives seconds since the epoch."""

    def __init__(
        self, issuer: str, keys: SigningKeys, clock: Callable[[], float], token_id: Callable[[], str] = random_token_id
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._clock = clock
        self._token_id = token_id

    def check(self, authorization: Authorization) -> None:
        """Return if a token can be signed now.

        :raises Unavailable: no key of the resource's algorithm may sign at the moment.
        """
        self._keys.signing_key(authorization.resource.algorithm, self._clock())

    def mint(self, authorization: Authorization, confirmation: Confirmation | None = None) -> AccessToken:
        """Sign what was authorized, for at most an hour (RFC 9068 section 2.2).

        With a ``confirmation`` the token is bound to what it names.

        There is no ``nbf``, because verifiers without leeway refuse a token whose ``nbf`` is their own next second.

        :raises Unavailable: no key of the resource's algorithm may sign at the moment.
        """
        now = self._clock()
        key = self._keys.signing_key(authorization.resource.algorithm, now)
        issued_at = int(now)
        expires_at = issued_at + min(authorization.lifetime, LONGEST_LIFETIME)
        jti = self._token_id()
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "sub": authorization.subject.sub,
            "aud": authorization.resource.identifier,
            "client_id": authorization.subject.client_id,
            "scope": " ".join(authorization.scope),
            "iat": issued_at,
            "exp": expires_at,
            "jti": jti,
        }
        token_type = BEARER
        if confirmation is not None:
            claims["cnf"] = {confirmation.member: confirmation.thumbprint}
            token_type = confirmation.token_type
        token = sign(key, ACCESS_TOKEN_TYP, claims)
        return AccessToken(token, jti, key.kid, authorization.scope, issued_at, expires_at, token_type)
