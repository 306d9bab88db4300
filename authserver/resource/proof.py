"""Whether a request is by who holds the key of its token: RFC 9449 section 4.3, at a resource server."""

import logging
from functools import partial

from authserver.errors import CredentialRejected, ProofRejected, Reason
from authserver.jose.dpop import Proof, check_token, read_proof, sole_proof
from authserver.jose.freshness import Freshness
from authserver.jose.nonce import LIFETIME, Nonces
from authserver.resource.credential import OfferedProof
from authserver.resource.replay import Replay, ReplayMemory
from authserver.resource.sweeping import swept
from authserver.resource.token import VerifiedToken
from authserver.resource.waiting import Waits

_log = logging.getLogger("authserver.resource")


class ProofChecker:
    """Accepts proofs for the API that ``audience`` names. ``skew`` is how far clocks may differ, in seconds."""

    def __init__(self, audience: str, replay: Replay, nonces: Nonces, *, skew: int, nonce_required: bool) -> None:
        self._audience = audience
        self._replay = swept(replay)
        self._freshness = Freshness(nonces, skew=skew)
        self._nonce_required = nonce_required

    async def check(
        self, offered: OfferedProof, token: str, verified: VerifiedToken, now: float, waits: Waits
    ) -> str | None:
        """Check the proof that came with a token, and use it up. ``verified`` is what that ``token`` says.

        Returns a nonce for the caller's next proof where its own is half-way to being stale (RFC 9449 section 8.2).
        Not with every answer: one that carries a nonce must not be cached.

        :raises CredentialRejected: the token is bound to no key, or to another one.
        :raises NonceWanted: the proof has no fresh nonce of ours, and its own time or the API asks for one.
        :raises ProofRejected: it is missing, there are several, or it is not one for this request.
        :raises Unavailable: what was used cannot be remembered at the moment.
        """
        thumbprint = _bound_to(verified)
        proof = _read(offered)
        if proof.thumbprint != thumbprint:
            # RFC 9449 section 7.1, figure 16: here it is the token that is wrong. Another one may be for this key.
            raise CredentialRejected(Reason.PROOF_KEY_WRONG)
        check_token(proof, token)
        until = self._freshness.until(proof, now, nonce_required=self._nonce_required)
        await self._use_up(proof, until, now, waits)
        stale_soon = proof.nonce is not None and until - now <= LIFETIME / 2
        return self._freshness.nonce(now) if stale_soon else None

    async def _use_up(self, proof: Proof, until: float, now: float, waits: Waits) -> None:
        # The key is part of the source, so that a memory can see to it that no device takes all the room.
        source = f"DPoP {self._audience} {proof.thumbprint}"
        use = partial(self._replay.use_once, source, proof.use_id, expires_at=until, now=now)
        try:
            if isinstance(self._replay, ReplayMemory):
                use()
            else:
                await waits.call(use)  # a store waits for its disk, or for its network
        except CredentialRejected as error:
            raise ProofRejected(Reason.PROOF_REPLAYED) from error


def _bound_to(verified: VerifiedToken) -> str:
    """The thumbprint of the key that a token is bound to, where that is the only thing it is bound to."""
    if verified.thumbprint is None:
        unbound = "cnf" not in verified.claims
        raise CredentialRejected(Reason.SENDER_UNPROVEN if unbound else Reason.CONFIRMATION_UNSUPPORTED)
    return verified.thumbprint


def _read(offered: OfferedProof) -> Proof:
    header = sole_proof(offered.headers)
    if not offered.urls:
        _log.warning("no DPoP proof can be accepted: set url to the external address of this API")
        raise ProofRejected(Reason.PROOF_ADDRESS_WRONG, remedy="set url")
    *others, last = offered.urls
    for url in others:
        try:
            return read_proof(header, method=offered.method, url=url)
        except ProofRejected as error:
            if error.reason is not Reason.PROOF_ADDRESS_WRONG:
                raise
    return read_proof(header, method=offered.method, url=last)
