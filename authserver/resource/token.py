"""An access token that was verified, as the code behind the middleware sees it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from authserver.jose.verify import VerifiedClaims
from authserver.oauth import DPOP_NONCE


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """The claims of RFC 9068 section 2.2, believed. Times are seconds since the epoch.

    ``subject`` is whom the request is for and ``client_id`` who makes it; ``claims`` are all of them, read-only.
    """

    issuer: str
    audience: str
    subject: str
    client_id: str
    scope: frozenset[str]
    issued_at: float
    expires_at: float
    jti: str
    kid: str
    claims: Mapping[str, Any] = field(repr=False, hash=False)

    @classmethod
    def of(cls, verified: VerifiedClaims, issuer: str, audience: str) -> Self:
        """Read the claims that the profile requires.

        :raises CredentialRejected: ``claim_missing`` or ``claim_malformed``.
        """
        return cls(
            issuer=issuer,
            audience=audience,
            subject=verified.text("sub"),
            client_id=verified.text("client_id"),
            scope=_scope(verified),
            issued_at=verified.time("iat"),
            expires_at=verified.time("exp"),
            jti=verified.text("jti"),
            kid=verified.kid,
            claims=MappingProxyType(verified.claims),
        )

    @property
    def thumbprint(self) -> str | None:
        """The key that the token is bound to, by its thumbprint (RFC 9449 section 6.1); None if it is bound to none.

        It tells the devices of one owner apart. None also for a token that is bound in a way not known here.
        """
        match self.claims.get("cnf"):
            case {"jkt": str(thumbprint), **others} if not others:
                return thumbprint
        return None

    @property
    def certificate_thumbprint(self) -> str | None:
        """The client certificate that the token is bound to, by its thumbprint (RFC 8705 section 3.1); None if to none.

        None also for a token that is bound to something else as well.
        """
        match self.claims.get("cnf"):
            case {"x5t#S256": str(thumbprint), **others} if not others:
                return thumbprint
        return None

    def has_scope(self, *scopes: str) -> bool:
        """Whether all of ``scopes`` are granted, for a view that does more for those who may."""
        return self.scope.issuperset(scopes)


def _scope(verified: VerifiedClaims) -> frozenset[str]:
    return frozenset(filter(None, verified.text("scope").split(" "))) if "scope" in verified.claims else frozenset()


class Accepted(NamedTuple):
    """The verified token of a request, and a nonce for the caller's next proof if it is time for one."""

    token: VerifiedToken
    nonce: str | None = None

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What the answer to the request must carry; it replaces headers of the same name."""
        if self.nonce is None:
            return ()
        # RFC 9449 section 8.2: a cached nonce would be a stale one.
        return ((DPOP_NONCE, self.nonce), ("Cache-Control", "no-store"))
