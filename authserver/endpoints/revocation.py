"""``POST /revoke``: whoever holds a token may take it back (RFC 7009), and the key too where it is bound to one."""

from collections.abc import Collection
from typing import Final

from authserver.audit import Audit
from authserver.endpoints import respond
from authserver.endpoints.http import Request, Response, TrustedProxies
from authserver.endpoints.params import read_form
from authserver.endpoints.proofs import Proofs
from authserver.endpoints.secrets import refuse_client_assertion, refuse_secrets
from authserver.errors import CredentialRejected, ProofRejected, Reason, Refused, Unavailable
from authserver.identity.possession import Proven
from authserver.jose.dpop import check_key, check_token
from authserver.keys.recognize import OwnTokens
from authserver.oauth import REVOCATION_PATH
from authserver.resource.certificates import check_certificate
from authserver.resource.token import VerifiedToken

_DONE: Final = Response(200, respond.NO_STORE)


class RevocationEndpoint:
    """The revocation endpoint (RFC 7009 section 2). One request, one decision, one audit event.

    The token is its own proof, so no client authentication is asked for; only one that is bound to a key needs the
    proof of that key, and one that is bound to a certificate that certificate. ``audiences`` are all there are.
    """

    def __init__(
        self, tokens: OwnTokens, audiences: Collection[str], proofs: Proofs, audit: Audit, proxies: TrustedProxies
    ) -> None:
        self._tokens = tokens
        self._audiences = frozenset(audiences)
        self._proofs = proofs
        self._audit = audit
        self._proxies = proxies

    def __call__(self, request: Request) -> Response:
        """Take a token back. What is no token of ours, or no longer one, is answered alike (section 2.2)."""
        try:
            with self._audit.revocation(request.request_id, self._proxies.client_address(request)) as event:
                self._proxies.refuse_plain_http(request)
                form = read_form(request)
                refuse_secrets(request, form)
                refuse_client_assertion(form)
                unverified_token = form.required("token")
                # Before the token is, so that a bad proof is refused whatever the token turns out to be.
                proven = self._proofs.read(request, REVOCATION_PATH)
                token = self._tokens.verify(unverified_token, self._audiences)
                event.claims = token.claims
                self._check_sender(request, token, proven)
                if proven is not None and "ath" in proven.proof.claims:
                    check_token(proven.proof, unverified_token)
                if proven is not None:
                    self._proofs.spend(proven)
                self._tokens.revoke(token)
        except CredentialRejected:
            return self._proofs.with_nonce(request, _DONE)
        except Refused as refused:
            return respond.refused(request, refused, None)
        except Unavailable as unavailable:
            return respond.unavailable(request, unavailable)
        return self._proofs.with_nonce(request, _DONE)

    def _check_sender(self, request: Request, token: VerifiedToken, proven: Proven | None) -> None:
        """Check that who sends a bound token has what it is bound to: a key, or a client certificate.

        :raises ProofRejected: otherwise.
        """
        if token.certificate_thumbprint is not None and proven is None:
            self._check_certificate(request, token)
        elif "cnf" in token.claims:
            _check_bound(token.thumbprint, proven)

    def _check_certificate(self, request: Request, token: VerifiedToken) -> None:
        try:
            check_certificate(token, self._proxies.client_certificate(request))
        except CredentialRejected as error:  # it is the sender that is not believed: the token has not been taken back
            raise ProofRejected(Reason.SENDER_UNPROVEN) from error


def _check_bound(thumbprint: str | None, proven: Proven | None) -> None:
    if thumbprint is None:
        raise ProofRejected(Reason.SENDER_UNPROVEN)  # it is bound to something that no proof here proves
    if proven is None:
        raise ProofRejected(Reason.PROOF_MISSING)
    check_key(proven.proof, thumbprint)
