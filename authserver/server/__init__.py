"""The composition root: puts the rooms together for one process, and is the only place that picks a store."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from authserver.audit import Audit
from authserver.endpoints import metadata
from authserver.endpoints.bearer import BearerCallers
from authserver.endpoints.health import ReadyEndpoint, livez
from authserver.endpoints.http import Endpoint, Route, TrustedProxies
from authserver.endpoints.introspection import IntrospectionEndpoint
from authserver.endpoints.jwks import JwksEndpoint
from authserver.endpoints.limits import FailureLimit
from authserver.endpoints.revocation import RevocationEndpoint
from authserver.endpoints.token import TokenEndpoint
from authserver.errors import ConfigurationError
from authserver.housekeeping import Housekeeping, Task, attempt
from authserver.identity.authenticate import Identity
from authserver.identity.source import JwtSource
from authserver.issuance import Issuance
from authserver.jose.jwks import RemoteKeySet
from authserver.jose.verify import Keys
from authserver.keys.mint import Minter
from authserver.keys.overdue import RotationAlarm
from authserver.keys.recognize import OwnTokens, RingKeys
from authserver.keys.rotate import KeyRing
from authserver.keys.schedule import Plan
from authserver.keys.wrapping import MasterKeys, load_master_key
from authserver.oauth import INTROSPECTION_PATH, JWKS_PATH, REVOCATION_PATH, TOKEN_PATH
from authserver.server.key_sets import key_fetch, open_key_sets
from authserver.settings import Settings
from authserver.store.health import StoreHealth
from authserver.store.onlooker import SqliteOnlooker
from authserver.store.ports import ReplayStore
from authserver.store.sqlite import SqliteStore
from authserver.telemetry import audit_writer
from authserver.telemetry.observer import Telemetry

REREAD_EVERY: Final = 1.0
"""Seconds between two looks at the key ring in the store."""

CHECK_EVERY: Final = 2.0
"""Seconds between two attempts to begin a write in the store, so that readiness can tell."""

SWEEP_EVERY: Final = 60.0
"""Seconds between two clearings of what the replay memory no longer needs."""

Clock = Callable[[], float]

__all__ = [
    "Service",
    "build",
    "build_sources",
    "key_fetch",
    "load_master_keys",
    "open_key_sets",
    "open_onlooker",
    "open_ring",
    "open_store",
    "plan",
    "prepare",
]

_log = logging.getLogger("authserver")


@dataclass(frozen=True, slots=True)
class Service:
    """One process's server, ready to be hosted."""

    routes: tuple[Route, ...]
    housekeeping: tuple[Housekeeping, ...]
    ring: KeyRing
    store: SqliteStore
    proxies: TrustedProxies
    telemetry: Telemetry

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
    store = SqliteStore(settings.store_path)
    try:
        master_keys = load_master_keys(settings, create=store.is_empty())
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
) -> Service:
    """Put a server together from what :func:`prepare` made. Everything it opens belongs to the calling process.

    A store that is away is no reason to fail: the server starts unready, and is ready when the store is back.

    :raises ConfigurationError: a master key is missing or wrong.
    """
    store = open_store(settings)
    health = StoreHealth(store)
    ring = open_ring(settings, store, clock, master_keys)
    telemetry = Telemetry(settings)
    attempt(Task("ring", REREAD_EVERY, ring.refresh), telemetry.metrics.background_failed, fatal=ConfigurationError)
    key_sets = open_key_sets(settings, clock, telemetry.metrics.key_set_fetched)
    sources = build_sources(settings, key_sets)
    issuer = settings.server.issuer
    issuance = Issuance(Identity(sources.values(), store), settings.policy(), Minter(issuer, ring, clock), clock=clock)
    stream = audit_stream or open(1, "wb", buffering=0, closefd=False)  # noqa: SIM115 (standard output)
    audit = Audit(audit_writer(stream), environment=settings.server.environment, clock=clock, observe=telemetry.decided)
    proxies = TrustedProxies(settings.server.trusted_proxies)
    token = TokenEndpoint(issuance, audit, FailureLimit(settings.limits.failures, clock=clock), proxies)
    own_tokens = OwnTokens(issuer, RingKeys(ring), store, clock=clock, skew=settings.server.clock_skew)
    ready = ReadyEndpoint(lambda: bool(ring.ready(clock())), lambda: _degraded(settings, ring, health, key_sets, clock))
    return Service(
        routes=(
            *_routes(settings, token, JwksEndpoint(ring, clock=clock), ready),
            *_routes_about_tokens(settings, own_tokens, audit, proxies),
        ),
        housekeeping=_housekeeping(settings, ring, store, health, list(key_sets.values()), telemetry, clock),
        ring=ring,
        store=store,
        proxies=proxies,
        telemetry=telemetry,
    )


def build_sources(settings: Settings, keys: Mapping[str, Keys]) -> dict[str, JwtSource]:
    """Every source of identity, by its name."""
    skew = settings.server.clock_skew
    return {name: JwtSource(name, table, keys[name], skew) for name, table in settings.sources.items()}


def open_onlooker(settings: Settings) -> ReplayStore:
    """What the store remembers of single use, for who must change nothing in it."""
    return SqliteOnlooker(settings.store_path)


def open_store(settings: Settings) -> SqliteStore:
    """The store that the configuration names. It is never begun here, and not touched before it is needed."""
    return SqliteStore(settings.store_path, create=False)


def open_ring(
    settings: Settings, store: SqliteStore, clock: Clock = time.time, master_keys: MasterKeys | None = None
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


def _routes(settings: Settings, token: Endpoint, jwks: Endpoint, ready: Endpoint) -> tuple[Route, ...]:
    issuer = settings.server.issuer
    below = urlsplit(issuer).path.rstrip("/")
    described = metadata.MetadataEndpoint(issuer, settings.keys.algorithms)
    return (
        Route(below + TOKEN_PATH, "POST", token),
        Route(below + JWKS_PATH, "GET", jwks),
        *(Route(path, "GET", described) for path in metadata.paths(issuer)),
        Route(below + "/livez", "GET", livez),
        Route(below + "/readyz", "GET", ready),
    )


def _routes_about_tokens(
    settings: Settings, tokens: OwnTokens, audit: Audit, proxies: TrustedProxies
) -> tuple[Route, ...]:
    """For those who hold a token of ours: may it still be used, and may it not be used any more."""
    issuer, introspectable = settings.server.issuer, settings.introspectable
    below = urlsplit(issuer).path.rstrip("/")
    callers = BearerCallers(issuer, tokens)
    introspection = IntrospectionEndpoint(callers, tokens, introspectable, audit, proxies)
    revocation = RevocationEndpoint(tokens, (*introspectable.values(), issuer), audit, proxies)
    return (
        Route(below + INTROSPECTION_PATH, "POST", introspection),
        Route(below + REVOCATION_PATH, "POST", revocation),
        Route(metadata.own_resource_path(issuer), "GET", metadata.OwnResourceEndpoint(issuer)),
    )


def _housekeeping(
    settings: Settings,
    ring: KeyRing,
    store: SqliteStore,
    health: StoreHealth,
    key_sets: Sequence[RemoteKeySet],
    telemetry: Telemetry,
    clock: Clock,
) -> tuple[Housekeeping, ...]:
    alarm = RotationAlarm(ring, plan(settings), clock)
    telemetry.watch(ring, alarm, health, clock)

    def refresh_key_sets() -> None:
        now = clock()
        for key_set in key_sets:
            key_set.refresh_if_due(now)

    tasks = (
        Task("ring", REREAD_EVERY, ring.refresh),
        Task("alarm", REREAD_EVERY, alarm.check),
        Task("key_sets", REREAD_EVERY, refresh_key_sets),
        Task("metrics", REREAD_EVERY, telemetry.exporter.ensure_serving),
    )
    # Apart, because a store that is busy answers late, and the ring must be read on time all the same. What was used is
    # kept for an hour longer than it must be, in case the clock is found to have been ahead.
    slow = (
        Task("store", CHECK_EVERY, health.check),
        Task("sweep", SWEEP_EVERY, lambda: store.sweep(clock() - 3600)),
    )
    failed = telemetry.metrics.background_failed
    return Housekeeping(tasks, failed=failed), Housekeeping(slow, failed=failed)


def _degraded(
    settings: Settings, ring: KeyRing, health: StoreHealth, key_sets: Mapping[str, RemoteKeySet], clock: Clock
) -> list[str]:
    """What does not work at the moment, in words from a closed set and the configuration's own names."""
    now = clock()
    able = ring.ready(now)
    degraded = [f"algorithm:{algorithm}" for algorithm in settings.keys.algorithms if algorithm not in able]
    if not health.is_good:
        degraded.append("store")
    return degraded + [f"source:{name}" for name, keys in key_sets.items() if keys.status(now).last_error is not None]
