"""Whether a DPoP proof was made lately: by a nonce of ours, or else by its own time (RFC 9449 sections 8 and 11.1)."""

from typing import Final

from authserver.errors import NonceWanted, ProofRejected, Reason
from authserver.jose.dpop import Proof, check_time
from authserver.jose.nonce import Nonces

MAX_AGE: Final = 60
"""How many seconds old a proof without a nonce may be."""


class Freshness:
    """Judges the age of proofs. ``skew`` is how far clocks may differ, in seconds."""

    def __init__(self, nonces: Nonces, *, skew: int) -> None:
        self._nonces = nonces
        self._skew = skew

    def nonce(self, now: float) -> str:
        """A nonce for the caller's next proof (RFC 9449 section 8.2)."""
        return self._nonces.give(now)

    def until(self, proof: Proof, now: float, *, nonce_required: bool) -> float:
        """When a proof ends being acceptable, in seconds since the epoch: until then it must be remembered as used.

        With a fresh nonce of ours its own time is not judged, so that a device whose clock is wrong can be served.

        :raises NonceWanted: it has no fresh nonce of ours, and ``nonce_required`` or its own time asks for one.
        """
        if proof.nonce is not None:
            until = self._nonces.expiry(proof.nonce, now)
            if until is None:
                raise NonceWanted(Reason.NONCE_WRONG, nonce=self.nonce(now))
            return until
        if nonce_required:
            raise NonceWanted(Reason.NONCE_MISSING, nonce=self.nonce(now))
        try:
            return check_time(proof, max_age=MAX_AGE, now=now, skew=self._skew)
        except ProofRejected as late:
            raise NonceWanted(late.reason, nonce=self.nonce(now), **late.facts) from late
