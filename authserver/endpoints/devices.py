"""``/devices``: inviting devices, and listing and revoking them, for backends, operators and owners."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from authserver.audit import AboutDevice, Audit
from authserver.endpoints import respond
from authserver.endpoints.bearer import BearerCallers
from authserver.endpoints.documents import read_document
from authserver.endpoints.http import Request, Response, TrustedProxies
from authserver.endpoints.managers import Manager, Managers
from authserver.endpoints.params import Form, read_query
from authserver.endpoints.proofs import Proofs
from authserver.endpoints.registration import own_words
from authserver.enrollment.invitation import Invitations
from authserver.enrollment.owners import DeviceRegister
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
from authserver.model import Device
from authserver.oauth import DEVICES_PATH, INVITATIONS_PATH
from authserver.resource.requirement import Requirement

MOST_AT_ONCE: Final = 1000
"""How many devices one answer lists at most."""

_USUALLY: Final = 100
_REVOKED: Final = Response(204, respond.NO_STORE)


class DevicesEndpoint:
    """What somebody may see of devices, and end. A question that is answered leaves no audit event."""

    def __init__(
        self,
        callers: BearerCallers,
        managers: Managers,
        register: DeviceRegister,
        proofs: Proofs,
        audit: Audit,
        proxies: TrustedProxies,
    ) -> None:
        self._callers = callers
        self._managers = managers
        self._register = register
        self._proofs = proofs
        self._audit = audit
        self._proxies = proxies

    def list(self, request: Request) -> Response:
        """The devices that the caller may see, revoked ones too, in the order of their ``client_id``."""
        return self._answer(request, self._list, success=None)

    def revoke(self, request: Request) -> Response:
        """The end of a device. One that the caller may not see is as good as none."""
        return self._answer(request, self._revoke, success="revoked")

    def _answer(
        self, request: Request, action: Callable[[Request, AboutDevice], Response], *, success: str | None
    ) -> Response:
        try:
            with self._audit.device(request.request_id, self._proxies.client_address(request), success) as event:
                self._proxies.refuse_plain_http(request)
                response = action(request, event)
        except (CredentialMissing, CredentialRejected, ProofRejected, ScopeInsufficient) as refused:
            return _challenge(self._callers, request, refused, self._managers.requirement)
        except Refused as refused:
            return respond.refused(request, refused, None)
        except Unavailable as unavailable:
            return respond.unavailable(request, unavailable)
        return self._proofs.with_nonce(request, response)

    def _list(self, request: Request, event: AboutDevice) -> Response:
        manager = self._managers.authenticate(request, DEVICES_PATH, event)
        query = read_query(request)
        sources, owner, limit = self._sources(manager, query), self._owner(manager, query), _limit(query)
        self._managers.spend(manager)
        page = self._register.list(
            manager.authority, sources=sources, owner=owner, after=query.one("after") or "", limit=limit
        )
        document: dict[str, Any] = {"devices": [_shown(device) for device in page.devices]}
        if not page.is_last:
            document["next"] = page.devices[-1].client_id
        return respond.json_response(200, document, *respond.NO_STORE)

    def _revoke(self, request: Request, event: AboutDevice) -> Response:
        manager = self._managers.authenticate(request, f"{DEVICES_PATH}/{request.client_id}", event)
        self._managers.spend(manager)
        event.device(self._register.revoke(manager.authority, request.client_id))
        return _REVOKED

    def _sources(self, manager: Manager, query: Form) -> frozenset[str]:
        source = query.one("source")
        if source is None:
            return manager.authority.sources
        if source not in manager.authority.sources:
            raise self._managers.refused(source)  # an empty list would look as if there were no devices
        return frozenset((source,))

    def _owner(self, manager: Manager, query: Form) -> str | None:
        owner = query.one("owner")
        if manager.authority.owner not in (None, owner or manager.authority.owner):
            raise self._managers.refused()
        return owner


class InvitationEndpoint:
    """Invitations for backends. ``scopes`` has the device source that each scope lets its holder invite to."""

    def __init__(
        self,
        callers: BearerCallers,
        invitations: Invitations,
        scopes: Mapping[str, str],
        proofs: Proofs,
        audit: Audit,
        proxies: TrustedProxies,
    ) -> None:
        self._callers = callers
        self._invitations = invitations
        self._scopes = dict(scopes)
        self._proofs = proofs
        self._audit = audit
        self._proxies = proxies
        self._requirement = Requirement(any_of=tuple(scopes))

    def __call__(self, request: Request) -> Response:
        """Invite one device."""
        try:
            with self._audit.invitation(request.request_id, self._proxies.client_address(request)) as event:
                self._proxies.refuse_plain_http(request)
                response = self._invite(request, event)
        except (CredentialMissing, CredentialRejected, ProofRejected, ScopeInsufficient) as refused:
            return _challenge(self._callers, request, refused, self._requirement)
        except Refused as refused:
            return respond.refused(request, refused, None)
        except Unavailable as unavailable:
            return respond.unavailable(request, unavailable)
        return self._proofs.with_nonce(request, response)

    def _invite(self, request: Request, event: AboutDevice) -> Response:
        caller = self._callers.authenticate(request, INVITATIONS_PATH)
        event.caller = caller.subject
        if caller.scope.isdisjoint(self._scopes):
            raise ScopeInsufficient(self._requirement.sufficient)
        document = read_document(request)
        self._check_scope(caller.scope, document.get("source"))
        for member in ("source", "owner"):
            if member not in document:
                raise RequestMalformed(Reason.PARAMETER_MISSING, parameter=member)
        code, invitation = self._invitations.invite(
            document["source"],
            owner=document["owner"],
            lifetime=document.get("lifetime"),
            platform=document.get("platform"),
            attributes=document.get("attributes"),
        )
        event.invitation(invitation)
        expires_in = int(invitation.expires_at - invitation.created_at)
        return respond.json_response(201, {"code": code, "expires_in": expires_in}, *respond.NO_STORE)

    def _check_scope(self, granted: frozenset[str], source: object) -> None:
        """:raises ScopeInsufficient: this source exists, and the scope that was granted is for another one."""
        needed = next((scope for scope, name in self._scopes.items() if name == source), None)
        if needed is not None and needed not in granted:
            raise ScopeInsufficient((needed,))


def _challenge(callers: BearerCallers, request: Request, refused: Refused, requirement: Requirement) -> Response:
    """The answer to who may not do this, with the scope that would do."""
    if isinstance(refused, ScopeInsufficient):
        requirement = Requirement(all_of=refused.required)
    return callers.challenge(request, refused, requirement)


def _limit(query: Form) -> int:
    limit = query.one("limit") or str(_USUALLY)
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 4 and 1 <= int(limit) <= MOST_AT_ONCE):
        raise RequestMalformed(Reason.PARAMETER_UNSUPPORTED, parameter="limit")
    return int(limit)


def _shown(device: Device) -> dict[str, Any]:
    """A device as its owner and its operators see it."""
    document: dict[str, Any] = {
        "client_id": device.client_id,
        "source": device.source,
        "owner": device.owner,
        "client_name": device.name,
        "device": own_words(device),
        "attestation": device.attestation,
        "attributes": dict(device.attributes),
        "thumbprint": device.thumbprint,
        "created_at": int(device.created_at),
    }
    if device.revoked_at is not None:
        document["revoked_at"] = int(device.revoked_at)
    return document
