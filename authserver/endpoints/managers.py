"""Who may list and revoke devices: who has a token of ours for it, and owners, who sign in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from authserver.audit import AboutDevice
from authserver.endpoints.bearer import BearerCallers
from authserver.endpoints.http import Request
from authserver.enrollment.owners import Authority, DeviceRegister, Owner
from authserver.errors import ProofRejected, Reason, ScopeInsufficient
from authserver.identity.authenticate import Identity
from authserver.jose.compact import parse
from authserver.model import Credential, Subject
from authserver.oauth import BEARER
from authserver.resource.credential import ApiRequest, presented_credential
from authserver.resource.requirement import Requirement


@dataclass(frozen=True, slots=True)
class Manager:
    """Somebody who may see and revoke some devices. ``subject`` is the owner whose ID token says so, if one did."""

    authority: Authority
    subject: Subject | None = None


class Managers:
    """Recognizes managers. ``scopes`` has the device source that each scope of ``issuer`` lets its holder manage."""

    def __init__(
        self,
        issuer: str,
        callers: BearerCallers,
        identity: Identity,
        register: DeviceRegister,
        scopes: Mapping[str, str],
        *,
        clock: Callable[[], float],
    ) -> None:
        self._issuer = issuer
        self._callers = callers
        self._identity = identity
        self._register = register
        self._scopes = dict(scopes)
        self._clock = clock
        self.requirement = Requirement(any_of=tuple(scopes))

    def authenticate(self, request: Request, path: str, event: AboutDevice) -> Manager:
        """Who makes this request, for a path below the issuer. That an ID token is used once is for :meth:`spend`.

        ``event`` is told who it is even where that is nobody who may manage anything.

        :raises CredentialMissing: there is no token.
        :raises CredentialRejected: the token is not believed, or its holder owns nothing here.
        :raises ProofRejected: it is bound to a key that is not proven, or there is a proof for nothing.
        :raises RequestMalformed: there is more than one credential.
        :raises ScopeInsufficient: the token is not for managing devices.
        :raises Unavailable: something that this depends on is away.
        """
        scheme, unverified_token = presented_credential(_presented(request))
        if scheme == BEARER and not self._looks_like_ours(unverified_token):
            return self._owner(request, unverified_token, event)
        token = self._callers.authenticate(request, path)
        event.caller = token.subject
        sources = frozenset(self._scopes[scope] for scope in token.scope if scope in self._scopes)
        if not sources:
            raise self.refused()
        return Manager(Authority(sources))

    def spend(self, manager: Manager) -> None:
        """Use up the ID token of an owner, if it is one that may be used only once.

        :raises CredentialRejected: ``used_twice``.
        :raises Unavailable: ``store_unavailable``.
        """
        if manager.subject is not None:
            self._identity.spend(manager.subject, self._clock())

    def refused(self, source: str | None = None) -> ScopeInsufficient:
        """The error for who may not manage ``source``, with the scope that would do; None stands for any."""
        named = tuple(scope for scope, name in self._scopes.items() if name == source)
        return ScopeInsufficient(named or self.requirement.sufficient)

    def _owner(self, request: Request, unverified_token: str, event: AboutDevice) -> Manager:
        if request.header_values("dpop"):
            raise ProofRejected(Reason.PROOF_UNEXPECTED)  # an ID token is bound to nothing, so it would be ignored
        subject = self._identity.authenticate(Credential(unverified_token), self._clock())
        event.caller = subject.sub
        authority = self._register.owned_by(Owner(subject.source, subject.subject))
        return Manager(authority, subject)

    def _looks_like_ours(self, unverified_token: str) -> bool:
        return parse(unverified_token).unverified_claims.get("iss") == self._issuer


def _presented(request: Request) -> ApiRequest:
    """The credentials of a request. Here there may be a query; a token in it is noticed, and never used."""
    in_query = any(name == "access_token" for name, _ in parse_qsl(request.query, keep_blank_values=True))
    return ApiRequest(request.header_values("authorization"), token_in_query=in_query)
