"""The endpoints for devices, put together from the configuration."""

import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

from authserver.audit import Audit
from authserver.endpoints.bearer import BearerCallers
from authserver.endpoints.cors import share
from authserver.endpoints.devices import DevicesEndpoint, InvitationEndpoint
from authserver.endpoints.http import CLIENT_ID, Endpoint, Route, TrustedProxies
from authserver.endpoints.limits import FailureLimit
from authserver.endpoints.managers import Managers
from authserver.endpoints.proofs import Proofs
from authserver.endpoints.registered import RegisteredEndpoint
from authserver.endpoints.registration import RegistrationEndpoint
from authserver.enrollment.enroll import Enrollment
from authserver.enrollment.owners import DeviceRegister
from authserver.enrollment.registered import Registered
from authserver.identity.authenticate import Identity
from authserver.oauth import DEVICES_PATH, INVITATIONS_PATH, REGISTRATION_PATH
from authserver.server.invitations import build_invitations, enrollment_rules
from authserver.settings import Settings
from authserver.settings.builtin import invitation_scope, management_scope
from authserver.store.ports import DeviceStore


def device_routes(
    settings: Settings,
    store: DeviceStore,
    identity: Identity,
    callers: BearerCallers,
    proofs: Proofs,
    audit: Audit,
    proxies: TrustedProxies,
    *,
    clock: Callable[[], float],
) -> tuple[Route, ...]:
    """For devices, those who invite them, and those who own them."""
    issuer, rules, sources = settings.server.issuer, enrollment_rules(settings), settings.device_sources
    register = DeviceRegister(store, rules, clock=clock)
    managed = {management_scope(source): source for source in sources}
    managers = Managers(issuer, callers, identity, register, managed, clock=clock)
    devices = DevicesEndpoint(callers, managers, register, proofs, audit, proxies)
    invitations = InvitationEndpoint(
        callers,
        build_invitations(settings, store, clock=clock),
        {invitation_scope(source): source for source in sources},
        proofs,
        audit,
        proxies,
    )
    limit = FailureLimit(settings.limits.failures, clock=clock)
    enrollment = Enrollment(store, rules, clock=clock, randomness=secrets.token_urlsafe)
    registration = RegistrationEndpoint(issuer, enrollment, identity, proofs, audit, limit, proxies, clock=clock)
    registered = RegisteredEndpoint(issuer, Registered(store, rules, clock=clock), proofs, audit, proxies)
    below = urlsplit(issuer).path.rstrip("/")
    for_pages = (
        Route(below + REGISTRATION_PATH, "POST", registration),
        *_one(below + REGISTRATION_PATH, GET=registered.read, PUT=registered.replace_key, DELETE=registered.delete),
        Route(below + DEVICES_PATH, "GET", devices.list),
        *_one(below + DEVICES_PATH, DELETE=devices.revoke),
    )
    return (
        Route(below + INVITATIONS_PATH, "POST", invitations),
        *share(for_pages, settings.server.allowed_origins),
    )


def _one(path: str, **endpoints: Endpoint) -> tuple[Route, ...]:
    """The routes of one thing among those at ``path``, by their methods."""
    return tuple(Route(f"{path}/{CLIENT_ID}", method, endpoint) for method, endpoint in endpoints.items())
