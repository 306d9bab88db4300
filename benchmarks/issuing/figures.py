"""What is told of runs: for every kind of request and every server, medians and quartiles, as they stand in JSON.

The same shape throughout: what was measured, then the kind of request, then the server, then the spread.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from benchmarks.issuing.contenders import ES256, TOKENS
from benchmarks.issuing.match import Sample
from benchmarks.issuing.oidc_provider import NAME as PEER
from benchmarks.rounds import Spread

Runs = Mapping[tuple[str, str], Sequence[Sample]]
"""The runs of each server and kind of request."""

MICRO: Final = 1e6
MILLI: Final = 1e3

TOLD: Final[Mapping[str, tuple[Callable[[Sample], float], int]]] = {
    "rate": (lambda run: run.fired.rate, 0),
    "microseconds": (lambda run: run.worked * MICRO, 1),
    "beside": (lambda run: run.beside * MICRO, 1),
    "p50": (lambda run: run.fired.p50 * MILLI, 2),
    "p99": (lambda run: run.fired.p99 * MILLI, 2),
    "busy": (lambda run: run.fired.busy, 3),
}
"""Requests a second; µs of processor time of the server for each, and of what it depends on; latencies in ms of half of
the requests and of all but one in a hundred; and the share of its core that the load generator used."""


def told(runs: Runs) -> dict[str, Any]:
    """Everything that the runs tell."""
    return {name: _by_kind(runs, value, digits) for name, (value, digits) in TOLD.items()}


def against_peer(runs: Runs) -> dict[str, Any]:
    """How often each server's work fits into that of the peer for ``private_key_jwt`` without DPoP.

    Of the same round each time: what disturbs the machine for minutes disturbs both. ``rate`` compares requests a
    second, ``microseconds`` processor time; above one, the server does better than the peer.
    """
    peer = runs.get((PEER, ES256), ())
    runs = {(server, kind): samples for (server, kind), samples in runs.items() if kind in TOKENS}
    return {
        "rate": _by_kind(runs, lambda run, other: run.fired.rate / other.fired.rate, 3, peer),
        "microseconds": _by_kind(runs, lambda run, other: other.worked / run.worked, 3, peer),
    }


def _by_kind(runs: Runs, value: Callable[..., float], digits: int, *others: Sequence[Sample]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for (server, kind), samples in runs.items():
        values = [value(*each) for each in zip(samples, *others, strict=False)]
        if values:
            found.setdefault(kind, {})[server] = Spread.of(values, digits).as_json()
    return found
