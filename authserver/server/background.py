"""What goes on in the background of one process, and what does not work at the moment."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from authserver.errors import Unavailable
from authserver.housekeeping import Housekeeping, Task
from authserver.identity.certificate_source import AuthoritySource, CertificateSource
from authserver.jose.key_set import KnownKeys
from authserver.jose.remote_keys import RemoteKeys
from authserver.keys.overdue import RotationAlarm
from authserver.keys.rotate import KeyRing
from authserver.keys.schedule import Plan
from authserver.settings import Settings
from authserver.store.health import StoreHealth
from authserver.store.ports import Store
from authserver.telemetry.observer import Telemetry

CHECK_EVERY: Final = 2.0
"""Seconds between two attempts to begin a write in the store, so that readiness can tell."""

SWEEP_EVERY: Final = 60.0
"""Seconds between two clearings of what the replay memory no longer needs."""


def housekeeping(
    plan: Plan,
    ring: KeyRing,
    store: Store,
    health: StoreHealth,
    key_sets: Sequence[RemoteKeys[KnownKeys]],
    telemetry: Telemetry,
    clock: Callable[[], float],
) -> tuple[Housekeeping, ...]:
    """Everything that goes on in the background of one process."""
    alarm = RotationAlarm(ring, plan, clock)
    telemetry.watch(ring, alarm, health, clock)

    def refresh_key_sets() -> None:
        now = clock()
        for key_set in key_sets:
            key_set.refresh_if_due(now)

    tasks = (
        Task("ring", plan.reread_every, ring.refresh),
        Task("alarm", plan.reread_every, alarm.check),
        Task("key_sets", plan.reread_every, refresh_key_sets),
        Task("metrics", plan.reread_every, telemetry.exporter.ensure_serving),
    )
    # Apart, because a store that is busy answers late, and the ring must be read on time all the same. What was used is
    # kept for an hour longer than it must be, in case the clock is found to have been ahead.
    slow = (
        Task("store", CHECK_EVERY, health.check),
        Task("sweep", SWEEP_EVERY, lambda: store.sweep(clock() - 3600)),
    )
    failed = telemetry.metrics.background_failed
    return Housekeeping(tasks, failed=failed), Housekeeping(slow, failed=failed)


def degraded(
    settings: Settings,
    ring: KeyRing,
    health: StoreHealth,
    key_sets: Mapping[str, RemoteKeys[KnownKeys]],
    certificates: Sequence[CertificateSource],
    clock: Callable[[], float],
) -> list[str]:
    """What does not work at the moment, in words from a closed set and the configuration's own names."""
    now = clock()
    able = ring.ready(now)
    names = [f"algorithm:{algorithm}" for algorithm in settings.keys.algorithms if algorithm not in able]
    if not health.is_good:
        names.append("store")
    names += [f"source:{name}" for name, keys in key_sets.items() if keys.status(now).last_error is not None]
    return names + [f"source:{name}" for name in _without_files(certificates, now)]


def _without_files(certificates: Sequence[CertificateSource], now: float) -> Iterator[str]:
    """The sources that lack a file of theirs. The trust domains among the others have key sets."""
    for source in certificates:
        if isinstance(source, AuthoritySource):
            try:
                source.check(now)
            except Unavailable:
                yield source.name
