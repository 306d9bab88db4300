"""Whether a caller has the private key that it says it has: DPoP proofs at our own endpoints (RFC 9449)."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from authserver.errors import CredentialRejected, NonceWanted, ProofRejected, Reason
from authserver.identity.using import still_usable
from authserver.jose.dpop import Proof, read_proof, sole_proof
from authserver.jose.freshness import Freshness
from authserver.jose.nonce import Nonces
from authserver.model import Subject, Use
from authserver.store.ports import DeviceReplayStore

_REPLAYS: Final = "DPoP"
"""Under what name used proofs are remembered. No source can have it: their names have no capitals."""


class Proven(NamedTuple):
    """A proof that was accepted, and until when it must be remembered as used, in seconds since the epoch."""

    proof: Proof
    until: float


class Possession:
    """Accepts proofs. ``skew`` is how far clocks may differ, in seconds."""

    def __init__(self, replay: DeviceReplayStore, nonces: Nonces, *, skew: int) -> None:
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

    def spend(self, proven: Proven, now: float, *, subject: Subject | None = None) -> None:
        """Use up a proof (RFC 9449 section 11.1), and with it the credential of ``subject`` if that is single-use.

        Both are used up or neither: a proof that was used before costs nobody the credential that came with it. A
        device must still be what it was taken for.

        :raises Conflict: it is not, and nothing was used up.
        :raises CredentialRejected: ``used_twice``, the credential was; or ``expired``, it is over by now.
        :raises NonceWanted: the proof is over by now. Nothing is remembered that is, so a replay would not be noticed.
        :raises ProofRejected: ``proof_replayed``.
        :raises Unavailable: what was used cannot be remembered at the moment.
        """
        proof = Use(_REPLAYS, f"{proven.proof.thumbprint}.{proven.proof.use_id}", proven.until)
        credential = None if subject is None else still_usable(subject, now)
        if now >= proven.until:
            reason = Reason.PROOF_TIME_WRONG if proven.proof.nonce is None else Reason.NONCE_WRONG
            raise NonceWanted(reason, nonce=self.nonce(now))
        used = self._use([proof] if credential is None else [credential, proof], now, subject)
        if used is proof:
            raise ProofRejected(Reason.PROOF_REPLAYED)
        if used is not None:
            raise CredentialRejected(Reason.USED_TWICE)

    def _use(self, uses: Sequence[Use], now: float, subject: Subject | None) -> Use | None:
        if subject is None or subject.record is None:
            return self._replay.use_together(uses, now)
        return self._replay.use_while(subject.record, uses, now)
