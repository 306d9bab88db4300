"""The verifier of access tokens for a resource server: RFC 9068 section 4, and nothing looser."""

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, TypedDict

from authserver.certificate import ClientCertificate
from authserver.errors import CredentialRejected, Reason, Unavailable
from authserver.jose.compact import parse
from authserver.jose.flight import Wait
from authserver.jose.jwk import ASYMMETRIC, VerificationKey
from authserver.jose.nonce import Nonces
from authserver.jose.verify import Keys, NamedKey, check_age, check_times, named_key
from authserver.oauth import ACCESS_TOKEN_TYP, LONGEST_LIFETIME
from authserver.resource.certificates import check_certificate
from authserver.resource.credential import OfferedProof
from authserver.resource.introspection import Introspection, Introspector
from authserver.resource.keys import STALE_BOUND, awaitable, keys_of
from authserver.resource.memory import Remembered, TokenMemory, fingerprint
from authserver.resource.proof import ProofChecker
from authserver.resource.replay import Replay, ReplayMemory
from authserver.resource.token import Accepted, VerifiedToken
from authserver.resource.urls import require_url
from authserver.resource.waiting import Blocking, OnLoop, Waits, finish

LEEWAY: Final = 30
"""The seconds by which clocks may differ, unless told otherwise."""

MAX_LEEWAY: Final = 60
"""The most seconds by which clocks may differ (R99)."""

_TYP: Final = (ACCESS_TOKEN_TYP,)
_BLOCKING: Final = Blocking()


class VerifierOptions(TypedDict, total=False):
    """The settings of :class:`AccessTokenVerifier` that have a default; an adapter passes them on."""

    keys: Keys | None
    jwks_url: str | None
    key_cache: str | os.PathLike[str] | None
    stale_bound: float
    algorithms: Collection[str]
    leeway: int
    memory: int
    sender_constrained: bool
    replay: Replay | None
    require_dpop_nonce: bool
    nonce_keys: Sequence[bytes]
    introspection: Introspection | None
    clock: Callable[[], float]


class AccessTokenVerifier:
    """Believes the access tokens that ``issuer`` made for ``audience`` and for nobody else.

    ``issuer`` is compared byte for byte, with its metadata document and with every token. ``audience`` is this
    resource server's identifier. ``algorithms`` may sign. ``leeway``, at most 60 seconds, is allowed between the
    clocks. ``memory`` is how many verified tokens are remembered. ``introspection`` asks the issuer whether a token is
    still active, too. ``clock`` gives seconds since the epoch.

    The issuer's keys are found by its metadata (RFC 8414), or at ``jwks_url``, and kept fresh in the background; while
    they cannot be had, the last ones are used until they are ``stale_bound`` seconds old. ``key_cache`` is a file that
    keeps them for the next start; it is used only where it is ours and nobody else may write to it. Or hand in
    ``keys``, whose ``find`` must not block where there is an event loop.

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
        jwks_url: str | None = None,
        key_cache: str | os.PathLike[str] | None = None,
        stale_bound: float = STALE_BOUND,
        algorithms: Collection[str] = ("ES256", "RS256", "EdDSA"),
        leeway: int = LEEWAY,
        memory: int = 4096,
        sender_constrained: bool = False,
        replay: Replay | None = None,
        require_dpop_nonce: bool = False,
        nonce_keys: Sequence[bytes] = (),
        introspection: Introspection | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        _refuse_unusable(issuer, audience, algorithms, leeway)
        if keys is not None and (jwks_url is not None or key_cache is not None):
            raise ValueError("keys that are handed in are not fetched: leave out jwks_url and key_cache")
        self.issuer = issuer
        self.audience = audience
        self._algorithms = tuple(algorithms)
        self._leeway = leeway
        self._clock = clock
        cache = None if key_cache is None else Path(key_cache)
        self._keys = (
            keys_of(issuer, self._algorithms, clock, jwks_url=jwks_url, key_cache=cache, stale_bound=stale_bound)
            if keys is None
            else awaitable(keys)
        )
        self._memory = TokenMemory(memory)
        self._sender_constrained = sender_constrained
        self._proofs = ProofChecker(
            audience,
            ReplayMemory() if replay is None else replay,
            Nonces(nonce_keys or (secrets.token_bytes(32),), skew=leeway),
            skew=leeway,
            nonce_required=require_dpop_nonce,
        )
        self._introspector = Introspector(issuer, introspection, clock) if introspection is not None else None
        self._asks_for_more = sender_constrained or introspection is not None
        self._on_loop = OnLoop()

    def verify(self, token: str, certificate: bytes | None = None) -> VerifiedToken:
        """Verify a bearer token. The times and the key are checked each time, the signature the first time.

        ``certificate`` is the caller's, in DER: that of the TLS connection, which has proved that the caller has its
        key. It is looked at for a token that is bound to one (RFC 8705 section 3), each time.

        :raises CredentialRejected: with the reason of the first check that failed; ``sender_unproven``, the token is
            bound to a key (RFC 9449 section 7.2), or this API wants it to be; ``certificate_missing`` or
            ``certificate_wrong``.
        :raises Unavailable: ``keys_unavailable``, the issuer's keys cannot be known at the moment.
        """
        return finish(self.believe(token, None, _BLOCKING, _shown(certificate))).token

    async def verify_async(self, token: str, certificate: bytes | None = None) -> VerifiedToken:
        """What :meth:`verify` does, without ever holding the event loop."""
        return (await self.believe(token, None, self._on_loop, _shown(certificate))).token

    def verify_bound(self, token: str, proof: OfferedProof) -> tuple[VerifiedToken, str | None]:
        """Verify a token that is bound to a key, with the proof of that key (RFC 9449 section 7).

        Of the token what :meth:`verify` checks; of the proof everything, each time, and then it is used up. Returns the
        token, and a nonce that the answer must carry as ``DPoP-Nonce`` if it is time for a new one.

        :raises CredentialRejected: the token is not believed, is bound to no key, or to another one.
        :raises NonceWanted: the proof has no fresh nonce of ours, and here it must.
        :raises ProofRejected: it is missing, there are several, or it is not one for this request.
        :raises Unavailable: keys, or what was used, cannot be known at the moment.
        """
        return finish(self.believe(token, proof, _BLOCKING))

    async def verify_bound_async(self, token: str, proof: OfferedProof) -> tuple[VerifiedToken, str | None]:
        """What :meth:`verify_bound` does, without ever holding the event loop."""
        return await self.believe(token, proof, self._on_loop)

    def known(self, token: str) -> Accepted | None:
        """What a bearer token was accepted as before, where nothing has to be waited for and nothing else be looked at.

        It is what :meth:`believe` would say, for a fraction of its time. None says nothing.
        """
        remembered = self._memory.recall(fingerprint(token))
        if remembered is None or self._asks_for_more or not self._holds(remembered, self._clock()):
            return None
        return None if "cnf" in remembered.accepted.token.claims else remembered.accepted

    async def believe(
        self, token: str, proof: OfferedProof | None, waits: Waits, certificate: ClientCertificate | None = None
    ) -> Accepted:
        """The steps of :meth:`verify`, or with a ``proof`` those of :meth:`verify_bound`."""
        now, name = self._clock(), fingerprint(token)
        remembered = self._memory.recall(name)
        if remembered is not None and self._holds(remembered, now):
            accepted = remembered.accepted
        else:
            accepted = await self._believe(token, name, remembered, now, waits)
        if proof is not None:
            accepted = accepted._replace(nonce=await self._proofs.check(proof, token, accepted.token, now, waits))
        elif self._sender_constrained or "cnf" in accepted.token.claims:
            check_certificate(accepted.token, certificate)
        if self._introspector is not None:
            await self._introspector.check(token, accepted.token, now, waits)
        return accepted

    def _holds(self, remembered: Remembered, now: float) -> bool:
        return remembered.begins <= now < remembered.ends and self._keys.at_hand(remembered.kid, now) is remembered.key

    async def _believe(
        self, token: str, name: bytes, remembered: Remembered | None, now: float, waits: Waits
    ) -> Accepted:
        """Verify a token that is not known, or whose key or times must be looked at the long way."""
        named = remembered or self._named(token)
        pending = self._keys.awaited(named.kid, now)
        if pending is not None:
            await _patiently(pending, waits)
        believed = self._again(named, name, now) if isinstance(named, Remembered) else self._first(named, now)
        self._memory.remember(name, believed)
        return believed.accepted

    def _named(self, token: str) -> NamedKey:
        return named_key(
            parse(token), issuer=self.issuer, audience=self.audience, typ=_TYP, algorithms=self._algorithms
        )

    def _first(self, named: NamedKey, now: float) -> Remembered:
        key = self._key(named.kid, named.algorithm, now)
        verified = named.verified_by(key, now, self._leeway)
        check_age(verified, max_age=LONGEST_LIFETIME, now=now, skew=self._leeway)
        return Remembered.of(VerifiedToken.of(verified, self.issuer, self.audience), key, self._leeway)

    def _again(self, remembered: Remembered, name: bytes, now: float) -> Remembered:
        try:
            key = self._key(remembered.kid, remembered.key.algorithm, now)
            if key is not remembered.key and key != remembered.key:
                raise CredentialRejected(Reason.KEY_UNKNOWN)  # the issuer gave the same kid to another key
            check_times(remembered.accepted.token.claims, now, self._leeway)
        except CredentialRejected:
            self._memory.forget(name)
            raise
        return remembered._replace(key=key)  # which is another object where keys were fetched again

    def _key(self, kid: str, algorithm: str, now: float) -> VerificationKey:
        try:
            return self._keys.find_now(kid, algorithm, now)
        except Unavailable as error:
            facts = {**error.facts, "because": error.reason.value}
            raise Unavailable(Reason.KEYS_UNAVAILABLE, retry_after=error.retry_after, **facts) from error


def _shown(certificate: bytes | None) -> ClientCertificate | None:
    return None if certificate is None else ClientCertificate(certificate)


def _refuse_unusable(issuer: str, audience: str, algorithms: Collection[str], leeway: int) -> None:
    require_url("issuer", issuer)
    if not audience or not audience.isprintable():
        raise ValueError("audience must be the identifier that tokens for this resource server carry")
    if not algorithms or not ASYMMETRIC.issuperset(algorithms):
        raise ValueError(f"algorithms must be some of {', '.join(sorted(ASYMMETRIC))}")
    if not 0 <= leeway <= MAX_LEEWAY:
        raise ValueError(f"leeway must be 0 to {MAX_LEEWAY} seconds")


async def _patiently(wait: Wait, waits: Waits) -> None:
    with contextlib.suppress(TimeoutError):
        await waits.result(wait.landed, wait.seconds)
