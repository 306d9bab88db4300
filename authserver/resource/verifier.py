"""The verifier of access tokens for a resource server: RFC 9068 section 4, and nothing looser."""

import time
from collections.abc import Callable, Collection
from typing import Final, TypedDict

from authserver.errors import CredentialRejected, Reason, Unavailable
from authserver.jose.compact import parse
from authserver.jose.jwk import ASYMMETRIC, VerificationKey
from authserver.jose.verify import Keys, check_age, check_times, verify
from authserver.oauth import ACCESS_TOKEN_TYP, LONGEST_LIFETIME
from authserver.resource.keys import keys_of
from authserver.resource.memory import Remembered, TokenMemory, fingerprint
from authserver.resource.token import VerifiedToken
from authserver.resource.urls import require_url

MAX_LEEWAY: Final = 60
"""The most seconds by which clocks may differ (R99)."""


class VerifierOptions(TypedDict, total=False):
    """The settings of :class:`AccessTokenVerifier` that have a default; an adapter passes them on."""

    keys: Keys
    algorithms: Collection[str]
    leeway: int
    memory: int
    clock: Callable[[], float]


class AccessTokenVerifier:
    """Believes the access tokens that ``issuer`` made for ``audience`` and for nobody else.

    ``issuer`` is compared byte for byte, with its metadata document and with every token. ``audience`` is this
    resource server's identifier. ``keys`` are the issuer's; left out, they are found by its metadata (RFC 8414)
    and kept fresh in the background. ``algorithms`` may sign. ``leeway``, at most 60 seconds, is allowed
    between the clocks. ``memory`` is how many verified tokens are remembered. ``clock`` gives seconds since the
    epoch.

    Threads may share it. It touches the network with the first token and not before, so it can be made before
    a server forks.

    :raises ValueError: a setting cannot be used.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        keys: Keys | None = None,
        algorithms: Collection[str] = ("ES256", "RS256", "EdDSA"),
        leeway: int = 30,
        memory: int = 4096,
        clock: Callable[[], float] = time.time,
    ) -> None:
        require_url("issuer", issuer)
        if not audience or not audience.isprintable():
            raise ValueError("audience must be the identifier that tokens for this resource server carry")
        if not algorithms or not ASYMMETRIC.issuperset(algorithms):
            raise ValueError(f"algorithms must be some of {', '.join(sorted(ASYMMETRIC))}")
        if not 0 <= leeway <= MAX_LEEWAY:
            raise ValueError(f"leeway must be 0 to {MAX_LEEWAY} seconds")
        self.issuer = issuer
        self.audience = audience
        self._algorithms = tuple(algorithms)
        self._leeway = leeway
        self._clock = clock
        self._keys = keys_of(issuer, self._algorithms, clock) if keys is None else keys
        self._memory = TokenMemory(memory)

    def verify(self, token: str) -> VerifiedToken:
        """Verify a token. The times and the key are checked each time, the signature the first time.

        :raises CredentialRejected: with the reason of the first check that failed.
        :raises Unavailable: ``keys_unavailable``, the issuer's keys cannot be known at the moment.
        """
        now = self._clock()
        name = fingerprint(token)
        remembered = self._memory.recall(name)
        if remembered is None:
            return self._verify(token, name, now)
        try:
            self._check_again(remembered, now)
        except CredentialRejected:
            self._memory.forget(name)
            raise
        return remembered.token

    def _verify(self, token: str, name: bytes, now: float) -> VerifiedToken:
        keys = _Witness(self._keys)
        verified = verify(
            parse(token),
            keys=keys,
            issuer=self.issuer,
            audience=self.audience,
            typ=(ACCESS_TOKEN_TYP,),
            algorithms=self._algorithms,
            now=now,
            skew=self._leeway,
        )
        check_age(verified, max_age=LONGEST_LIFETIME, now=now, skew=self._leeway)
        if "cnf" in verified.claims:
            # RFC 9449 section 7.2: a token that is bound to a key is not a bearer token.
            raise CredentialRejected(Reason.CONFIRMATION_UNSUPPORTED)
        believed = VerifiedToken.of(verified, self.issuer, self.audience)
        self._memory.remember(name, Remembered(believed, keys.found))
        return believed

    def _check_again(self, remembered: Remembered, now: float) -> None:
        key = _Witness(self._keys).find(remembered.token.kid, remembered.key.algorithm, now)
        if key is not remembered.key and key != remembered.key:
            raise CredentialRejected(Reason.KEY_UNKNOWN)  # the issuer gave the same kid to another key
        check_times(remembered.token.claims, now, self._leeway)


class _Witness:
    """The keys, and which of them the signature was checked with."""

    found: VerificationKey

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def find(self, kid: str, algorithm: str, now: float) -> VerificationKey:
        try:
            self.found = self._keys.find(kid, algorithm, now)
        except Unavailable as error:
            facts = {**error.facts, "because": error.reason.value}
            raise Unavailable(Reason.KEYS_UNAVAILABLE, retry_after=error.retry_after, **facts) from error
        return self.found
