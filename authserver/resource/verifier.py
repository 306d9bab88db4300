"""The verifier of access tokens for a resource server: RFC 9068 section 4, and nothing looser."""

import secrets
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final, TypedDict

from authserver.errors import CredentialRejected, Reason, Unavailable
from authserver.jose.compact import parse
from authserver.jose.jwk import ASYMMETRIC, VerificationKey
from authserver.jose.nonce import Nonces
from authserver.jose.verify import Keys, check_age, check_times, verify
from authserver.oauth import ACCESS_TOKEN_TYP, LONGEST_LIFETIME
from authserver.resource.credential import OfferedProof
from authserver.resource.keys import keys_of
from authserver.resource.memory import Remembered, TokenMemory, fingerprint
from authserver.resource.proof import ProofChecker
from authserver.resource.replay import Replay, ReplayMemory
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
    sender_constrained: bool
    replay: Replay | None
    require_dpop_nonce: bool
    nonce_keys: Sequence[bytes]
    clock: Callable[[], float]


class AccessTokenVerifier:
    """Believes the access tokens that ``issuer`` made for ``audience`` and for nobody else.

    ``issuer`` is compared byte for byte, with its metadata document and with every token. ``audience`` is this
    resource server's identifier. ``keys`` are the issuer's; left out, they are found by its metadata (RFC 8414)
    and kept fresh in the background. ``algorithms`` may sign. ``leeway``, at most 60 seconds, is allowed
    between the clocks. ``memory`` is how many verified tokens are remembered. ``clock`` gives seconds since the
    epoch.

    The rest is about tokens that are bound to a key (RFC 9449). With ``sender_constrained`` no others are accepted.
    ``replay`` remembers used proofs; left out, this process does (:class:`~authserver.resource.replay.ReplayMemory`),
    so **with several worker processes hand in one that they share**, or a proof can be used once in each. With
    ``require_dpop_nonce`` every proof must carry a nonce of ours; without, it may. ``nonce_keys``, each at least 32
    bytes, are what nonces are made with, the first, and recognized by, all of them; left out, a random one that
    processes forked later share. With several hosts, or workers that each load the program, give them the same.

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
        sender_constrained: bool = False,
        replay: Replay | None = None,
        require_dpop_nonce: bool = False,
        nonce_keys: Sequence[bytes] = (),
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
        self._sender_constrained = sender_constrained
        self._proofs = ProofChecker(
            audience,
            ReplayMemory() if replay is None else replay,
            Nonces(nonce_keys or (secrets.token_bytes(32),), skew=leeway),
            skew=leeway,
            nonce_required=require_dpop_nonce,
        )

    def verify(self, token: str) -> VerifiedToken:
        """Verify a bearer token. The times and the key are checked each time, the signature the first time.

        :raises CredentialRejected: with the reason of the first check that failed; ``sender_unproven``, the token is
            bound to a key (RFC 9449 section 7.2), or this API wants it to be.
        :raises Unavailable: ``keys_unavailable``, the issuer's keys cannot be known at the moment.
        """
        verified = self._believe(token, self._clock())
        if self._sender_constrained or "cnf" in verified.claims:
            raise CredentialRejected(Reason.SENDER_UNPROVEN)
        return verified

    def verify_bound(self, token: str, proof: OfferedProof) -> tuple[VerifiedToken, str | None]:
        """Verify a token that is bound to a key, with the proof of that key (RFC 9449 section 7).

        Of the token what :meth:`verify` checks; of the proof everything, each time, and then it is used up. Returns the
        token, and a nonce that the answer must carry as ``DPoP-Nonce`` if it is time for a new one.

        :raises CredentialRejected: the token is not believed, is bound to no key, or to another one.
        :raises NonceWanted: the proof has no fresh nonce of ours, and here it must.
        :raises ProofRejected: it is missing, there are several, or it is not one for this request.
        :raises Unavailable: keys, or what was used, cannot be known at the moment.
        """
        now = self._clock()
        verified = self._believe(token, now)
        return verified, self._proofs.check(proof, token, verified, now)

    def _believe(self, token: str, now: float) -> VerifiedToken:
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
