"""Who asks for tokens: a workload with its platform's identity, a client of OAuth with a key, an enrolled device."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from authserver.jose.jwk import thumbprint
from authserver.model import Device
from authserver.oauth import CLIENT_ASSERTION_JWT, DPOP_TYP, Grant
from authserver.testing.claims import kubernetes_claims
from benchmarks.issuing.answers import AUDIENCE, SCOPE
from benchmarks.issuing.loads import post, unique
from benchmarks.issuing.signing import Claims, Signer

NAMESPACE: Final = "media"
SERVICE_ACCOUNT: Final = "thumbnailer"
CLUSTER: Final = "https://kubernetes.default.svc.cluster.local"

HOUR: Final = 3600
ASSERTION_LIFETIME: Final = 290
"""Seconds that a client assertion lives: below the five minutes that are the most of our server."""

Make = Callable[[int], Sequence[bytes]]


@dataclass(frozen=True)
class Workload:
    """A pod that trades its service account token; ``signer`` has the key of the cluster. Every token is another."""

    signer: Signer
    audience: str

    def exchanges(self, path: str) -> Make:
        """Requests for a token exchange (RFC 8693) at a path."""

        def make(count: int) -> Sequence[bytes]:
            now = int(time.time())
            identity = {**kubernetes_claims(NAMESPACE, SERVICE_ACCOUNT, self.audience), "iss": CLUSTER}
            tokens = self.signer.sign(
                {**identity, "iat": now, "nbf": now, "exp": now + HOUR, "jti": unique()} for _ in range(count)
            )
            return [post(path, self._form(token)) for token in tokens]

        return make

    @staticmethod
    def _form(token: str) -> dict[str, str]:
        return {
            "grant_type": Grant.TOKEN_EXCHANGE,
            "subject_token": token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "resource": AUDIENCE,
            "scope": SCOPE,
        }


@dataclass(frozen=True)
class Client:
    """A client of OAuth that signs its assertions (RFC 7523), each of which is accepted once.

    ``proves`` tells that it proves possession of its key as well (RFC 9449), which needs a proof for each request. A
    client that is ``registered`` by hand names its key in its assertions; a device of ours has one, without a name.
    """

    signer: Signer
    client_id: str
    issuer: str
    lifetime: int = ASSERTION_LIFETIME
    proves: bool = False
    registered: bool = True

    def requests(self, path: str) -> Make:
        """Requests for a token by client credentials at a path."""

        def make(count: int) -> Sequence[bytes]:
            assertions = self.signer.sign((self._assertion() for _ in range(count)), self._header)
            if not self.proves:
                return [post(path, self._form(assertion)) for assertion in assertions]
            proofs = self.signer.sign((self._proof(path) for _ in range(count)), self._proof_header)
            pairs = zip(assertions, proofs, strict=True)
            return [post(path, self._form(assertion), {"DPoP": proof}) for assertion, proof in pairs]

        return make

    @cached_property
    def jwk(self) -> dict[str, str]:
        """The public key, without what a proof does not say of it."""
        return {name: value for name, value in self.signer.jwk.items() if name not in ("kid", "use", "alg")}

    @cached_property
    def jkt(self) -> str:
        """The thumbprint of its key (RFC 7638)."""
        return thumbprint(self.jwk)

    @cached_property
    def device(self) -> Device:
        """The client as a device of our server's, invited for an owner."""
        return Device(
            client_id=self.client_id,
            source="phones",
            sub="phones:owner/person-0",
            owner="person-0",
            jwk=self.jwk,
            thumbprint=self.jkt,
            created_at=time.time(),
            name="A phone",
            platform="ios",
            model="iPhone17,1",
            app_id="com.example.app",
            app_version="1.0",
        )

    @property
    def _header(self) -> Mapping[str, Any]:
        return {"typ": "JWT", **({"kid": self.signer.kid} if self.registered else {})}

    @property
    def _proof_header(self) -> Mapping[str, Any]:
        return {"typ": DPOP_TYP, "jwk": self.jwk}

    def _assertion(self) -> Claims:
        now = int(time.time())
        who = {"iss": self.client_id, "sub": self.client_id, "aud": self.issuer}
        return {**who, "iat": now, "exp": now + self.lifetime, "jti": unique()}

    def _proof(self, path: str) -> Claims:
        return {"htm": "POST", "htu": self.issuer + path, "iat": int(time.time()), "jti": unique()}

    @staticmethod
    def _form(assertion: str) -> dict[str, str]:
        return {
            "grant_type": Grant.CLIENT_CREDENTIALS,
            "client_assertion_type": CLIENT_ASSERTION_JWT,
            "client_assertion": assertion,
            "resource": AUDIENCE,
            "scope": SCOPE,
        }
