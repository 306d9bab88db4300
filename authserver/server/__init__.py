"""The composition root: puts the rooms together for one process; ``stores.py`` beside it alone picks a store."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from authserver.audit import Audit
from authserver.endpoints import metadata
from authserver.endpoints.bearer import BearerCallers
from authserver.endpoints.cors import share
from authserver.endpoints.health import ReadyEndpoint, livez
from authserver.endpoints.http import Endpoint, Route, TrustedProxies
from authserver.endpoints.introspection import IntrospectionEndpoint
from authserver.endpoints.jwks import JwksEndpoint
from authserver.endpoints.limits import FailureLimit
from authserver.endpoints.proofs import Proofs
from authserver.endpoints.revocation import RevocationEndpoint
from authserver.endpoints.token import TokenEndpoint
from authserver.errors import ConfigurationError
from authserver.housekeeping import Housekeeping, Task, attempt
from authserver.identity.authenticate import Identity
from authserver.identity.aws.sts import Forward
from authserver.identity.certificate_source import CertificateSource
from authserver.identity.possession import Possession
from authserver.issuance import Issuance
from authserver.jose.nonce import Nonces
from authserver.keys.mint import Minter
from authserver.keys.recognize import OwnTokens, RingKeys
from authserver.keys.rotate import KeyRing
from authserver.keys.schedule import Plan
from authserver.keys.wrapping import MasterKeys, load_master_key
from authserver.oauth import INTROSPECTION_PATH, JWKS_PATH, REVOCATION_PATH, TOKEN_PATH
from authserver.server.background import degraded, housekeeping
from authserver.server.callers import build_identity
from authserver.server.certificates import build_certificate_sources
from authserver.server.devices import device_routes
from authserver.server.key_sets import key_fetch, open_key_sets, read_keys
from authserver.server.signed_requests import forward_to_sts
from authserver.server.stores import begin_store, has_store, open_onlooker, open_store
from authserver.settings import Settings
from authserver.store.health import StoreHealth
from authserver.store.ports import DeviceReplayStore, RingStore, Store
from authserver.telemetry import audit_writer
from authserver.telemetry.observer import Telemetry

REREAD_EVERY: Final = 1.0
"""Seconds between two looks at the key ring in the store."""

Clock = Callable[[], float]

__all__ = [
    "Service",
    "build",
    "has_store",
    "key_fetch",
    "load_master_keys",
    "open_key_sets",
    "open_onlooker",
    "open_ring",
    "open_store",
    "plan",
    "prepare",
    "read_keys",
]

_log = logging.getLogger("authserver")


@dataclass(frozen=True, slots=True)
class Service:
    """One process's server, ready to be hosted."""

    routes: tuple[Route, ...]
    housekeeping: tuple[Housekeeping, ...]
    ring: KeyRing
    store: Store
    proxies: TrustedProxies
    telemetry: Telemetry
    certificate_sources: tuple[CertificateSource, ...]

    def ensure_running(self) -> None:
        """Start the background work in this process unless it is running."""
        for each in self.housekeeping:
            each.ensure_running()

    def close(self) -> None:
        """Stop the background work and let go of the store."""
        for each in self.housekeeping:
            each.stop()
        self.telemetry.close()
        self.store.close()


def prepare(settings: Settings, *, clock: Clock = time.time) -> MasterKeys:
    """Do once, before any worker starts, what must not be left to chance: the store, the master key, the first ring.

    Only here are they made. The master keys are for :func:`build`.

    :raises ConfigurationError: the master key is missing or wrong, or the store is of a newer release.
    :raises Unavailable: the store cannot be used.
    """
    store, is_new = begin_store(settings)
    try:
        master_keys = load_master_keys(settings, create=is_new)
        KeyRing(store, plan(settings), settings.server.issuer, master_keys, clock).refresh()
    finally:
        store.close()
    return master_keys


def build(
    settings: Settings,
    *,
    master_keys: MasterKeys | None = None,
    clock: Clock = time.time,
    audit_stream: BinaryIO | None = None,
    forward: Forward = forward_to_sts,
) -> Service:
    """Put a server together from what :func:`prepare` made. Everything it opens belongs to the calling process.

    A store that is away is no reason to fail: the server starts unready, and is ready when the store is back.
    ``forward`` sends the requests that callers signed to AWS.

    :raises ConfigurationError: a master key is missing or wrong.
    """
    store = open_store(settings)
    health = StoreHealth(store)
    keys = master_keys or load_master_keys(settings)
    ring = open_ring(settings, store, clock, keys)
    telemetry = Telemetry(settings)
    attempt(Task("ring", REREAD_EVERY, ring.refresh), telemetry.metrics.background_failed, fatal=ConfigurationError)
    key_sets = open_key_sets(settings, clock, telemetry.metrics.key_set_fetched)
    certificates = build_certificate_sources(settings, key_sets)
    identity = build_identity(settings, key_sets, certificates, store, forward)
    issuer = settings.server.issuer
    possession = _possession(settings, keys, store)
    issuance = _issuance(settings, identity, possession, ring, clock)
    audit = _audit(settings, telemetry, clock, audit_stream)
    proxies = TrustedProxies(settings.server.trusted_proxies)
    token = TokenEndpoint(issuance, audit, FailureLimit(settings.limits.failures, clock=clock), proxies)
    own_tokens = OwnTokens(issuer, RingKeys(ring), store, store, clock=clock, skew=settings.server.clock_skew)
    proofs = Proofs(issuer, possession, clock)
    callers = BearerCallers(issuer, own_tokens, proofs, proxies)
    ready = ReadyEndpoint(
        lambda: bool(ring.ready(clock())), lambda: degraded(settings, ring, health, key_sets, certificates, clock)
    )
    return Service(
        routes=(
            *_routes(settings, token, JwksEndpoint(ring, clock=clock), ready),
            *_routes_about_tokens(settings, own_tokens, callers, proofs, audit, proxies),
            *device_routes(settings, store, identity, callers, proofs, audit, proxies, clock=clock),
        ),
        housekeeping=housekeeping(plan(settings), ring, store, health, list(key_sets.values()), telemetry, clock),
        ring=ring,
        store=store,
        proxies=proxies,
        telemetry=telemetry,
        certificate_sources=certificates,
    )


def open_ring(
    settings: Settings, store: RingStore, clock: Clock = time.time, master_keys: MasterKeys | None = None
) -> KeyRing:
    """The key ring that is in the store, not read yet. It is never begun here.

    :raises ConfigurationError: a master key is missing or is none.
    """
    keys = master_keys or load_master_keys(settings)
    return KeyRing(store, plan(settings), settings.server.issuer, keys, clock, begin=False)


def load_master_keys(settings: Settings, *, create: bool = False) -> MasterKeys:
    """The master keys that the configuration refers to. With ``create`` the file of the current one may be made.

    :raises ConfigurationError: one is missing or is none.
    """
    current = load_master_key(settings.master_key, config=settings.file, where="keys.master_key", create=create)
    if current.readable_by_others:
        _log.warning("the master key can be read by others than its owner; change its mode to 0600")
    previous = [
        load_master_key(
            reference, config=settings.file, where=f"keys.previous_master_keys[{position}]", create=False
        ).key
        for position, reference in enumerate(settings.previous_master_keys)
    ]
    return MasterKeys(current.key, previous)


def plan(settings: Settings) -> Plan:
    """What the configuration says of keys, in the words of the ring."""
    keys = settings.keys
    return Plan(
        algorithms=keys.algorithms,
        rotate_every=keys.rotate_every,
        publish_ahead=keys.publish_ahead,
        jwks_max_age=keys.jwks_max_age,
        skew=settings.server.clock_skew,
        reread_every=REREAD_EVERY,
    )


def _possession(settings: Settings, keys: MasterKeys, replay: DeviceReplayStore) -> Possession:
    skew = settings.server.clock_skew
    return Possession(replay, Nonces(keys.derive(f"dpop nonce {settings.server.issuer}"), skew=skew), skew=skew)


def _issuance(settings: Settings, identity: Identity, possession: Possession, ring: KeyRing, clock: Clock) -> Issuance:
    issuer = settings.server.issuer
    minter, url = Minter(issuer, ring, clock), issuer.rstrip("/") + TOKEN_PATH
    return Issuance(identity, possession, settings.policy(), minter, url=url, clock=clock)


def _audit(settings: Settings, telemetry: Telemetry, clock: Clock, stream: BinaryIO | None) -> Audit:
    """The audit log; it goes to standard output unless it is given another way."""
    return Audit(
        audit_writer(stream or open(1, "wb", buffering=0, closefd=False)),
        environment=settings.server.environment,
        clock=clock,
        observe=telemetry.decided,
        observe_enrollment=telemetry.metrics.enrolled,
    )


def _routes(settings: Settings, token: Endpoint, jwks: Endpoint, ready: Endpoint) -> tuple[Route, ...]:
    issuer = settings.server.issuer
    below = urlsplit(issuer).path.rstrip("/")
    described = metadata.MetadataEndpoint(
        issuer,
        settings.keys.algorithms,
        enrolls=bool(settings.device_sources),
        certificates=settings.takes_certificates,
    )
    for_pages = (
        Route(below + TOKEN_PATH, "POST", token),
        Route(below + JWKS_PATH, "GET", jwks),
        *(Route(path, "GET", described) for path in metadata.paths(issuer)),
    )
    return (
        *share(for_pages, settings.server.allowed_origins),
        Route(below + "/livez", "GET", livez),
        Route(below + "/readyz", "GET", ready),
    )


def _routes_about_tokens(
    settings: Settings,
    tokens: OwnTokens,
    callers: BearerCallers,
    proofs: Proofs,
    audit: Audit,
    proxies: TrustedProxies,
) -> tuple[Route, ...]:
    """For those who hold a token of ours: may it still be used, and may it not be used any more."""
    issuer, introspectable = settings.server.issuer, settings.introspectable
    below = urlsplit(issuer).path.rstrip("/")
    introspection = IntrospectionEndpoint(callers, tokens, introspectable, proofs, audit, proxies)
    revocation = RevocationEndpoint(tokens, (*introspectable.values(), issuer), proofs, audit, proxies)
    return (
        Route(below + INTROSPECTION_PATH, "POST", introspection),
        *share([Route(below + REVOCATION_PATH, "POST", revocation)], settings.server.allowed_origins),
        Route(metadata.own_resource_path(issuer), "GET", metadata.OwnResourceEndpoint(issuer)),
    )
