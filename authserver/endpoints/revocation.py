"""``POST /revoke``: whoever holds a token may take it back (RFC 7009)."""

from collections.abc import Collection
from typing import Final

from authserver.audit import Audit
from authserver.endpoints import respond
from authserver.endpoints.http import Request, Response, TrustedProxies
from authserver.endpoints.params import read_form
from authserver.endpoints.secrets import refuse_client_assertion, refuse_secrets
from authserver.errors import CredentialRejected, ProofRejected, Reason, Refused, Unavailable
from authserver.keys.recognize import OwnTokens
from authserver.resource.token import VerifiedToken

_DONE: Final = Response(200, respond.NO_STORE)


class RevocationEndpoint:
    """The revocation endpoint (RFC 7009 section 2). One request, one decision, one audit event.

    The token is its own proof, so no client authentication is asked for. ``audiences`` are all there are.
    """

    def __init__(self, tokens: OwnTokens, audiences: Collection[str], audit: Audit, proxies: TrustedProxies) -> None:
        self._tokens = tokens
        self._audiences = frozenset(audiences)
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
                token = self._tokens.verify(form.required("token"), self._audiences)
                event.claims = token.claims
                _refuse_bound(request, token)
                self._tokens.revoke(token)
        except CredentialRejected:
            return _DONE
        except Refused as refused:
            return respond.refused(request, refused, None)
        except Unavailable as unavailable:
            return respond.unavailable(request, unavailable)
        return _DONE


def _refuse_bound(request: Request, token: VerifiedToken) -> None:
    """A token that is bound to a key needs the proof of that key, which this server does not read yet."""
    if "cnf" in token.claims:
        offered = request.header_values("dpop")
        raise ProofRejected(Reason.PROOF_UNSUPPORTED if offered else Reason.PROOF_MISSING)
