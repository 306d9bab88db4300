"""DPoP proofs at those of our own endpoints that take a token of ours (RFC 9449)."""

from collections.abc import Callable, Sequence

from authserver.endpoints import respond
from authserver.endpoints.http import Request, Response
from authserver.identity.possession import Possession, Proven
from authserver.model import Subject


class Proofs:
    """Reads proofs for the endpoints of ``issuer``. ``clock`` gives seconds since the epoch."""

    def __init__(self, issuer: str, possession: Possession, clock: Callable[[], float]) -> None:
        self._base = issuer.rstrip("/")
        self._possession = possession
        self._clock = clock

    def read(self, request: Request, path: str) -> Proven | None:
        """The proof of a request for ``path``, which is below the issuer; None if there is no ``DPoP`` header.

        :raises NonceWanted: it needs a fresh nonce of ours.
        :raises ProofRejected: there are several, or it is not believed.
        """
        headers = request.header_values("dpop")
        return self.demand(headers, request, path) if headers else None

    def demand(self, proofs: Sequence[str], request: Request, path: str, *, nonce_required: bool = False) -> Proven:
        """The one proof among ``proofs``, made for a request for ``path``, where there must be one.

        :raises NonceWanted: it needs a fresh nonce of ours.
        :raises ProofRejected: there is none, there are several, or it is not believed.
        """
        return self._possession.prove(
            proofs, method=request.method, url=self._base + path, now=self._clock(), nonce_required=nonce_required
        )

    def spend(self, proven: Proven, *, subject: Subject | None = None) -> None:
        """Use up a proof, when nothing else is left to be refused, and with it a single-use credential of ``subject``.

        :raises CredentialRejected: ``used_twice``.
        :raises ProofRejected: ``proof_replayed``.
        :raises Unavailable: ``store_unavailable``.
        """
        self._possession.spend(proven, self._clock(), subject=subject)

    def with_nonce(self, request: Request, response: Response) -> Response:
        """The answer to a request, with a nonce for the next proof if there was one in it (RFC 9449 section 8.2)."""
        if not request.header_values("dpop"):
            return response
        return respond.with_nonce(response, self._possession.nonce(self._clock()))
