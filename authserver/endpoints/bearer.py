"""Callers of our own endpoints that bring a token of ours for the built-in resource (RFC 6750).

Here this server is a resource server, so it answers as those do that use :mod:`authserver.resource`.
"""

from authserver.endpoints.http import Request, Response
from authserver.errors import CredentialRejected, Reason, Refused
from authserver.keys.recognize import OwnTokens
from authserver.resource.challenge import ApiRequest, Requirement, answer, bearer_token
from authserver.resource.metadata import ProtectedResource
from authserver.resource.token import VerifiedToken


class BearerCallers:
    """Recognizes callers by their tokens for ``issuer``, and challenges those that it does not recognize."""

    def __init__(self, issuer: str, tokens: OwnTokens) -> None:
        self._resource = ProtectedResource(issuer, issuer)
        self._tokens = tokens

    def authenticate(self, request: Request) -> VerifiedToken:
        """The token of a caller; what its scope allows is the endpoint's to say.

        :raises CredentialMissing: there is no bearer token.
        :raises CredentialRejected: the token is not believed, was revoked, or is bound to a key.
        :raises RequestMalformed: there is more than one credential.
        :raises Unavailable: ``store_unavailable``.
        """
        unverified_token = bearer_token(ApiRequest(request.header_values("authorization")))
        token = self._tokens.verify(unverified_token, (self._resource.identifier,))
        if "cnf" in token.claims:
            # RFC 9449 section 7.2: a token that is bound to a key is not a bearer token.
            raise CredentialRejected(Reason.CONFIRMATION_UNSUPPORTED)
        self._tokens.check_unrevoked(token)
        return token

    def challenge(self, error: Refused, requirement: Requirement) -> Response:
        """The answer to a caller whose token is missing, not believed, or not enough."""
        refusal = answer(error, self._resource, requirement)
        return Response(refusal.status, refusal.headers, refusal.body)
