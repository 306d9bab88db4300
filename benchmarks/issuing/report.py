"""The figures of a match as Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from benchmarks.issuing.program import table

Figures = Mapping[str, Any]

HEAD: Final = (
    "server",
    "requests/s",
    "",
    "µs of its core",
    "",
    "p50 ms",
    "p99 ms",
    "generator",
    "of peer: rate",
    "of peer: core",
)


def markdown(figures: Figures) -> str:
    """Everything, with a table for each kind of request."""
    parts = ["# Issuing", *_about(figures)]
    for kind in figures["rate"]:
        parts += ["", f"## {kind}", "", *table(HEAD, _rows(figures, kind))]
    if figures["limit"]:
        parts += ["", "## The two signatures alone", "", *table(("", "tokens/s", "µs"), _limits(figures))]
    return "\n".join(parts) + "\n"


def _about(figures: Figures) -> Iterator[str]:
    machine, pace = figures["machine"], figures["pace"]
    yield ""
    yield (
        f"{machine['processor']}, {machine['cores']} cores, load {machine['load']:.2f} at the start; "
        f"{pace['rounds']} rounds of {pace['seconds']} s after {pace['warm_up']} s to warm up; medians, and the "
        "quartiles around them. The peer is oidc-provider without DPoP."
    )
    yield ""
    yield ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    for server, reason in figures["missing"].items():
        yield ""
        yield f"**not measured: {server}: {reason}**"
    generator = figures["generator"]
    if generator:
        yield ""
        yield (
            f"The load generator can do {generator['rate']['median']:,.0f} requests a second, against a server that "
            f"answers all of them alike ({generator['server']})."
        )


def _rows(figures: Figures, kind: str) -> Iterator[Sequence[str]]:
    servers = figures["rate"][kind]
    for server in sorted(servers, key=lambda name: -servers[name]["median"]):
        spreads = {name: figures[name][kind][server] for name in ("rate", "microseconds", "p50", "p99", "busy")}
        ratios = [figures["peer"][name].get(kind, {}).get(server) for name in ("rate", "microseconds")]
        yield (
            server,
            f"{spreads['rate']['median']:,.0f}",
            _around(spreads["rate"], ",.0f"),
            f"{spreads['microseconds']['median']:,.0f}",
            _around(spreads["microseconds"], ",.0f"),
            f"{spreads['p50']['median']:.2f}",
            f"{spreads['p99']['median']:.2f}",
            f"{spreads['busy']['median']:.0%}",
            *(f"{ratio['median']:.2f}" if ratio else "" for ratio in ratios),
        )


def _limits(figures: Figures) -> Iterator[Sequence[str]]:
    for kind, limit in figures["limit"].items():
        yield kind, f"{limit['rate']['median']:,.0f}", f"{limit['microseconds']['median']:.1f}"


def _around(spread: Mapping[str, float], form: str) -> str:
    return f"{spread['low']:{form}} to {spread['high']:{form}}"
