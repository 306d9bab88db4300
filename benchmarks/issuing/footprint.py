"""What our server needs: whether two workers do twice the work of one, how much memory a worker has, and how long it
takes from nothing to the first token.

``make bench`` calls it as ``python -m benchmarks.issuing.footprint [--quick] [--tokens N] [FOLDER]``: it writes
``footprint.json`` and ``footprint.md`` there (``build/bench`` unless told otherwise) and prints the latter.

Two workers have both cores, and so has the load generator; what it uses is taken off. A worker's memory is what is
resident of it, in MB of a million bytes: at rest, and while it issues so many tokens. A start is timed from the command
to the first token that somebody gets who asks every 20 ms, with keys in the store and files in the system's cache.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.issuing import ours
from benchmarks.issuing.loads import Load, ask
from benchmarks.issuing.machine import machine, versions
from benchmarks.issuing.match import Match, Pace, Sample
from benchmarks.issuing.program import parser, publish, scratch, table
from benchmarks.processes import cores, free_port, listens, resident, tree
from benchmarks.rounds import Spread, turns

FULL: Final = Pace(warm_up=1, seconds=4, rounds=5)
QUICK: Final = Pace(warm_up=1, seconds=2, rounds=2)
LONG: Final = Pace(warm_up=1, seconds=20, rounds=1)
"""Between one look at the memory and the next."""

TOKENS: Final = 200_000
QUICK_TOKENS: Final = 5_000
CONNECTIONS: Final = 32
"""So many that each of two workers has some: whoever connects is taken by either."""

SERVERS: Final = (ours.GUNICORN, ours.GRANIAN)


def main() -> None:
    """Measure, and write what was found."""
    options = parser("benchmarks.issuing.footprint", "Measure what our server needs.")
    options.add_argument("--tokens", type=int, help=f"after so many memory is looked at, instead of {TOKENS}")
    chosen = options.parse_args()
    tokens = chosen.tokens or (QUICK_TOKENS if chosen.quick else TOKENS)
    with scratch(chosen.folder) as folder:
        figures = measure(folder, QUICK if chosen.quick else FULL, tokens)
    publish(chosen.folder, "footprint", figures, markdown(figures))


def measure(folder: Path, pace: Pace, tokens: int) -> dict[str, Any]:
    """Everything that stands in ``footprint.json``."""
    callers, match = ours.Callers.generate(), Match(folder, pace)
    patient = match if pace is QUICK else Match(folder, LONG)
    missing = {server: reason for server in SERVERS if (reason := ours.missing(server))}
    servers = [server for server in SERVERS if server not in missing]
    return {
        "machine": machine(),
        "versions": versions(),
        "pace": asdict(pace),
        "missing": missing,
        "workers": {server: workers(match, callers, server, pace.rounds) for server in servers},
        "memory": {server: memory(patient, callers, server, tokens) for server in servers},
        "start": {server: starts(folder, callers, server, pace.rounds) for server in servers},
    }


def workers(match: Match, callers: ours.Callers, server: str, rounds: int) -> dict[str, Any]:
    """Requests a second of one worker and of two, and how often the one goes into the other."""
    found: dict[int, list[Sample]] = {1: [], 2: []}
    for _, count in turns(list(found), rounds):
        contender = ours.contender(callers, server, workers=count)
        with match.started(contender, cores()[:count]) as running:
            load = exchange(callers, server)
            found[count].append(match.run(running, load, connections=CONNECTIONS, both=count == 2))
    pairs = zip(found[1], found[2], strict=True)
    return {
        "one": Spread.of([run.fired.rate for run in found[1]], 0).as_json(),
        "two": Spread.of([run.fired.rate for run in found[2]], 0).as_json(),
        "busy": Spread.of([run.fired.busy for run in found[2]], 3).as_json(),
        "scaling": Spread.of([scaling(one, two) for one, two in pairs], 3).as_json(),
    }


def scaling(one: Sample, two: Sample) -> float:
    """How often the work of one worker on one core goes into that of two on two cores, less what was not theirs."""
    return two.fired.rate / one.fired.rate * 2 / (2 - two.fired.busy)


def memory(match: Match, callers: ours.Callers, server: str, tokens: int) -> dict[str, Any]:
    """Megabytes of a worker at rest, after warming up, at its most, and in the end."""
    load, issued, found = exchange(callers, server), 0, list[float]()
    with match.started(ours.contender(callers, server)) as running:
        rest = worker_megabytes(running.pid)
        while issued < tokens:
            issued += match.run(running, load).fired.requests
            found.append(worker_megabytes(running.pid))
    sizes = {"rest": rest, "warm": found[0], "most": max(found), "after": found[-1]}
    return {"tokens": issued, **{name: Spread.of([size], 1).as_json() for name, size in sizes.items()}}


def worker_megabytes(pid: int) -> float:
    """What is resident of the larger of a server's worker processes."""
    return round(max(resident(child) for child in tree(pid)[1:]) / 1e6, 1)


def starts(folder: Path, callers: ours.Callers, server: str, rounds: int) -> dict[str, Any]:
    """Seconds from the command to the first token."""
    home = folder / f"start-{server}"
    home.mkdir()
    port, file = free_port(), home / "authserver.toml"
    ours.configure(file, callers, port, "sqlite:authserver.db")
    request = exchange(callers, server).make(1)[0]
    found = [start(file, port, server, request) for _ in range(rounds)]
    return Spread.of(found, 3).as_json()


def start(file: Path, port: int, server: str, request: bytes) -> float:
    """Seconds of one start."""
    began = time.perf_counter()
    with ours.serving(file, port, server, 1, cores()[:1], partial(_gives_token, request)):
        return time.perf_counter() - began


def _gives_token(request: bytes, port: int) -> bool:
    return listens(port) and ask(port, request).status == 200


def exchange(callers: ours.Callers, server: str) -> Load:
    """The load that all of this is measured with."""
    return ours.contender(callers, server).loads[0]


def markdown(figures: Mapping[str, Any]) -> str:
    """The figures as tables."""
    head = ("server", "one worker", "two workers", "times", "MB at rest", "warm", "most", "after", "tokens", "start, s")
    lines = ["# What a server needs", "", *table(head, _rows(figures))]
    for server, reason in figures["missing"].items():
        lines += ["", f"**not measured: {server}: {reason}**"]
    return "\n".join(lines) + "\n"


def _rows(figures: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for server, found in figures["workers"].items():
        rates = (f"{found[name]['median']:,.0f}" for name in ("one", "two"))
        kept = figures["memory"][server]
        sizes = (f"{kept[name]['median']:.0f}" for name in ("rest", "warm", "most", "after"))
        times = f"{found['scaling']['median']:.2f}"
        yield server, *rates, times, *sizes, f"{kept['tokens']:,}", f"{figures['start'][server]['median']:.2f}"


if __name__ == "__main__":
    main()
