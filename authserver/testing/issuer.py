"""A token issuer on loopback: real keys, real HTTP, and switches for everything that goes wrong in one.

    with FakeIssuer() as issuer:
        api = ResourceServer(issuer=issuer.issuer, audience="https://images.example.com")
        headers = {"Authorization": "Bearer " + issuer.access_token("https://images.example.com", "images:read")}

A test that must see a refusal asks :func:`authserver.testing.hostile_tokens` for tokens that deserve one.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from authserver.jose.jwk import SigningKey, export_public, generate, thumbprint
from authserver.oauth import ACCESS_TOKEN_TYP, INTROSPECTION_PATH, JWKS_PATH, METADATA_PATH, OPENID_METADATA_PATH
from authserver.testing.claims import (
    aws_claims,
    azure_claims,
    github_claims,
    gitlab_claims,
    google_claims,
    kubernetes_claims,
    spiffe_claims,
)
from authserver.testing.issued import Issued
from authserver.testing.loopback import Form, Loopback, Page
from authserver.testing.splice import as_json, splice, without_nones

_BUNDLE_PATH: Final = "/spiffe-bundle.json"

LIFETIME: Final = 600
"""Seconds that a token of this issuer lives, unless ``exp`` is given."""


class FakeIssuer:
    """An OpenID provider and authorization server for tests, listening while it is used as a context manager.

    ``algorithms`` are ``ES256``, ``RS256`` or ``EdDSA``; there is one signing key for each, and the first
    signs where nothing else is said. ``path`` gives the issuer a path (RFC 8414 section 3.1). ``clock``
    gives ``iat`` and ``exp``.
    """

    def __init__(
        self,
        *,
        algorithms: Sequence[str] = ("ES256",),
        path: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self._path = path
        self._signing = {algorithm: new_key(algorithm) for algorithm in algorithms}
        self._published = list(self._signing.values())
        self._issued = Issued(clock)
        self._server = Loopback(self._page, self._introspect)
        self._document: bytes | None = None

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    @property
    def issuer(self) -> str:
        """The issuer identifier, an ``http`` URL on 127.0.0.1."""
        return self._server.origin + self._path

    @property
    def jwks_url(self) -> str:
        """Where the key set is."""
        return self.issuer + JWKS_PATH

    @property
    def jwks(self) -> dict[str, Any]:
        """The key set as it is published (RFC 7517 section 5), whatever the fault switches say."""
        return {"keys": [_public(key) for key in self._published]}

    @property
    def bundle_url(self) -> str:
        """Where the bundle is, for a SPIFFE trust domain."""
        return self.issuer + _BUNDLE_PATH

    @property
    def bundle(self) -> dict[str, Any]:
        """The key set as a SPIFFE trust domain publishes it, whatever the fault switches say."""
        keys = [{**export_public(key.private.public_key(), kid=key.kid), "use": "jwt-svid"} for key in self._published]
        return {"keys": keys, "spiffe_sequence": len(keys), "spiffe_refresh_hint": 300}

    @property
    def key(self) -> SigningKey:
        """The key that signs where no algorithm is asked for."""
        return next(iter(self._signing.values()))

    @property
    def requests(self) -> tuple[str, ...]:
        """The path of every request that reached the server, answered or not."""
        return tuple(self._server.requests)

    @property
    def fetches(self) -> int:
        """How often the key set was asked for, answered or not."""
        return self.requests.count(self._path + JWKS_PATH)

    # Tokens

    def token(
        self,
        claims: Mapping[str, Any] | None = None,
        *,
        header: Mapping[str, Any] | None = None,
        algorithm: str | None = None,
    ) -> str:
        """A signed JWT with ``iss``, ``sub``, ``iat``, ``exp`` and ``jti``.

        ``claims`` and ``header`` add members or replace them; a value of None takes the member away.

        :raises KeyError: the issuer has no key for ``algorithm``.
        """
        key = self._signing[algorithm] if algorithm else self.key
        members = {"typ": "JWT", "alg": key.algorithm, "kid": key.kid, **(header or {})}
        payload = {**self.default_claims(self.clock()), **(claims or {})}
        signed = without_nones(payload)
        return self._issued.note(splice(without_nones(members), signed, key), signed)

    def default_claims(self, now: float) -> dict[str, Any]:
        """The claims that every token has which does not say otherwise. ``now`` is in seconds since the epoch."""
        return {
            "iss": self.issuer,
            "sub": "somebody",
            "iat": int(now),
            "exp": int(now) + LIFETIME,
            "jti": secrets.token_hex(16),
        }

    def identity_token(self, audience: str, **claims: Any) -> str:
        """An ID token, as an OpenID provider makes it."""
        return self.token({"aud": audience, **claims})

    def kubernetes_token(self, namespace: str, service_account: str, audience: str, **claims: Any) -> str:
        """A projected service account token, as a Kubernetes API server makes it."""
        return self.token({**kubernetes_claims(namespace, service_account, audience), **claims})

    def github_token(self, repository: str, audience: str, **claims: Any) -> str:
        """A token of a GitHub Actions job that runs for a push to ``main`` of ``repository`` (``owner/name``)."""
        return self.token({**github_claims(repository, audience), **claims})

    def gitlab_token(self, project_path: str, audience: str, **claims: Any) -> str:
        """A token of a GitLab job that runs for a push to ``main`` of a project (``namespace/project``)."""
        return self.token({**gitlab_claims(project_path, audience), **claims})

    def google_token(self, email: str, audience: str, **claims: Any) -> str:
        """A token of a virtual machine of Google's, in full format, that runs as the service account ``email``."""
        return self.token({**google_claims(email, audience), **claims})

    def azure_token(self, tenant_id: str, identity: str, audience: str, **claims: Any) -> str:
        """A token of the managed identity of this name, as Entra ID makes it for an application.

        ``authserver`` takes it from an issuer whose ``path`` is ``/<tenant_id>/v2.0``.
        """
        return self.token({**azure_claims(tenant_id, identity, audience), **claims})

    def spiffe_token(self, spiffe_id: str, audience: str, **claims: Any) -> str:
        """A JWT-SVID of the workload with this SPIFFE ID, as SPIRE makes it: without ``iss`` and ``jti``."""
        return self.token({**spiffe_claims(spiffe_id, audience), "iss": None, "jti": None, **claims})

    def aws_token(self, arn: str, audience: str, **claims: Any) -> str:
        """A token of the principal with this ARN, as STS of AWS makes it (``GetWebIdentityToken``)."""
        return self.token({**aws_claims(arn, audience), **claims})

    def access_token(self, audience: str, scope: str | None = None, *, expired: bool = False, **claims: Any) -> str:
        """An access token in the profile of RFC 9068, for the tests of a resource server.

        One that is ``expired`` was good until an hour ago, which no leeway makes up for.
        """
        default: dict[str, Any] = {
            "aud": audience,
            "sub": "tests:somebody",
            "client_id": "tests:somebody",
            "scope": scope,
        }
        if expired:
            until = int(self.clock()) - 3600
            default |= {"iat": until - LIFETIME, "exp": until}
        return self.token({**default, **claims}, header={"typ": ACCESS_TOKEN_TYP})

    def revoke(self, token: str) -> None:
        """Take a token back: who asks (RFC 7662) is told that it is not active, and who does not ask accepts it.

        Asking takes an access token for :attr:`issuer` with a scope ``introspect:<name>``, as it does at authserver.
        """
        self._issued.revoke(token)

    # Keys

    def rotate(self) -> SigningKey:
        """Sign with a fresh key for each algorithm from now on; the old ones stay published."""
        self._signing = {algorithm: new_key(algorithm) for algorithm in self._signing}
        self._published.extend(self._signing.values())
        return self.key

    def withdraw(self, kid: str) -> None:
        """Publish the key with this ``kid`` no longer. What signs is not changed."""
        self._published = [key for key in self._published if key.kid != kid]

    # Faults; up() ends every one of them

    def down(self) -> None:
        """Close every connection without an answer."""
        self._server.silent = True

    def hang(self) -> None:
        """Keep every request waiting until :meth:`up`."""
        self._server.gate.clear()

    def publish_nothing(self) -> None:
        """Serve a key set that is empty."""
        self._document = as_json({"keys": []})

    def publish_garbage(self) -> None:
        """Serve something that is not JSON in the place of the key set."""
        self._document = b'{"keys": [<html>'

    def up(self) -> None:
        """Answer as an issuer should."""
        self._document = None
        self._server.silent = False
        self._server.gate.set()

    def _page(self, path: str) -> Page | None:
        if path == self._path + JWKS_PATH:
            return Page("application/jwk-set+json", self._document or as_json(self.jwks))
        if path == self._path + _BUNDLE_PATH:
            return Page("application/json", self._document or as_json(self.bundle))
        if path in (METADATA_PATH + self._path, self._path + OPENID_METADATA_PATH):
            return Page("application/json", as_json(self._metadata()))
        return None

    def _metadata(self) -> dict[str, str]:
        return {
            "issuer": self.issuer,
            "jwks_uri": self.jwks_url,
            "introspection_endpoint": self.issuer + INTROSPECTION_PATH,
        }

    def _introspect(self, form: Form) -> Page | None:
        if form.path != self._path + INTROSPECTION_PATH:
            return None
        return self._issued.introspect(self.issuer, form.authorization, form.body)


def new_key(algorithm: str) -> SigningKey:
    """A fresh private key that is named by its thumbprint (RFC 7638).

    :raises ValueError: the algorithm is not one that tokens are signed with.
    """
    private = generate(algorithm)
    return SigningKey(thumbprint(export_public(private.public_key())), algorithm, private)


def _public(key: SigningKey) -> dict[str, str]:
    return export_public(key.private.public_key(), kid=key.kid, algorithm=key.algorithm)
