"""How long a device waits for its token with a hundred devices in the store, and with a million.

``make bench`` calls it as ``python -m benchmarks.issuing.many_devices [--quick] [FOLDER]``: it writes ``devices.json``
and ``devices.md`` there (``build/bench`` unless told otherwise) and prints the latter.

The same phones are in every store. In rounds that alternate, the token endpoint is asked in this process, through
``benchmarks/devices.py``: for a phone that asked before, which the process remembers, and for phones that ask for the
first time, which it has to look up. What is told is microseconds for a token.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Final

from authserver.endpoints.http import Endpoint
from benchmarks.devices import Phone, ask, served
from benchmarks.issuing.machine import machine, versions
from benchmarks.issuing.program import parser, publish, scratch, table
from benchmarks.rounds import Spread, turns

COUNTS: Final = (100, 1_000, 10_000, 100_000, 1_000_000)
QUICK_COUNTS: Final = (100, 10_000)
ROUNDS: Final = 20
QUICK_ROUNDS: Final = 3
TOKENS: Final = 25
NEW_PHONES: Final = 4
"""How many phones ask for the first time in each round."""

WARM_UP: Final = 50
KNOWN: Final = "known"
NEW: Final = "new"

Times = dict[str, dict[int, list[float]]]
"""Seconds for each token, by the kind of phone and by how many devices there are."""


def main() -> None:
    """Measure, and write what was found."""
    chosen = parser("benchmarks.issuing.many_devices", "Measure how long a device waits for its token.").parse_args()
    counts, rounds = (QUICK_COUNTS, QUICK_ROUNDS) if chosen.quick else (COUNTS, ROUNDS)
    with scratch(chosen.folder):
        times = measure(counts, rounds)
    figures = {"machine": machine(), "versions": versions(), "microseconds": told(times)}
    publish(chosen.folder, "devices", figures, markdown(figures))


def measure(counts: Sequence[int], rounds: int) -> Times:
    """Ask for tokens in every round, of a server for each number of devices."""
    known, new = Phone(), [Phone(number=-number) for number in range(1, rounds * NEW_PHONES + 1)]
    took: Times = {kind: {count: [] for count in counts} for kind in (KNOWN, NEW)}
    with ExitStack() as stack:
        endpoints: dict[int, Endpoint] = {}
        for count in counts:
            print(f"{count} devices ...", flush=True)
            endpoints[count] = stack.enter_context(served(count, known, *new))
            ask(endpoints[count], [known] * WARM_UP)
        for number, count in turns(counts, rounds):
            took[KNOWN][count] += ask(endpoints[count], [known] * TOKENS)
            took[NEW][count] += ask(endpoints[count], new[number::rounds])
    return took


def told(times: Times) -> dict[str, Any]:
    """Microseconds, by the kind of phone and by how many devices there are, which JSON wants to be text."""
    return {
        kind: {str(count): Spread.of([each * 1e6 for each in took], 0).as_json() for count, took in by_count.items()}
        for kind, by_count in times.items()
    }


def markdown(figures: Mapping[str, Any]) -> str:
    """The figures as a table."""
    head = ("devices", "µs for a phone that asked before", "for one that asks for the first time")
    return "\n".join(["# Devices in the store", "", *table(head, _rows(figures["microseconds"]))]) + "\n"


def _rows(found: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for count in found[KNOWN]:
        yield f"{int(count):,}", *(f"{found[kind][count]['median']:,.0f}" for kind in (KNOWN, NEW))


if __name__ == "__main__":
    main()
