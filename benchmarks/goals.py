"""What was to be reached, and whether it was: the first table of docs/explanation/performance.md."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.issuing.contenders import DPOP, ES256, JWKS, METADATA
from benchmarks.issuing.many_devices import KNOWN, NEW
from benchmarks.issuing.oidc_provider import NAME as PEER
from benchmarks.issuing.ours import GRANIAN, GUNICORN, SQLITE, VALKEY, VALKEY_EVERY_SECOND
from benchmarks.verification import AGAIN, BARE, OURS

Figures = Mapping[str, Any]
Find = Callable[[Figures], float | None]
"""What finds a value among the figures, or None where it was not measured."""


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison. ``of`` finds the value; ``said`` is how it is told.

    The value must be at least ``least`` and at most ``most``, where they are given.
    """

    said: str
    of: Find
    least: float | None = None
    most: float | None = None

    def told(self, figures: Figures) -> str:
        """The value in words."""
        value = self.of(figures)
        return "not measured" if value is None else self.said.format(value)

    def reached(self, figures: Figures) -> bool | None:
        """Whether the value is as it should be; None where it was not measured."""
        value = self.of(figures)
        if value is None:
            return None
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(frozen=True, slots=True)
class Goal:
    """A row of the table: what is measured, the goal in words, and the comparisons that it consists of."""

    what: str
    goal: str
    checks: tuple[Check, ...]

    def row(self, figures: Figures) -> str:
        """The row."""
        told = "; ".join(dict.fromkeys(check.told(figures) for check in self.checks))
        return f"| {self.what} | {self.goal} | {told} | {self.verdict(figures)} |"

    def verdict(self, figures: Figures) -> str:
        """Whether all of it was reached."""
        results = [check.reached(figures) for check in self.checks]
        if False in results:
            return "**missed**"
        return "not measured" if None in results else "reached"


def table(figures: Figures) -> str:
    """Every goal, with what was measured."""
    rows = [goal.row(figures) for goal in GOALS]
    return "\n".join(["| what | goal | measured | |", "|---|---|---|---|", *rows])


def figure(*path: str) -> Find:
    """What finds the value at a place of the figures, or the median of what is there."""

    def find(figures: Figures) -> float | None:
        found: Any = figures
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        found = found.get("median") if isinstance(found, Mapping) else found
        return found if isinstance(found, int | float) else None

    return find


def ratio(one: Find, other: Find) -> Find:
    """What finds how often another value goes into one; None where either was not measured."""

    def find(figures: Figures) -> float | None:
        value, base = one(figures), other(figures)
        return None if value is None or not base else value / base

    return find


def verified(name: str, algorithm: str = "ES256") -> Find:
    """Microseconds of a verification."""
    return figure("verification", "microseconds", algorithm, name)


def added(name: str, kind: str, how: str = "http") -> Find:
    """Microseconds that protection adds to a request."""
    return figure("protected", how, name, kind)


def issued(what: str, kind: str, server: str) -> Find:
    """Something of issuing."""
    return figure("issuing", what, kind, server)


def ours(server: str, store: str = SQLITE) -> str:
    """What our server is called where it issues."""
    return f"{OURS}, {server}, {store}"


def with_valkey(store: str) -> Find:
    """How often device tokens with SQLite go into those with a Valkey."""
    return ratio(issued("rate", DPOP, ours(GRANIAN, store)), issued("rate", DPOP, ours(GRANIAN)))


def document(kind: str, server: str) -> Find:
    """How often a static answer of Flask's goes into ours of the same bytes."""
    return ratio(issued("rate", kind, ours(server)), issued("rate", kind, f"Flask, static, {server}"))


def among_devices(kind: str) -> Find:
    """How often the time of a token among a hundred devices goes into that among a million."""
    return ratio(figure("devices", "microseconds", kind, "1000000"), figure("devices", "microseconds", kind, "100"))


GOALS: Final = (
    Goal(
        "workload exchange, ES256, everything on, one core, gunicorn",
        "at least 1.3 times oidc-provider's `private_key_jwt`",
        (Check("{:.2f} times", figure("issuing", "peer", "rate", ES256, ours(GUNICORN)), least=1.3),),
    ),
    Goal(
        "the same on granian",
        "at least 2.0 times oidc-provider, and 35 % of what the signatures alone allow",
        (
            Check("{:.2f} times", figure("issuing", "peer", "rate", ES256, ours(GRANIAN)), least=2.0),
            Check(
                "{:.0%} of the limit",
                ratio(issued("rate", ES256, ours(GRANIAN)), figure("issuing", "limit", ES256, "rate")),
                least=0.35,
            ),
        ),
    ),
    Goal(
        "device token (`private_key_jwt` and DPoP, SQLite), granian",
        "at least 1.0 times oidc-provider without DPoP, and 1.5 times its own with DPoP",
        (
            Check("{:.2f} times", figure("issuing", "peer", "rate", DPOP, ours(GRANIAN)), least=1.0),
            Check(
                "{:.2f} times its own with DPoP",
                ratio(issued("rate", DPOP, ours(GRANIAN)), issued("rate", DPOP, PEER)),
                least=1.5,
            ),
        ),
    ),
    Goal(
        "the same with Valkey, synced to disk before it answers",
        "at least 0.7 times SQLite",
        (
            Check("{:.2f} times", with_valkey(VALKEY), least=0.7),
            Check("{:.2f} times when synced every second", with_valkey(VALKEY_EVERY_SECOND)),
        ),
    ),
    Goal(
        "two worker processes, gunicorn",
        "at least 1.8 times one, the load generator's share taken off",
        (Check("{:.2f} times", figure("footprint", "workers", GUNICORN, "scaling"), least=1.8),),
    ),
    Goal(
        "first verification of a token, ES256",
        "at most 1.25 times the bare signature; below joserfc, PyJWT and node's jose",
        (
            Check("{:.2f} times the bare signature", ratio(verified(OURS), verified(BARE)), most=1.25),
            Check("{:.2f} of joserfc", ratio(verified(OURS), verified("joserfc")), most=1.0),
            Check("{:.2f} of PyJWT", ratio(verified(OURS), verified("PyJWT")), most=1.0),
            Check("{:.2f} of jose", ratio(verified(OURS), verified("jose")), most=1.0),
        ),
    ),
    Goal(
        "further verifications of the same token",
        "at most 3 µs, and 30 times faster than PyJWT",
        (
            Check("{:.1f} µs", verified(OURS + AGAIN), most=3.0),
            Check("{:.0f} times faster", ratio(verified("PyJWT"), verified(OURS + AGAIN)), least=30),
        ),
    ),
    Goal(
        "what `requires()` adds to a Flask request with a known token",
        "at most 10 µs in process, and a tenth of what Authlib's protector adds over HTTP",
        (
            Check("{:.1f} µs in process", added(OURS, "again", "called"), most=10),
            Check(
                "{:.2f} of Authlib's",
                ratio(added(f"Flask, {OURS}", "again"), added("Flask, Authlib", "again")),
                most=0.1,
            ),
        ),
    ),
    Goal(
        "key set and metadata, gunicorn",
        "at least 0.9 times a static answer of Flask's of the same size",
        (
            Check("key set {:.2f} times", document(JWKS, GUNICORN), least=0.9),
            Check("metadata {:.2f} times", document(METADATA, GUNICORN), least=0.9),
        ),
    ),
    Goal(
        "memory of a worker, gunicorn",
        "at most 60 MB at rest, and flat",
        (
            Check("{:.0f} MB at rest", figure("footprint", "memory", GUNICORN, "rest"), most=60),
            Check(
                "{:.2f} times what it is when warm",
                ratio(
                    figure("footprint", "memory", GUNICORN, "after"), figure("footprint", "memory", GUNICORN, "warm")
                ),
                most=1.05,
            ),
            Check("after {:,.0f} tokens", figure("footprint", "memory", GUNICORN, "tokens"), least=1e6),
        ),
    ),
    Goal(
        "cold start to the first token, gunicorn",
        "at most 1.0 s",
        (Check("{:.2f} s", figure("footprint", "start", GUNICORN), most=1.0),),
    ),
    Goal(
        "a million devices in the store",
        "the latency of a token within 1.3 times that with a hundred",
        (
            Check("{:.2f} times for a device that asked before", among_devices(KNOWN), most=1.3),
            Check("{:.2f} times for one that asks first", among_devices(NEW), most=1.3),
        ),
    ),
    Goal(
        "100,000 rules in the policy",
        "a decision within 1.5 times one with 10, for rules that can be looked up",
        (Check("{:.2f} times at worst", figure("policy", "worst"), most=1.5),),
    ),
)
