"""The tables of docs/explanation/performance.md, each made from the figures of one program."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from benchmarks.issuing.contenders import ES256
from benchmarks.layers import DOORWAY, ENDPOINT, FLASK, SIGNATURES

Figures = Mapping[str, Any]
Spread = Mapping[str, float]

NOT_MEASURED: Final = "Not measured."

BUSY: Final = 1.0
"""The load at the start of a program, in processes that run or wait to, from which on rates are not to be trusted."""


def markdown(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """A table; all columns but the first are numbers."""
    lines = [f"| {' | '.join(head)} |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def told(spread: Spread | None) -> str:
    """A median with the quartiles around it, to three figures."""
    if spread is None:
        return "-"
    if spread["low"] == spread["high"]:
        return short(spread["median"])
    return f"{short(spread['median'])} ({short(spread['low'])} to {short(spread['high'])})"


def short(value: float) -> str:
    """A value to three figures, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def run(figures: Figures) -> str:
    """Where and with what it was measured."""
    machine = dict(_of_all(figures, "machine"))
    lines = [f"{name}: {value:.3g}" if name == "load" else f"{name}: {value}" for name, value in machine.items()]
    if any(load > BUSY for name, load in _of_all(figures, "machine") if name == "load"):
        lines.append("**the machine was busy with other things: rates and latencies of this run mean little**")
    versions = {name.lower(): f"{name} {version}" for name, version in _of_all(figures, "versions")}
    lines += [", ".join(versions[name] for name in sorted(versions))] if versions else []
    lines += [f"not measured: {name}, because {reason}" for name, reason in _of_all(figures, "missing")]
    return "\n".join(f"- {line}" for line in lines) or NOT_MEASURED


def _of_all(figures: Figures, what: str) -> Iterator[tuple[str, Any]]:
    for found in figures.values():
        yield from found.get(what, {}).items()


def verification(figures: Figures) -> str:
    """Microseconds of a verification, by algorithm."""
    found = figures["verification"]["microseconds"]
    names = dict.fromkeys(name for column in found.values() for name in column)
    rows = ((name, *(told(column.get(name)) for column in found.values())) for name in names)
    return markdown(("µs a verification", *found), rows)


def protected(figures: Figures) -> str:
    """Microseconds of a request over HTTP, and what protection adds."""
    found = figures["protected"]["http"]
    rows = ((name, *(told(of[kind]) for kind in ("open", "first", "again"))) for name, of in found.items())
    head = ("µs a request", "unprotected", "protection adds: first request", "further requests")
    return markdown(head, rows)


def called(figures: Figures) -> str:
    """The same for Flask without a server."""
    found = figures["protected"]["called"]
    rows = ((name, *(told(of[kind]) for kind in ("open", "again"))) for name, of in found.items())
    return markdown(("µs a call", "unprotected", "protection adds: further requests"), rows)


def layers(figures: Figures) -> str:
    """What each layer of an exchange takes, from the inside to the outside."""
    medians = {name: spread["median"] for name, spread in figures["layers"]["microseconds"].items()}
    rows = [
        ("both signatures", medians[SIGNATURES]),
        ("the rest of the endpoint: reading, policy, audit, claims", medians[ENDPOINT] - medians[SIGNATURES]),
        ("the doorway: from WSGI and back, counting, headers", medians[DOORWAY] - medians[ENDPOINT]),
    ]
    served = figures.get("issuing", {}).get("microseconds", {}).get(ES256, {})
    for name, spread in served.items():
        if name.startswith("authserver"):
            rows.append((f"HTTP and the worker: {name}", spread["median"] - medians[DOORWAY]))
    rows.append(("not taken: Flask in the doorway's place would add", medians[FLASK] - medians[DOORWAY]))
    return markdown(("part of an exchange", "µs"), ((name, short(value)) for name, value in rows))


def packages(figures: Figures) -> str:
    """In which package the doorway spends its time."""
    found = figures["layers"]["packages"]
    return markdown(("package", "share"), ((name, f"{share:.1%}") for name, share in found.items()))


def issuing(figures: Figures) -> str:
    """A table for each kind of request."""
    found = figures["issuing"]
    return "\n\n".join(f"**{kind}**\n\n{_of_kind(found, kind)}" for kind in found["rate"])


def _of_kind(found: Figures, kind: str) -> str:
    rates = found["rate"][kind]
    head = ("", "a second", "µs of its core", "p99 in ms", "rate, oidc-provider = 1", "the same by core")
    rows = (
        (
            name,
            told(rates[name]),
            told(found["microseconds"][kind][name]),
            short(found["p99"][kind][name]["median"]),
            *(ratio(found["peer"][by].get(kind, {}).get(name)) for by in ("rate", "microseconds")),
        )
        for name in sorted(rates, key=lambda name: -rates[name]["median"])
    )
    return markdown(head, rows)


def ratio(spread: Spread | None) -> str:
    """The median of a ratio."""
    return "-" if spread is None else f"{spread['median']:.2f}"


def needing(name: str, make: Callable[[Figures], str]) -> Callable[[Figures], str]:
    """The table where there are figures of that name, and elsewhere words that say so."""
    return lambda figures: make(figures) if name in figures else NOT_MEASURED


PARTS: Final[Mapping[str, Callable[[Figures], str]]] = {
    "run": run,
    "verification": needing("verification", verification),
    "protected": needing("protected", protected),
    "called": needing("protected", called),
    "layers": needing("layers", layers),
    "packages": needing("layers", packages),
    "issuing": needing("issuing", issuing),
}
