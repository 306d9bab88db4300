"""A verifier and a device that calls it, without HTTP."""

from typing import Any

import pytest

from authserver.errors import NonceWanted, Reason, Refused
from authserver.resource import AccessTokenVerifier, OfferedProof, VerifiedToken
from authserver.testing import FakeIssuer, FrozenClock
from tests.devices import DeviceKey
from tests.resource.environment import AUDIENCE, bound_token

URL = f"{AUDIENCE}/images"


class Api:
    """A verifier with a device that calls it."""

    def __init__(self, issuer: FakeIssuer, clock: FrozenClock, device: DeviceKey) -> None:
        self.issuer = issuer
        self.clock = clock
        self.device = device
        self.token = bound_token(issuer, device)
        self.verifier = self.make()

    def make(self, **options: Any) -> AccessTokenVerifier:
        return AccessTokenVerifier(issuer=self.issuer.issuer, audience=AUDIENCE, clock=self.clock, **options)

    def proof(self, **changes: Any) -> str:
        return self.device.proof("GET", URL, **{"now": self.clock(), "access_token": self.token, **changes})

    def call(self, *proofs: str, token: str | None = None, method: str = "GET", url: str = URL) -> VerifiedToken:
        verified, _ = self.verifier.verify_bound(token or self.token, OfferedProof(proofs, method, (url,)))
        return verified

    def refusal(self, *proofs: str, **request: Any) -> tuple[type[Refused], Reason]:
        with pytest.raises(Refused) as caught:
            self.call(*proofs, **request)
        return type(caught.value), caught.value.reason

    def nonce(self) -> str:
        """The nonce that a refusal gives."""
        with pytest.raises(NonceWanted) as caught:
            self.call(self.proof(nonce="none-of-ours"))
        return caught.value.nonce
