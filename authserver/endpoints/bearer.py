"""Callers of our own endpoints that bring a token of ours for the built-in resource (RFC 6750, RFC 9449 section 7).

Here this server is a resource server, so it answers as those do that use :mod:`authserver.resource`.
"""

from authserver.endpoints.http import Request, Response, TrustedProxies
from authserver.endpoints.proofs import Proofs
from authserver.errors import CredentialRejected, ProofRejected, Reason, Refused
from authserver.identity.possession import Proven
from authserver.jose.dpop import check_token
from authserver.keys.recognize import OwnTokens
from authserver.oauth import BEARER
from authserver.resource.certificates import check_certificate
from authserver.resource.challenge import answer
from authserver.resource.credential import ApiRequest, presented_credential
from authserver.resource.metadata import ProtectedResource
from authserver.resource.requirement import Requirement
from authserver.resource.token import VerifiedToken


class BearerCallers:
    """Recognizes callers by their tokens for ``issuer``, and challenges those that it does not recognize."""

    def __init__(self, issuer: str, tokens: OwnTokens, proofs: Proofs, proxies: TrustedProxies) -> None:
        self._resource = ProtectedResource(issuer, issuer)
        self._tokens = tokens
        self._proofs = proofs
        self._proxies = proxies

    def authenticate(self, request: Request, path: str) -> VerifiedToken:
        """The token of a caller; what its scope allows is the endpoint's to say.

        ``path`` is that of the request, below the issuer. A proof is used up.

        :raises CredentialMissing: there is no token.
        :raises CredentialRejected: the token is not believed, was revoked, or is presented with the wrong scheme.
        :raises ProofRejected: it is bound to a key, and that key is not proven.
        :raises RequestMalformed: there is more than one credential.
        :raises Unavailable: ``store_unavailable``.
        """
        scheme, unverified_token = presented_credential(_presented(request))
        token = self._tokens.verify(unverified_token, (self._resource.identifier,))
        if scheme == BEARER:
            self._check_bearer(request, token)
            self._tokens.check_unrevoked(token)
            return token
        proven = self._proven(request, path, token, unverified_token)
        self._tokens.check_unrevoked(token)
        self._proofs.spend(proven)
        return token

    def challenge(self, request: Request, error: Refused, requirement: Requirement) -> Response:
        """The answer to a caller whose token or proof is missing, not believed, or not enough."""
        refusal = answer(error, self._resource, requirement, _presented(request).scheme)
        return Response(refusal.status, refusal.headers, refusal.body)

    def _check_bearer(self, request: Request, token: VerifiedToken) -> None:
        if "cnf" in token.claims:
            # RFC 8705 section 3; one that is bound to a key is no bearer token (RFC 9449 section 7.2).
            check_certificate(token, self._proxies.client_certificate(request))
        if request.header_values("dpop"):
            raise ProofRejected(Reason.PROOF_UNEXPECTED)  # it would be ignored otherwise

    def _proven(self, request: Request, path: str, token: VerifiedToken, unverified_token: str) -> Proven:
        """The proof that RFC 9449 section 7.1 wants beside a token that is presented with the scheme ``DPoP``."""
        if token.thumbprint is None:
            unbound = "cnf" not in token.claims
            raise CredentialRejected(Reason.SENDER_UNPROVEN if unbound else Reason.CONFIRMATION_UNSUPPORTED)
        proven = self._proofs.read(request, path)
        if proven is None:
            raise ProofRejected(Reason.PROOF_MISSING)
        if proven.proof.thumbprint != token.thumbprint:
            # Section 7.1, figure 16: here it is the token that is wrong. Another one may be for this key.
            raise CredentialRejected(Reason.PROOF_KEY_WRONG)
        check_token(proven.proof, unverified_token)
        return proven


def _presented(request: Request) -> ApiRequest:
    return ApiRequest(request.header_values("authorization"))
