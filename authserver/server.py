"""The composition root: puts the rooms together for one process, and is the only place that picks a store."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from authserver.audit import Audit
from authserver.endpoints import metadata
from authserver.endpoints.health import ReadyEndpoint, livez
from authserver.endpoints.http import Endpoint, Route, TrustedProxies
from authserver.endpoints.jwks import JwksEndpoint
from authserver.endpoints.limits import FailureLimit
from authserver.endpoints.token import TokenEndpoint
from authserver.errors import AuthServerError, ConfigurationError, Unavailable
from authserver.identity.authenticate import Identity
from authserver.identity.source import JwksTable, JwtSource, SourceTable
from authserver.issuance import Issuance
from authserver.jose.discovery import Discovery, openid_metadata_url
from authserver.jose.fetch import Endpoint as FetchEndpoint
from authserver.jose.fetch import Fetched, Fetcher
from authserver.jose.jwks import RemoteKeySet
from authserver.jose.key_file import read_key_file
from authserver.keys.mint import Minter
from authserver.keys.rotate import KeyRing
from authserver.keys.schedule import Plan
from authserver.keys.wrapping import MasterKeys, load_master_key
from authserver.oauth import JWKS_PATH, TOKEN_PATH
from authserver.settings import Settings
from authserver.store.sqlite import SqliteStore
from authserver.telemetry import audit_writer

REREAD_EVERY: Final = 1.0
"""Seconds between two looks at the key ring in the store."""

CHECK_EVERY: Final = 2.0
"""Seconds between two attempts to begin a write in the store, so that readiness can tell."""

SWEEP_EVERY: Final = 60.0
"""Seconds between two clearings of what the replay memory no longer needs."""

Clock = Callable[[], float]

_log = logging.getLogger("authserver")


class Housekeeping:
    """What a process does in the background, in one thread: re-read the ring, keep keys fresh, forget what expired.

    The thread does not survive a fork, so it is started where it is found missing.
    """

    def __init__(self, tasks: Sequence[tuple[float, Callable[[], object]]], *, every: float = REREAD_EVERY) -> None:
        """``tasks`` are pairs of an interval in seconds and what to do; ``every`` is the shortest of them."""
        self._tasks = tuple(tasks)
        self._every = every
        self._stopped = threading.Event()
        self._pid: int | None = None

    def ensure_running(self) -> None:
        """Start the thread in this process unless it is running."""
        if self._pid == os.getpid() or self._stopped.is_set():
            return
        self._pid = os.getpid()
        threading.Thread(target=self._run, name="housekeeping", daemon=True).start()

    def stop(self) -> None:
        """Let the thread end at its next turn."""
        self._stopped.set()

    def _run(self) -> None:
        due = [time.monotonic() for _ in self._tasks]
        while not self._stopped.wait(self._every):
            for position, (interval, task) in enumerate(self._tasks):
                if time.monotonic() >= due[position]:
                    due[position] = time.monotonic() + interval
                    attempt(task)


@dataclass(frozen=True, slots=True)
class Service:
    """One process's server, ready to be hosted."""

    routes: tuple[Route, ...]
    housekeeping: tuple[Housekeeping, ...]
    ring: KeyRing
    store: SqliteStore

    def ensure_running(self) -> None:
        """Start the background work in this process unless it is running."""
        for each in self.housekeeping:
            each.ensure_running()

    def close(self) -> None:
        """Stop the background work and let go of the store."""
        for each in self.housekeeping:
            each.stop()
        self.store.close()


class StoreHealth:
    """Whether the store could be written to when it was last tried. Asking costs nothing, however slow the store is."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.is_good = True

    def check(self) -> None:
        """Try, and remember.

        :raises Unavailable: it could not be.
        """
        self.is_good = False
        self._store.check()
        self.is_good = True


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
    ring = open_ring(settings, store, clock, master_keys)
    attempt(ring.refresh, fatal=ConfigurationError)
    health = StoreHealth(store)
    key_sets = {name: _key_set(table, settings, clock) for name, table in settings.sources.items()}
    skew = settings.server.clock_skew
    sources = [JwtSource(name, table, key_sets[name], skew) for name, table in settings.sources.items()]
    issuer = settings.server.issuer
    issuance = Issuance(Identity(sources, store), settings.policy(), Minter(issuer, ring, clock), clock=clock)
    stream = audit_stream or open(1, "wb", buffering=0, closefd=False)  # noqa: SIM115 (standard output)
    audit = Audit(audit_writer(stream), environment=settings.server.environment, clock=clock)
    proxies = TrustedProxies(settings.server.trusted_proxies)
    token = TokenEndpoint(issuance, audit, FailureLimit(settings.limits.failures, clock=clock), proxies)
    ready = ReadyEndpoint(lambda: bool(ring.ready(clock())), lambda: _degraded(settings, ring, health, key_sets, clock))
    return Service(
        routes=_routes(settings, token, JwksEndpoint(ring, clock=clock), ready),
        housekeeping=_housekeeping(ring, store, health, list(key_sets.values()), clock),
        ring=ring,
        store=store,
    )


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


def attempt(task: Callable[[], object], *, fatal: type[Exception] | tuple[()] = ()) -> None:
    """Do one piece of background work. What goes wrong is told to the operator, and tried again at the next turn.

    :raises fatal: that alone is raised.
    """
    try:
        task()
    except fatal:
        raise
    except Unavailable as unavailable:
        _log.warning("background work was put off", extra={"reason": unavailable.reason.value, **unavailable.facts})
    except AuthServerError as error:
        _log.error("background work failed: %s", error)
    except Exception:
        _log.exception("background work failed")


def _key_set(table: SourceTable, settings: Settings, clock: Clock) -> RemoteKeySet:
    return RemoteKeySet(_fetch(table, settings), table.allowed_algorithms, clock=clock)


def _fetch(table: SourceTable, settings: Settings) -> Callable[[], Fetched]:
    fetcher = Fetcher(insecure_allow_http=settings.server.insecure_allow_http)
    jwks = table.jwks
    if jwks is None:
        return Discovery(fetcher, table.issuer, FetchEndpoint(openid_metadata_url(table.issuer)))
    if jwks.file is not None:
        file = settings.base / jwks.file
        return lambda: read_key_file(file)
    endpoint = _endpoint(jwks, settings.base)
    return lambda: fetcher.get_json(endpoint)


def _endpoint(jwks: JwksTable, base: Path) -> FetchEndpoint:
    return FetchEndpoint(
        url=jwks.url or "",
        ca_file=base / jwks.ca_file if jwks.ca_file else None,
        bearer_token_file=base / jwks.bearer_token_file if jwks.bearer_token_file else None,
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


def _housekeeping(
    ring: KeyRing, store: SqliteStore, health: StoreHealth, key_sets: Sequence[RemoteKeySet], clock: Clock
) -> tuple[Housekeeping, ...]:
    def refresh_key_sets() -> None:
        now = clock()
        for key_set in key_sets:
            key_set.refresh_if_due(now)

    return (
        Housekeeping(((REREAD_EVERY, ring.refresh), (REREAD_EVERY, refresh_key_sets))),
        # Apart, because a store that is busy answers late, and the ring must be read on time all the same. What was
        # used is kept for an hour longer than it must be, in case the clock is found to have been ahead.
        Housekeeping(((CHECK_EVERY, health.check), (SWEEP_EVERY, lambda: store.sweep(clock() - 3600)))),
    )


def _degraded(
    settings: Settings, ring: KeyRing, health: StoreHealth, key_sets: dict[str, RemoteKeySet], clock: Clock
) -> list[str]:
    """What does not work at the moment, in words from a closed set and the configuration's own names."""
    now = clock()
    able = ring.ready(now)
    degraded = [f"algorithm:{algorithm}" for algorithm in settings.keys.algorithms if algorithm not in able]
    if not health.is_good:
        degraded.append("store")
    return degraded + [f"source:{name}" for name, keys in key_sets.items() if keys.status(now).last_error is not None]
