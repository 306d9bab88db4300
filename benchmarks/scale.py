"""What many tokens and many devices need, reckoned from what ``benchmarks/measure.py`` found.

Run it with ``python -m benchmarks.scale``; it prints the tables of docs/explanation/scale.md, and a test compares them
with the page. ``--simulate`` also lets verifiers poll through a content delivery network for an hour, second by second,
to see how far the formula for its hit rate is off.
"""

import heapq
import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured. Times are microseconds of one core, sizes are bytes."""

    exchange_microseconds: float
    device_microseconds: float
    poll_microseconds: float
    worker_megabytes: float
    audit_line: int
    poll_request: int
    poll_document: int
    poll_unchanged: int
    sqlite_device: int
    redis_device: int
    redis_use: int
    redis_microseconds: float


MEASURED: Final = Measured(
    exchange_microseconds=987,
    device_microseconds=2009,
    poll_microseconds=400,
    worker_megabytes=67,
    audit_line=699,
    poll_request=191,
    poll_document=1670,
    poll_unchanged=294,
    sqlite_device=720,
    redis_device=1895,
    redis_use=504,
    redis_microseconds=39.9,
)
"""On one machine with two cores, in November 2026."""

TOKENS_AN_HOUR: Final = 1_000_000_000
DEVICES: Final = 100_000_000
VERIFIERS: Final = 1_000_000
EDGES: Final = 300

BUSY: Final = 0.6
"""How much of a core may be used on average, so that a peak finds room."""

CORES: Final = 8
"""Cores of a node."""

ZONES: Final = 3
"""Zones, of which the others carry everything when one is gone."""

SHARD_BYTES: Final = 16 * 2**30
"""What the data of one shard may take: half of 32 GiB, because rewriting the log can take as much again."""

SHARD_BUSY: Final = 0.3
"""How much of its one core a shard may use for commands; what writes the log and feeds the replica needs the rest."""

SLOTS: Final = 16_384
REMEMBERED: Final = 330
"""Seconds that an assertion is remembered at most: five minutes, and ``clock_skew``."""

MAX_AGE: Final = 300
"""``keys.jwks_max_age`` in seconds."""

REFRESH_AFTER: Final = (0.75, 0.85)
"""When a verifier fetches keys again, as a share of how long they may be kept."""

SHORTEST: Final = 1.0
"""Seconds that a verifier keeps keys at least."""


def cores(rate: float, microseconds: float) -> int:
    """Cores for so many answers a second."""
    return math.ceil(rate * microseconds / 1e6 / BUSY)


def nodes(needed: int) -> int:
    """Nodes for so many cores when one zone is gone, the same number in each."""
    return ZONES * math.ceil(needed / CORES / (ZONES - 1))


def shards(data: float, busy: float) -> int:
    """Primaries of a cluster, for so many bytes and so many seconds of work in each second."""
    return max(1, math.ceil(data / SHARD_BYTES), math.ceil(busy / SHARD_BUSY))


def polls(lifetime: float) -> int:
    """Polls of one verifier while a copy of the keys grows old at the edge that it asks.

    Each time it keeps them for a share of what is left of their life, until so little is left that it is the least.
    """
    share, left, count = sum(REFRESH_AFTER) / 2, lifetime, 0
    while left > 0:
        left -= max(left, SHORTEST) * share
        count += 1
    return count


def hit_rate(verifiers: int, edges: int, max_age: float) -> float:
    """The share of all polls that edges answer, each of which asks for the keys once while they may be kept."""
    return 1 - min(1.0, edges / (verifiers * polls(max_age)))


def simulate(verifiers: int, edges: int, max_age: float, seconds: float, seed: int = 1) -> tuple[float, float]:
    """Polls of a verifier in ``max_age``, and the share of polls that edges answer.

    An edge says how old its copy is (RFC 9111 section 5.1) and asks again when it is too old. Verifiers poll as
    ``authserver.resource`` does.
    """
    dice = random.Random(seed)  # noqa: S311 - nothing is kept secret by it
    due = [(dice.uniform(0, max_age), verifier % edges) for verifier in range(verifiers)]
    heapq.heapify(due)
    expires, asked, fetched = [0.0] * edges, 0, 0
    while due[0][0] < seconds:
        now, edge = due[0]
        if now >= expires[edge]:
            expires[edge] = now + max_age
            fetched += 1
        asked += 1
        lifetime = max(expires[edge] - now, SHORTEST)
        heapq.heapreplace(due, (now + lifetime * dice.uniform(*REFRESH_AFTER), edge))
    return asked / verifiers / seconds * max_age, 1 - fetched / asked


Row = tuple[str, str]


def measured(found: Measured = MEASURED) -> Iterator[Row]:
    """The first table."""
    for what, microseconds in (
        ("an exchange", found.exchange_microseconds),
        ("a device token", found.device_microseconds),
        ("a poll of the keys", found.poll_microseconds),
    ):
        yield f"{what}: processor time", f"{microseconds:,.0f} µs, so {1e6 / microseconds:,.0f} a second of one core"
    yield "a worker, after all that", f"{found.worker_megabytes:,.0f} MB"
    yield "a line of the audit log", f"{found.audit_line:,} bytes"
    yield "a million devices in SQLite", f"{size(found.sqlite_device * 1e6)} on disk"
    yield "a million devices in Redis", f"{size(found.redis_device * 1e6)} of memory"
    yield "what is remembered of a device token in Redis", f"{found.redis_use:,} bytes"
    yield "a device token at the Redis server", f"{found.redis_microseconds:,.0f} µs"
    yield "a poll: request", f"{found.poll_request:,} bytes"
    yield "a poll: the keys", f"{found.poll_document:,} bytes"
    yield "a poll: nothing new (304)", f"{found.poll_unchanged:,} bytes"


def workloads(found: Measured = MEASURED) -> Iterator[Row]:
    """What tokens for workloads need."""
    rate = TOKENS_AN_HOUR / 3600
    needed = cores(rate, found.exchange_microseconds)
    yield "tokens a second", f"{rate:,.0f}"
    yield "cores", f"{needed:,}"
    yield f"nodes of {CORES} cores, one zone of {ZONES} may fail", f"{nodes(needed):,}"
    yield "memory of the workers on a node", size(CORES * found.worker_megabytes * 1e6)
    yield "round trips to the store for them", "0"
    yield "audit log", f"{size(rate * found.audit_line)} a second, {size(rate * found.audit_line * 86400)} a day"


def of_devices(found: Measured = MEASURED) -> Iterator[Row]:
    """What devices need that each ask for a token once an hour."""
    rate = DEVICES / 3600
    needed = cores(rate, found.device_microseconds)
    kept, remembered = DEVICES * found.redis_device, rate * REMEMBERED * found.redis_use
    busy = rate * found.redis_microseconds / 1e6
    primaries = shards(kept + remembered, busy)
    yield "tokens a second", f"{rate:,.0f}"
    yield "cores", f"{needed:,}"
    yield f"nodes of {CORES} cores, one zone of {ZONES} may fail", f"{nodes(needed):,}"
    yield "round trips to the store", f"{2 * rate:,.0f} a second"
    yield "memory for the devices", size(kept)
    yield "memory for what was used once", size(remembered)
    yield "cores of Redis that are busy", f"{busy:,.1f}"
    yield "shards, each a primary and a replica", f"{primaries:,}"
    yield "slots of each", f"about {SLOTS / primaries:,.0f} of {SLOTS:,}"


def of_polls(found: Measured = MEASURED) -> Iterator[Row]:
    """What resource servers need that fetch the keys."""
    alone = VERIFIERS / (MAX_AGE * sum(REFRESH_AFTER) / 2)
    behind = EDGES / MAX_AGE
    yield "polls a second without a CDN", f"{alone:,.0f}"
    yield "cores for them", f"{cores(alone, found.poll_microseconds):,}"
    yield "bytes a second for them", size(alone * found.poll_document)
    yield f"polls of one verifier in {MAX_AGE} seconds, through a CDN", f"{polls(MAX_AGE)}"
    yield f"hit rate of a CDN with {EDGES} edges", f"{hit_rate(VERIFIERS, EDGES, MAX_AGE) * 100:.3f} %"
    yield "polls a second that reach the servers", f"{behind:,.1f}"
    yield "cores for them, with a CDN", f"{behind * found.poll_microseconds / 1e6:.4f}"


TABLES: Final = {"measured": measured, "workloads": workloads, "devices": of_devices, "polls": of_polls}


def size(count: float) -> str:
    """Bytes as people read them, with three figures."""
    power = max(0, math.floor(math.log(max(count, 1), 1000)))
    return f"{count / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


def table(rows: Sequence[Row]) -> str:
    """Rows as a table of a page."""
    return "\n".join(["| | |", "|---|---|", *(f"| {what} | {much} |" for what, much in rows)])


def main(arguments: Sequence[str]) -> None:
    """Print every table."""
    for name, rows in TABLES.items():
        print(f"<!-- {name} -->\n{table(list(rows()))}\n")
    if "--simulate" in arguments:
        asked, hits = simulate(VERIFIERS // 50, EDGES // 50, MAX_AGE, 3600)
        print(f"simulated: {asked:.2f} polls of a verifier in {MAX_AGE} seconds, hit rate {hits * 100:.3f} %")


if __name__ == "__main__":
    main(sys.argv[1:])
