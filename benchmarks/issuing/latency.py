"""How long a token takes to come: against connections, and against how busy the server is.

``make bench`` calls it as ``python -m benchmarks.issuing.latency [--quick] [FOLDER]``: it writes ``latency.json`` and
``latency.md`` there (``build/bench`` unless told otherwise) and prints the latter.

First each of some connections asks again as soon as it has its answer: from one connection to 64. Then 64 connections
wait before they ask again, for times from the exponential distribution whose mean makes them ask for a share of the
most that the server did. That is not the open world, where callers arrive whatever becomes of those before them; it is
64 callers who think, and when the server is late they ask less often. So what is told is the rate that came about.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.issuing import authlib_server, oidc_provider, ours
from benchmarks.issuing.contenders import Contender
from benchmarks.issuing.machine import machine, versions
from benchmarks.issuing.match import Match, Pace, Sample
from benchmarks.issuing.program import parser, publish, scratch, table
from benchmarks.rounds import Spread, turns

FULL: Final = Pace(warm_up=1, seconds=3, rounds=3)
QUICK: Final = Pace(warm_up=1, seconds=1, rounds=1)
CONNECTIONS: Final = (1, 2, 4, 8, 16, 32, 64)
QUICK_CONNECTIONS: Final = (1, 64)
SHARES: Final = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95)
QUICK_SHARES: Final = (0.5,)

Runs = dict[tuple[str, float], list[Sample]]
"""Runs by the name of a server, and by connections or the share of the most that it did."""


def main() -> None:
    """Measure, and write what was found."""
    chosen = parser("benchmarks.issuing.latency", "Measure how long tokens take to come.").parse_args()
    with scratch(chosen.folder) as folder:
        figures = measure(folder, quick=chosen.quick)
    publish(chosen.folder, "latency", figures, markdown(figures))


def measure(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Everything that stands in ``latency.json``."""
    pace = QUICK if quick else FULL
    invited = list(_invited(ours.Callers.generate()))
    missing = {each.name: each.missing for each in invited if each.missing}
    present = [each for each in invited if not each.missing]
    connections, shares = (QUICK_CONNECTIONS, QUICK_SHARES) if quick else (CONNECTIONS, SHARES)
    closed, thinking = _played(Match(folder, pace), present, pace, connections, shares)
    return {
        "machine": machine(),
        "versions": versions(),
        "pace": asdict(pace),
        "missing": missing,
        "connections": {each.name: _points(closed, each.name, connections, "connections") for each in present},
        "load": {each.name: _points(thinking, each.name, shares, "share") for each in present},
    }


def _invited(callers: ours.Callers) -> Iterator[Contender]:
    yield from (ours.contender(callers, server) for server in (ours.GUNICORN, ours.GRANIAN))
    yield oidc_provider.contender(callers)
    yield authlib_server.contender(callers, authlib_server.GTHREAD)


def _played(
    match: Match, contenders: Sequence[Contender], pace: Pace, connections: Sequence[int], shares: Sequence[float]
) -> tuple[Runs, Runs]:
    closed: Runs = {}
    thinking: Runs = {}
    for _, contender in turns(contenders, pace.rounds):
        with match.started(contender) as running:
            load = contender.loads[0]
            for count in connections:
                run = match.run(running, load, connections=count)
                closed.setdefault((contender.name, count), []).append(run)
            few, many = (closed[contender.name, count] for count in (connections[0], connections[-1]))
            for share in shares:
                wait = thinking_time(_median_rate(many) * share, connections[-1], median(r.fired.p50 for r in few))
                run = match.run(running, load, connections=connections[-1], wait=wait * 1000)
                thinking.setdefault((contender.name, share), []).append(run)
    return closed, thinking


def thinking_time(rate: float, connections: int, answered: float) -> float:
    """Seconds to wait between an answer and the next request for so many requests a second on some connections.

    By Little's law, for answers that take ``answered`` seconds each.
    """
    return max(connections / rate - answered, 0.001)


def _median_rate(runs: Sequence[Sample]) -> float:
    return median(run.fired.rate for run in runs)


def _points(runs: Runs, name: str, places: Sequence[float], what: str) -> list[dict[str, Any]]:
    return [{what: place, **_spreads(runs[name, place])} for place in places]


def _spreads(runs: Sequence[Sample]) -> dict[str, Any]:
    return {
        "rate": Spread.of([run.fired.rate for run in runs], 0).as_json(),
        "p50": Spread.of([run.fired.p50 * 1000 for run in runs], 2).as_json(),
        "p99": Spread.of([run.fired.p99 * 1000 for run in runs], 2).as_json(),
    }


def markdown(figures: Mapping[str, Any]) -> str:
    """The figures as tables."""
    lines = ["# How long a token takes to come"]
    for title, what in (("connections", "connections"), ("load", "share")):
        head = ("server", what, "requests/s", "p50 ms", "p99 ms")
        lines += ["", f"## {title}", "", *table(head, _rows(figures[title], what))]
    for server, reason in figures["missing"].items():
        lines += ["", f"**not measured: {server}: {reason}**"]
    return "\n".join(lines) + "\n"


def _rows(found: Mapping[str, Any], what: str) -> Iterator[tuple[str, ...]]:
    for server, points in found.items():
        for point in points:
            rate, p50, p99 = (point[name]["median"] for name in ("rate", "p50", "p99"))
            yield server, f"{point[what]}", f"{rate:,.0f}", f"{p50:.2f}", f"{p99:.2f}"


if __name__ == "__main__":
    main()
