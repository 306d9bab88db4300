"""A device for the tests of an API: a key, access tokens that are bound to it, and proofs of it (RFC 9449).

device = FakeDevice(issuer, "https://images.example.com")
url = "https://images.example.com/cats"
answer = client.get("/cats", headers=device.headers("GET", url, scope="images:read"))
"""

import secrets
from typing import Any

from authserver.jose.dpop import make_proof
from authserver.oauth import DEVICE_PREFIX, DPOP, JKT
from authserver.testing.issuer import FakeIssuer, new_key
from authserver.testing.tokens import AccessTokens


class FakeDevice:
    """A device whose tokens are of ``issuer`` and for ``audience``, unless a call says otherwise.

    Its tokens are for one owner, ``subject``, and have a ``client_id`` of its own. ``algorithm`` is ``ES256`` or
    ``EdDSA``.
    """

    def __init__(
        self,
        issuer: FakeIssuer,
        audience: str | None = None,
        *,
        subject: str = "tests:owner",
        algorithm: str = "ES256",
    ) -> None:
        self._client_id = DEVICE_PREFIX + secrets.token_hex(8)
        self._subject = subject
        self._key = new_key(algorithm)
        self._clock = issuer.clock
        self._tokens = AccessTokens(issuer, audience)

    @property
    def client_id(self) -> str:
        """The device, as ``client_id`` of its tokens has it."""
        return self._client_id

    @property
    def thumbprint(self) -> str:
        """The key by its thumbprint (RFC 7638), as ``cnf.jkt`` of its tokens has it."""
        return self._key.kid

    def access_token(self, scope: str | None = None, *, audience: str | None = None, **claims: Any) -> str:
        """An access token that is bound to the key of this device. ``claims`` as for :class:`AccessTokens`.

        :raises ValueError: nothing says which audience it is for.
        """
        bound = {"client_id": self.client_id, "cnf": {JKT: self.thumbprint}, **claims}
        return self._tokens(scope, audience=audience, **{"subject": self._subject, **bound})

    def proof(self, method: str, url: str, access_token: str, *, nonce: str | None = None) -> str:
        """A proof for one request with ``access_token`` (RFC 9449 section 4.2).

        ``url`` is the external address of what is called, as the API knows it; its query does not matter. ``nonce`` is
        what the API gave in ``DPoP-Nonce``.
        """
        return make_proof(
            self._key,
            method=method,
            url=url,
            identifier=secrets.token_urlsafe(16),
            now=self._clock(),
            nonce=nonce,
            access_token=access_token,
        )

    def headers(
        self,
        method: str,
        url: str,
        *,
        scope: str | None = None,
        audience: str | None = None,
        access_token: str | None = None,
        nonce: str | None = None,
    ) -> dict[str, str]:
        """What one request carries: the token, or a new one for ``scope``, and a proof that is good once.

        :raises ValueError: nothing says which audience a new token is for.
        """
        token = access_token or self.access_token(scope, audience=audience)
        return {"Authorization": f"{DPOP} {token}", DPOP: self.proof(method, url, token, nonce=nonce)}
