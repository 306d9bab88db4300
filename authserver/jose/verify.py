"""The one doorway through which a token becomes believed.

Everything a JWT must satisfy is an argument without a default (RFC 8725 section 3): which keys, which issuer,
which single audience, which ``typ``, which algorithms, what time it is.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from authserver.errors import CredentialRejected, Reason
from authserver.jose.compact import UnverifiedToken
from authserver.jose.jwk import ASYMMETRIC, MAX_KEY_ID, VerificationKey

# RFC 7519 section 2 lets a NumericDate be any number; beyond 2**53 neither JSON nor a clock is exact.
_LAST_INSTANT: Final = 2**53


class Keys(Protocol):
    """Where the keys of one issuer are looked up."""

    def find(self, kid: str, algorithm: str, now: float) -> VerificationKey:
        """The key with this ``kid`` that is bound to ``algorithm``.

        :raises CredentialRejected: ``key_unknown`` or ``algorithm_not_allowed``.
        :raises Unavailable: it cannot be known at the moment.
        """
        ...  # a protocol has no body


@dataclass(frozen=True, slots=True)
class VerifiedClaims:
    """Claims whose signature, issuer, audience, type and times were verified. Only this module makes them."""

    claims: Mapping[str, Any]
    kid: str

    def text(self, name: str) -> str:
        """A claim that must be a non-empty string of printable characters.

        :raises CredentialRejected: ``claim_missing`` or ``claim_malformed``.
        """
        value = self.claims.get(name)
        if isinstance(value, str) and value and value.isprintable():
            return value
        raise CredentialRejected(Reason.CLAIM_MISSING if value is None else Reason.CLAIM_MALFORMED, claim=name)

    def time(self, name: str) -> float:
        """A claim that must be a NumericDate, in seconds since the epoch (RFC 7519 section 2).

        :raises CredentialRejected: ``claim_missing`` or ``claim_malformed``.
        """
        value = _instant(self.claims, name)
        if value is None:
            raise CredentialRejected(Reason.CLAIM_MISSING, claim=name)
        return value


def verify(
    token: UnverifiedToken,
    *,
    keys: Keys,
    issuer: str | None,
    audience: str,
    typ: Collection[str | None],
    algorithms: Collection[str],
    now: float,
    skew: int,
    default_kid: str | None = None,
) -> VerifiedClaims:
    """Verify a parsed token.

    ``issuer`` is None for tokens of a kind that need not name one: whose they are shows by ``keys`` alone.
    ``typ`` holds every header ``typ`` that is accepted, lower case and without ``application/``; None stands
    for an absent one. ``now`` is in seconds since the epoch and ``skew`` in seconds: a token is accepted iff
    ``now < exp + skew`` and ``iat``, ``nbf`` <= ``now + skew``. ``exp`` is required. ``default_kid`` is for an issuer
    that has one key: it names that key where the token names none.

    :raises CredentialRejected: with the reason of the first check that failed.
    :raises Unavailable: the issuer's keys cannot be known at the moment.
    """
    named = named_key(token, issuer=issuer, audience=audience, typ=typ, algorithms=algorithms, default_kid=default_kid)
    return named.verified_by(keys.find(named.kid, named.algorithm, now), now, skew)


class NamedKey(NamedTuple):
    """The key that a token must be verified with, by its name and algorithm. **Nothing is believed yet.**"""

    kid: str
    algorithm: str
    unverified_token: UnverifiedToken

    def verified_by(self, key: VerificationKey, now: float, skew: int) -> VerifiedClaims:
        """What remains to be verified, once the key has been found. Times are as those of :func:`verify`.

        :raises CredentialRejected: with the reason of the first check that failed.
        """
        token = self.unverified_token
        key.verify(token.signing_input, token.signature)
        check_times(token.unverified_claims, now, skew)
        return VerifiedClaims(token.unverified_claims, self.kid)


def named_key(
    token: UnverifiedToken,
    *,
    issuer: str | None,
    audience: str,
    typ: Collection[str | None],
    algorithms: Collection[str],
    default_kid: str | None = None,
) -> NamedKey:
    """The key that a token must be verified with, for who must wait for that key. Arguments as for :func:`verify`.

    Whatever can be refused without a key is refused here, so that nobody waits, and no issuer is asked, for a token
    that no key could help.

    :raises CredentialRejected: with the reason of the first check that failed.
    """
    kid, algorithm = _check_header(token.unverified_header, typ, algorithms, default_kid)
    if issuer is not None:
        _check_issuer(token.unverified_claims, issuer)
    _check_audience(token.unverified_claims, audience)
    return NamedKey(kid, algorithm, token)


def sole_audience(claims: Mapping[str, Any]) -> str | None:
    """The audience of a token that has exactly one, as a string or a list of one (RFC 7519 section 4.1.3)."""
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    return audience if isinstance(audience, str) and audience else None


def check_times(claims: Mapping[str, Any], now: float, skew: int) -> None:
    """Check ``exp``, ``nbf`` and ``iat`` (RFC 7519 sections 4.1.4 to 4.1.6). All times are in seconds.

    :raises CredentialRejected: the token is expired, not yet valid, or a time in it is not one.
    """
    expires = _instant(claims, "exp")
    if expires is None:
        raise CredentialRejected(Reason.CLAIM_MISSING, claim="exp")
    if not now < expires + skew:
        raise CredentialRejected(Reason.EXPIRED, exp=expires, now=now, skew=skew)
    not_before = _instant(claims, "nbf")
    if not_before is not None and not_before > now + skew:
        raise CredentialRejected(Reason.NOT_YET_VALID, nbf=not_before, now=now, skew=skew)
    issued = _instant(claims, "iat")
    if issued is not None and issued > now + skew:
        raise CredentialRejected(Reason.ISSUED_IN_FUTURE, iat=issued, now=now, skew=skew)


def check_age(claims: VerifiedClaims, *, max_age: int, now: float, skew: int) -> None:
    """Check that a token is at most ``max_age`` seconds old, and was never made to live longer than that.

    :raises CredentialRejected: ``claim_missing`` (no ``iat``), ``too_old`` or ``lives_too_long``.
    """
    issued, expires = claims.time("iat"), claims.time("exp")
    if now - issued > max_age + skew:
        raise CredentialRejected(Reason.TOO_OLD, age=now - issued, max_age=max_age)
    if expires - issued > max_age:
        raise CredentialRejected(Reason.LIVES_TOO_LONG, lifetime=expires - issued, max_age=max_age)


def _check_header(
    header: Mapping[str, Any], typ: Collection[str | None], algorithms: Collection[str], default_kid: str | None
) -> tuple[str, str]:
    if "crit" in header or "b64" in header:
        # RFC 7515 section 4.1.11: an extension that is not understood and must be is a reason to refuse. None is.
        raise CredentialRejected(Reason.CRITICAL_HEADER_UNKNOWN)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in algorithms or algorithm not in ASYMMETRIC:
        raise CredentialRejected(Reason.ALGORITHM_NOT_ALLOWED)
    if media_type(header.get("typ")) not in typ:
        raise CredentialRejected(Reason.TOKEN_TYPE_WRONG)
    kid = header.get("kid", default_kid)
    if kid is None or kid == "":
        raise CredentialRejected(Reason.KEY_ID_MISSING)
    if not isinstance(kid, str) or len(kid) > MAX_KEY_ID:
        raise CredentialRejected(Reason.KEY_UNKNOWN)
    return kid, algorithm


def media_type(typ: object) -> str | None:
    """A header ``typ`` as it is compared: case does not matter, and ``application/`` may be left out.

    RFC 7515 section 4.1.9.
    """
    if typ is None:
        return None
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else ""


def _check_issuer(claims: Mapping[str, Any], issuer: str) -> None:
    if "iss" not in claims:
        raise CredentialRejected(Reason.CLAIM_MISSING, claim="iss")
    if claims["iss"] != issuer:
        raise CredentialRejected(Reason.ISSUER_WRONG)


def _check_audience(claims: Mapping[str, Any], audience: str) -> None:
    if "aud" not in claims:
        raise CredentialRejected(Reason.CLAIM_MISSING, claim="aud")
    if sole_audience(claims) != audience:
        raise CredentialRejected(Reason.AUDIENCE_WRONG)


def _instant(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if type(value) is int and 0 <= value <= _LAST_INSTANT:  # nearly always, and in a quarter of the time
        return value
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_INSTANT:
        raise CredentialRejected(Reason.CLAIM_MALFORMED, claim=name)
    return value
