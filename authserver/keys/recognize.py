"""Recognizing: from what somebody sends to an access token that was minted here, and whether it was taken back."""

from collections.abc import Callable, Collection
from typing import Final

from authserver.errors import CredentialRejected, Reason
from authserver.jose.compact import parse
from authserver.jose.jwk import ASYMMETRIC, VerificationKey, import_public
from authserver.jose.verify import Keys, check_age, sole_audience, verify
from authserver.keys.ring import Entry
from authserver.keys.rotate import KeyRing
from authserver.oauth import ACCESS_TOKEN_TYP, DEVICE_PREFIX, LONGEST_LIFETIME
from authserver.resource.token import VerifiedToken
from authserver.store.ports import DeviceReader, RevocationStore

_OUTLIVES: Final = 3
"""By how many skews a revocation is remembered beyond ``exp``.

One is the leeway, one is for a node that accepts by a clock that is behind, and one for a node whose clock is ahead and
that sweeps the store.
"""


class RingKeys:
    """The keys of a ring as verification looks them up: those that the JWKS shows, so no revoked one."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    def find(self, kid: str, algorithm: str, now: float) -> VerificationKey:
        """See :class:`authserver.jose.verify.Keys`.

        A key that this process has not heard of may be another node's new one. What is said of its tokens must be true
        at once, so the store is asked before they are called unknown.
        """
        entry = self._entry(kid, now)
        if entry is None:
            self._ring.reread()
            entry = self._entry(kid, now)
        if entry is None:
            raise CredentialRejected(Reason.KEY_UNKNOWN)
        if entry.algorithm != algorithm:
            raise CredentialRejected(Reason.ALGORITHM_NOT_ALLOWED)
        return import_public(entry.public_jwk, (entry.algorithm,))

    def _entry(self, kid: str, now: float) -> Entry | None:
        return next((entry for entry in self._ring.ring.published(now) if entry.kid == kid), None)


class OwnTokens:
    """The access tokens of ``issuer``. ``skew`` is in seconds, and ``clock`` gives seconds since the epoch."""

    def __init__(
        self,
        issuer: str,
        keys: Keys,
        revocations: RevocationStore,
        devices: DeviceReader,
        *,
        clock: Callable[[], float],
        skew: int,
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._revocations = revocations
        self._devices = devices
        self._clock = clock
        self._skew = skew

    def verify(self, unverified_token: str, audiences: Collection[str]) -> VerifiedToken:
        """A token of ours for one of ``audiences``, bound to a key or not; it may have been revoked.

        :raises CredentialRejected: with the reason of the first check that failed.
        :raises Unavailable: ``store_unavailable``, when the ring was never read.
        """
        now = self._clock()
        parsed = parse(unverified_token)
        audience = sole_audience(parsed.unverified_claims)
        if audience is None or audience not in audiences:
            raise CredentialRejected(Reason.AUDIENCE_WRONG)
        verified = verify(
            parsed,
            keys=self._keys,
            issuer=self._issuer,
            audience=audience,
            typ=(ACCESS_TOKEN_TYP,),
            algorithms=ASYMMETRIC,  # each key of the ring narrows this down to its own
            now=now,
            skew=self._skew,
        )
        check_age(verified, max_age=LONGEST_LIFETIME, now=now, skew=self._skew)
        return VerifiedToken.of(verified, self._issuer, audience)

    def check_unrevoked(self, token: VerifiedToken) -> None:
        """Check that nobody has taken back a token, or the device that it was given to, or the device's key.

        :raises CredentialRejected: ``revoked``, ``device_unknown``, ``device_revoked`` or ``device_changed``.
        :raises Unavailable: ``store_unavailable``.
        """
        if self._revocations.is_revoked(token.issuer, token.jti, self._clock()):
            raise CredentialRejected(Reason.REVOKED)
        if token.client_id.startswith(DEVICE_PREFIX):
            self._check_device(token)

    def check_active(self, token: VerifiedToken) -> None:
        """Check what only the issuer can say for certain (RFC 7662 section 4). It allows ``exp`` no leeway.

        :raises CredentialRejected: ``expired``, or one of :meth:`check_unrevoked`.
        :raises Unavailable: ``store_unavailable``.
        """
        now = self._clock()
        if now >= token.expires_at:
            raise CredentialRejected(Reason.EXPIRED, exp=token.expires_at, now=now, skew=0)
        self.check_unrevoked(token)

    def revoke(self, token: VerifiedToken) -> None:
        """Take a token back, in every spelling: what counts is its ``jti``. Doing so twice is harmless.

        :raises Unavailable: ``store_unavailable``.
        """
        expires_at = token.expires_at + _OUTLIVES * self._skew
        self._revocations.revoke(token.issuer, token.jti, expires_at=expires_at)

    def _check_device(self, token: VerifiedToken) -> None:
        device = self._devices.read_device(token.client_id)
        if device is None:
            raise CredentialRejected(Reason.DEVICE_UNKNOWN)
        if device.revoked_at is not None:
            raise CredentialRejected(Reason.DEVICE_REVOKED)
        if token.thumbprint != device.thumbprint:
            raise CredentialRejected(Reason.DEVICE_CHANGED)
