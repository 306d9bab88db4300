"""What the tests of the resource server share: its audience, the claims of a good token, and how to see a refusal."""

from typing import Any, Final

import pytest

from authserver.errors import CredentialRejected, Reason
from authserver.resource import AccessTokenVerifier
from authserver.testing import FakeIssuer, FrozenClock
from tests.devices import DeviceKey

AUDIENCE: Final = "https://images.example.com"
REQUIRED: Final = ("iss", "exp", "aud", "sub", "client_id", "iat", "jti")


def claims(issuer: FakeIssuer | str, clock: FrozenClock, **changes: Any) -> dict[str, Any]:
    """The claims of an access token that is accepted at the time of ``clock``; None takes one away."""
    members = {
        "iss": issuer if isinstance(issuer, str) else issuer.issuer,
        "aud": AUDIENCE,
        "sub": "prod:thumbnailer",
        "client_id": "prod:thumbnailer",
        "scope": "images:read",
        "iat": int(clock()),
        "exp": int(clock()) + 600,
        "jti": "one",
        **changes,
    }
    return {name: value for name, value in members.items() if value is not None}


def refusal(verifier: AccessTokenVerifier, token: str) -> Reason:
    """Why this token is refused; the test fails when it is not."""
    with pytest.raises(CredentialRejected) as caught:
        verifier.verify(token)
    return caught.value.reason


def bound_token(issuer: FakeIssuer, device: DeviceKey, scope: str = "images:read", **claims: Any) -> str:
    """An access token that is bound to the key of ``device``."""
    return issuer.access_token(AUDIENCE, scope, **{"cnf": {"jkt": device.thumbprint}, **claims})
