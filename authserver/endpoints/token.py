"""``POST /token``: the form is read here, and the sentence of :mod:`authserver.issuance` does the rest."""

from collections.abc import Callable, Mapping
from typing import Final

from authserver.audit import Audit, Decision
from authserver.certificate import ClientCertificate
from authserver.endpoints import respond
from authserver.endpoints.http import Request, Response, TrustedProxies
from authserver.endpoints.limits import FailureLimit
from authserver.endpoints.params import Form, read_form
from authserver.endpoints.secrets import refuse_client_assertion, refuse_secrets
from authserver.errors import (
    ClientAuthenticationRefused,
    GrantUnsupported,
    NonceWanted,
    Reason,
    Refused,
    RequestMalformed,
    Unavailable,
)
from authserver.issuance import Issuance
from authserver.model import AccessToken, Credential, TokenRequest
from authserver.oauth import CLIENT_ASSERTION_JWT, CLIENT_ASSERTION_SVID, Grant, TokenType

_GRANTS: Final[Mapping[str, Grant]] = {grant.value: grant for grant in Grant}
_SUBJECT_TOKEN_TYPES: Final = frozenset((TokenType.JWT, TokenType.ID_TOKEN, TokenType.AWS4_REQUEST))
_ACCESS_TOKEN: Final = TokenType.ACCESS_TOKEN.value
_REQUESTED_TOKEN_TYPES: Final = frozenset((None, _ACCESS_TOKEN, TokenType.JWT.value))


class TokenEndpoint:
    """The token endpoint (RFC 6749 section 3.2). One request, one decision, one audit event."""

    def __init__(self, issuance: Issuance, audit: Audit, limit: FailureLimit, proxies: TrustedProxies) -> None:
        self._issuance = issuance
        self._audit = audit
        self._limit = limit
        self._proxies = proxies

    def __call__(self, request: Request) -> Response:
        """Answer a token request."""
        address = self._proxies.client_address(request)
        try:
            with self._audit.decision(request.request_id, address) as decision:
                return self._limited(request, decision)
        except Refused as refused:
            return respond.refused(request, refused, decision.grant)
        except Unavailable as unavailable:
            return respond.unavailable(request, unavailable)

    def _limited(self, request: Request, decision: Decision) -> Response:
        try:
            return self._decide(request, decision)
        except NonceWanted:
            raise  # the first half of a conversation, and no failure
        except Refused as refused:
            self._limit.count(decision.address, refused)
            raise

    def _decide(self, request: Request, decision: Decision) -> Response:
        self._proxies.refuse_plain_http(request)
        form = read_form(request)
        refuse_secrets(request, form)
        decision.grant = grant = _grant(form)
        certificate = self._certificate(request, form, grant)
        credential = _CREDENTIALS[grant](form) if certificate is None else _certified(form, certificate)
        token = self._issuance.issue(_asked(request, decision.address, form, grant, credential), decision)
        return self._with_nonce(_issued(token, form, grant), request)

    def _certificate(self, request: Request, form: Form, grant: Grant) -> ClientCertificate | None:
        """The certificate that authenticates the client (RFC 8705 section 2), where nothing else is to do that."""
        if grant is not Grant.CLIENT_CREDENTIALS or "client_assertion" in form:
            return None
        return self._proxies.client_certificate(request)

    def _with_nonce(self, response: Response, request: Request) -> Response:
        """Who proved a key gets a nonce for its next proof (RFC 9449 section 8.2)."""
        if not request.header_values("dpop"):
            return response
        return respond.with_nonce(response, self._issuance.nonce())


def _asked(request: Request, address: str, form: Form, grant: Grant, credential: Credential) -> TokenRequest:
    return TokenRequest(
        request_id=request.request_id,
        address=address,
        grant=grant,
        credential=credential,
        resources=form.all("resource"),
        audiences=form.all("audience"),
        scope=form.one("scope"),
        proofs=request.header_values("dpop"),
    )


def _grant(form: Form) -> Grant:
    name = form.required("grant_type")
    grant = _GRANTS.get(name)
    if grant is None:
        raise GrantUnsupported(Reason.GRANT_UNSUPPORTED, unverified_grant_type=name[:100])
    return grant


def _subject_token(form: Form) -> Credential:
    """RFC 8693 section 2.1."""
    refuse_client_assertion(form)
    token, token_type = form.required("subject_token"), form.required("subject_token_type")
    if token_type not in _SUBJECT_TOKEN_TYPES:
        raise RequestMalformed(Reason.PARAMETER_UNSUPPORTED, parameter="subject_token_type")
    if ("actor_token" in form) != ("actor_token_type" in form):
        missing = "actor_token" if "actor_token_type" in form else "actor_token_type"
        raise RequestMalformed(Reason.PARAMETER_MISSING, parameter=missing)
    if "actor_token" in form:
        raise RequestMalformed(Reason.ACTOR_TOKEN_UNSUPPORTED)
    if form.one("requested_token_type") not in _REQUESTED_TOKEN_TYPES:
        raise RequestMalformed(Reason.PARAMETER_UNSUPPORTED, parameter="requested_token_type")
    return Credential(token, is_signed_request=token_type == TokenType.AWS4_REQUEST)


def _assertion(form: Form) -> Credential:
    """RFC 7523 section 2.1."""
    refuse_client_assertion(form)
    return Credential(form.required("assertion"))


def _client_assertion(form: Form) -> Credential:
    """RFC 7523 section 2.2, and what draft-ietf-oauth-spiffe-client-auth section 3.1 makes of it for JWT-SVIDs."""
    assertion, kind = form.one("client_assertion"), form.one("client_assertion_type")
    if assertion is None:
        raise ClientAuthenticationRefused(Reason.CLIENT_AUTHENTICATION_MISSING)
    if kind not in (CLIENT_ASSERTION_JWT, CLIENT_ASSERTION_SVID):
        raise ClientAuthenticationRefused(Reason.CLIENT_ASSERTION_TYPE_UNKNOWN)
    is_svid = kind == CLIENT_ASSERTION_SVID  # and then no assertion of a device
    return Credential(assertion, form.one("client_id"), authenticates_client=not is_svid, is_svid=is_svid)


def _certified(form: Form, certificate: ClientCertificate) -> Credential:
    """RFC 8705 section 2.1."""
    return Credential(unverified_client_id=form.one("client_id"), authenticates_client=True, certificate=certificate)


def _issued(token: AccessToken, form: Form, grant: Grant) -> Response:
    """RFC 6749 section 5.1, and RFC 8693 section 2.2.1 for token exchange."""
    document: dict[str, str | int] = {
        "access_token": token.value,
        "token_type": token.token_type,
        "expires_in": token.expires_in,
        "scope": " ".join(token.scope),
    }
    if grant is Grant.TOKEN_EXCHANGE:
        document["issued_token_type"] = form.one("requested_token_type") or _ACCESS_TOKEN
    return respond.json_response(200, document, *respond.NO_STORE)


_CREDENTIALS: Final[Mapping[Grant, Callable[[Form], Credential]]] = {
    Grant.TOKEN_EXCHANGE: _subject_token,
    Grant.JWT_BEARER: _assertion,
    Grant.CLIENT_CREDENTIALS: _client_assertion,
}
