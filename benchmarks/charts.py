"""The plots of docs/explanation/performance.md: which figures each of them shows.

A plot is left out where nothing was measured for it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from benchmarks.issuing.contenders import DPOP, ES256
from benchmarks.issuing.many_devices import KNOWN, NEW
from benchmarks.plots import Bar, Bars, Lines, Point
from benchmarks.verification import OURS

Figures = Mapping[str, Any]
Chart = Lines | Bars
Draw = Callable[[Figures], Chart]


def issuing(kind: str) -> Draw:
    """Tokens a second of each server."""
    return lambda figures: Bars(f"Tokens on one core: {kind}", "a second", list(bars(figures["issuing"]["rate"][kind])))


def throughput(figures: Figures) -> Chart:
    """Tokens a second against connections."""
    series = {
        name: [(point["connections"], point["rate"]["median"]) for point in points]
        for name, points in figures["latency"]["connections"].items()
    }
    return Lines("Throughput against connections", "connections, each asking at once", "tokens a second", series)


def latency(which: str, said: str) -> Draw:
    """How long tokens take against how many are asked for."""

    def draw(figures: Figures) -> Chart:
        series = {
            name: [(point["rate"]["median"], point[which]["median"]) for point in points]
            for name, points in figures["latency"]["load"].items()
        }
        return Lines(f"Latency against load: {said}", "tokens a second", "milliseconds", series, "y")

    return draw


def devices(figures: Figures) -> Chart:
    """How long a device waits for its token against how many devices there are."""
    found = figures["devices"]["microseconds"]
    series = {
        said: [(int(count), took["median"]) for count, took in found[kind].items()]
        for kind, said in ((KNOWN, "a device that asked before"), (NEW, "one that asks for the first time"))
    }
    return Lines("Latency against devices", "devices in the store", "microseconds for a token", series)


def policy(figures: Figures) -> Chart:
    """How long a decision takes against how many rules there are."""
    found = figures["policy"]
    indexed, scanned = ([_by_size(shape) for shape in found[name].values()] for name in ("microseconds", "scanned"))
    series = {
        "looked up, slowest shape": _of_each(max, indexed),
        "looked up, fastest shape": _of_each(min, indexed),
        "cannot be looked up": _of_each(max, scanned),
    }
    return Lines("A decision against rules in the policy", "rules", "microseconds for a decision", series, "xy")


def verification(figures: Figures) -> Chart:
    """What verifying a token costs, the first time and further times."""
    found = figures["verification"]["microseconds"]["ES256"]
    return Bars("Verifying one access token, ES256", "µs of a core", list(bars(found)))


def protected(kind: str, said: str) -> Draw:
    """What protection adds to a request over HTTP."""

    def draw(figures: Figures) -> Chart:
        found = {name: of[kind] for name, of in figures["protected"]["http"].items()}
        return Bars(f"What protection adds to a request, {said}", "µs of a core", list(bars(found)))

    return draw


def bars(found: Mapping[str, Mapping[str, float]]) -> Iterator[Bar]:
    """A bar for each."""
    for name, spread in found.items():
        yield Bar(name, spread["median"], spread["low"], spread["high"], ours=OURS in name)


def _by_size(shape: Mapping[str, float]) -> dict[int, float]:
    return {int(size): took for size, took in shape.items() if size.isdecimal()}


def _of_each(choose: Callable[[Iterable[float]], float], shapes: Sequence[Mapping[int, float]]) -> list[Point]:
    return [(size, choose([shape[size] for shape in shapes])) for size in shapes[0]]


CHARTS: Final[Mapping[str, tuple[str, Draw]]] = {
    "issuing": ("issuing", issuing(ES256)),
    "issuing-dpop": ("issuing", issuing(DPOP)),
    "throughput": ("latency", throughput),
    "latency-p50": ("latency", latency("p50", "half of the tokens come sooner")),
    "latency-p99": ("latency", latency("p99", "all but one in a hundred come sooner")),
    "devices": ("devices", devices),
    "policy": ("policy", policy),
    "verification": ("verification", verification),
    "protected-first": ("protected", protected("first", "first request with a token")),
    "protected-again": ("protected", protected("again", "further requests with it")),
}
"""For each file the figures that it needs, and what makes the plot."""


def drawn(figures: Figures) -> dict[str, Chart]:
    """Every plot that there are figures for, by the name of its file."""
    return {name: draw(figures) for name, (needed, draw) in CHARTS.items() if needed in figures}
