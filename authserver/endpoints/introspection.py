"""``POST /introspect``: whether a token is active, for the resource server that it is meant for (RFC 7662)."""

from collections.abc import Mapping
from typing import Any, Final

from authserver.audit import Audit
from authserver.endpoints import respond
from authserver.endpoints.bearer import BearerCallers
from authserver.endpoints.http import Request, Response, TrustedProxies
from authserver.endpoints.params import read_form
from authserver.endpoints.proofs import Proofs
from authserver.errors import (
    CredentialMissing,
    CredentialRejected,
    ProofRejected,
    Reason,
    Refused,
    RequestMalformed,
    ScopeInsufficient,
    Unavailable,
)
from authserver.keys.recognize import OwnTokens
from authserver.oauth import BEARER, DPOP, INTROSPECTION_PATH, JKT
from authserver.resource.requirement import Requirement
from authserver.resource.token import VerifiedToken

_CLAIMS: Final = ("iss", "sub", "aud", "client_id", "scope", "iat", "exp", "jti", "cnf")


class IntrospectionEndpoint:
    """The introspection endpoint (RFC 7662 section 2).

    ``introspectable`` has the identifier of each resource by the scope that lets a caller ask about tokens for it.
    Only a request that is not answered is a decision, and leaves an audit event.
    """

    def __init__(
        self,
        callers: BearerCallers,
        tokens: OwnTokens,
        introspectable: Mapping[str, str],
        proofs: Proofs,
        audit: Audit,
        proxies: TrustedProxies,
    ) -> None:
        self._callers = callers
        self._tokens = tokens
        self._introspectable = dict(introspectable)
        self._proofs = proofs
        self._audit = audit
        self._proxies = proxies
        self._requirement = Requirement(any_of=tuple(self._introspectable))

    def __call__(self, request: Request) -> Response:
        """Answer a resource server that asks about a token."""
        try:
            with self._audit.introspection(request.request_id, self._proxies.client_address(request)) as event:
                self._proxies.refuse_plain_http(request)
                caller = self._callers.authenticate(request, INTROSPECTION_PATH)
                event.claims = caller.claims
                audiences = self._audiences(caller)
                token = self._active(_asked_about(request), audiences)
        except (CredentialMissing, CredentialRejected, ProofRejected, ScopeInsufficient) as refused:
            return self._callers.challenge(request, refused, self._requirement)
        except Refused as refused:
            return respond.refused(request, refused, None)
        except Unavailable as unavailable:
            return respond.unavailable(request, unavailable)
        return self._proofs.with_nonce(request, _described(token))

    def _audiences(self, caller: VerifiedToken) -> frozenset[str]:
        """The resources whose tokens this caller may ask about."""
        granted = frozenset(self._introspectable[scope] for scope in caller.scope if scope in self._introspectable)
        if not granted:
            raise ScopeInsufficient(self._requirement.sufficient)
        return granted

    def _active(self, unverified_token: str, audiences: frozenset[str]) -> VerifiedToken | None:
        try:
            token = self._tokens.verify(unverified_token, audiences)
            self._tokens.check_active(token)
        except CredentialRejected:
            return None
        return token


def _asked_about(request: Request) -> str:
    form = read_form(request)
    if "access_token" in form:
        # RFC 6750 section 2: one way to send the caller's own token, and that was the header.
        raise RequestMalformed(Reason.CREDENTIAL_REPEATED)
    return form.required("token")


def _described(token: VerifiedToken | None) -> Response:
    """RFC 7662 section 2.2. Of a token that is not active nothing else is said, not even why."""
    document: dict[str, Any] = {"active": token is not None}
    if token is not None:
        document |= {name: token.claims[name] for name in _CLAIMS if name in token.claims}
        document["token_type"] = DPOP if JKT in token.claims.get("cnf", {}) else BEARER
    return respond.json_response(200, document, *respond.NO_STORE)
