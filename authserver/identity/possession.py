"""Whether a caller has the private key that it says it has: DPoP proofs at our own endpoints (RFC 9449)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from authserver.errors import CredentialRejected, ProofRejected, Reason
from authserver.jose.dpop import Proof, read_proof, sole_proof
from authserver.jose.freshness import Freshness
from authserver.jose.nonce import Nonces
from authserver.store.ports import ReplayStore

_REPLAYS: Final = "DPoP"
"""Under what name used proofs are remembered. No source can have it: their names have no capitals."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A proof that was accepted, and until when it must be remembered as used, in seconds since the epoch."""

    proof: Proof
    until: float


class Possession:
    """Accepts proofs. ``skew`` is how far clocks may differ, in seconds."""

    def __init__(self, replay: ReplayStore, nonces: Nonces, *, skew: int) -> None:
        self._replay = replay
        self._freshness = Freshness(nonces, skew=skew)

    def nonce(self, now: float) -> str:
        """A nonce for the caller's next proof (RFC 9449 section 8.2)."""
        return self._freshness.nonce(now)

    def prove(
        self, proofs: Sequence[str], *, method: str, url: str, now: float, nonce_required: bool = False
    ) -> Proven:
        """Verify the one proof among the ``DPoP`` headers of a request with ``method`` to ``url``.

        With a fresh nonce of ours the proof's own time is not judged, so that a device whose clock is wrong can be
        served. That it is used only once is for :meth:`spend`.

        :raises NonceWanted: it has no fresh nonce of ours, and its own time or the endpoint asks for one.
        :raises ProofRejected: it is missing, there are several, or it is not believed.
        """
        proof = read_proof(sole_proof(proofs), method=method, url=url)
        return Proven(proof, self._freshness.until(proof, now, nonce_required=nonce_required))

    def spend(self, proven: Proven, now: float) -> None:
        """Use up a proof (RFC 9449 section 11.1).

        :raises ProofRejected: ``proof_replayed``.
        :raises Unavailable: what was used cannot be remembered at the moment.
        """
        try:
            self._replay.use_once(_REPLAYS, proven.proof.use_id, expires_at=proven.until, now=now)
        except CredentialRejected as error:
            raise ProofRejected(Reason.PROOF_REPLAYED) from error
