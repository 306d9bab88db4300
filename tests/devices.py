"""A device as our tests see it: a key, and what it signs. Everything is made by joserfc, nothing by authserver."""

import base64
import hashlib
import secrets
import time
from typing import Any

from joserfc.jwk import thumbprint

from tests import leaks, oracle

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

PHONES = """
[sources.phones]
type = "device"
{phones}

[[allow]]
name = "phones-of-alice"
source = "phones"
match = {{ owner = "alice" }}
resource = "https://images.example.com"
scope = ["images:read"]
"""
"""More configuration for ``write_configuration(more=…)``: a device source whose devices of alice may read images."""


class DeviceKey:
    """A private key on a device, with the proofs and assertions that it makes."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.key = oracle.make_key(algorithm)
        self.algorithm = algorithm
        required = ("crv", "kty", "x", "y")
        members = self.key.as_dict(private=False)
        self.jwk: dict[str, Any] = {name: members[name] for name in required if name in members}
        self.thumbprint = thumbprint(dict(self.jwk))

    def proof(
        self,
        method: str,
        url: str,
        *,
        now: float | None = None,
        access_token: str | None = None,
        nonce: str | None = None,
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A DPoP proof (RFC 9449 section 4.2). A claim or a header member that is None is taken away."""
        members: dict[str, Any] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": url,
            "iat": int(time.time() if now is None else now),
            "nonce": nonce,
            "ath": None if access_token is None else hash_of(access_token),
            **claims,
        }
        members = {name: value for name, value in members.items() if value is not None}
        head = {"typ": "dpop+jwt", "jwk": self.jwk, "kid": None, **(header or {})}
        return oracle.sign(self.key, members, **head)

    def assertion(self, client_id: str, issuer: str, *, now: float | None = None, **claims: Any) -> str:
        """A client assertion (RFC 7523 section 3); None takes a claim away."""
        at = int(time.time() if now is None else now)
        members: dict[str, Any] = {
            "iss": client_id,
            "sub": client_id,
            "aud": issuer,
            "iat": at,
            "exp": at + 60,
            "jti": secrets.token_urlsafe(16),
            **claims,
        }
        members = {name: value for name, value in members.items() if value is not None}
        return leaks.handled(oracle.sign(self.key, members, typ=None, kid=None))

    def registration(self, **changes: Any) -> dict[str, Any]:
        """The body of ``POST /register``; None takes a member away."""
        members = {
            "client_name": "Alice's phone",
            "token_endpoint_auth_method": "private_key_jwt",
            "grant_types": ["client_credentials"],
            "jwks": {"keys": [self.jwk]},
            "device": {"platform": "ios", "model": "iPhone17,1", "app_id": "com.example.app", "app_version": "1.0"},
            **changes,
        }
        return {name: value for name, value in members.items() if value is not None}


def token_form(client_id: str, assertion: str, **changes: str | None) -> dict[str, str]:
    """The form of a device's token request for ``images:read``; None takes a parameter away."""
    form: dict[str, str | None] = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
        "resource": "https://images.example.com",
        "scope": "images:read",
        **changes,
    }
    return {name: value for name, value in form.items() if value is not None}


def hash_of(access_token: str) -> str:
    """The ``ath`` of an access token."""
    digest = hashlib.sha256(access_token.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
