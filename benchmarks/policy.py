"""How much longer a decision takes when there are many rules.

Run it with ``python -m benchmarks.policy``. For policies of several shapes, each with 10 to 100,000 rules, it prints as
JSON how many microseconds of processor time a decision takes, and the ratio of the most rules to the fewest, which
should be no more than 1.5. A decision is what the server asks for each token: what the rules grant, and what those in
audit mode would have. The callers are spread over the rules, each rule admits one of them, and each time is the least
of some rounds, in which the sizes take turns.

In the shapes under ``scanned`` the rules say nothing that could be looked up: what differs is in the middle of a glob.
There the time grows with the rules. They are here to show it, and have fewer rules.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from authserver.model import Resource, Subject
from authserver.policy.authorize import Policy
from authserver.policy.rules import RuleTable

SIZES: Final = (10, 100, 1_000, 10_000, 100_000)
GOAL: Final = 1.5
ROUNDS: Final = 15
CALLERS: Final = 10
REPEATS: Final = 20

RESOURCE: Final = "https://images.example.com"
SCOPE: Final = "images:read"

Made = tuple[Mapping[str, Any], str, str, Mapping[str, str]]
"""What a rule asks for, its source and resource, and the attributes of a caller that it admits."""

Shape = Callable[[int], Made]
"""A rule, and its caller, by number."""


def in_one(match: Mapping[str, Any], attributes: Mapping[str, str]) -> Made:
    """A rule of the one source for the one resource."""
    return match, "cluster", RESOURCE, attributes


def resources(number: int) -> Made:
    """One source, and a resource for each rule."""
    return {"namespace": "media"}, "cluster", f"https://service-{number}.example.com", {"namespace": "media"}


def sources(number: int) -> Made:
    """A source for each rule, and one resource."""
    return {"namespace": "media"}, f"cluster-{number}", RESOURCE, {"namespace": "media"}


def values(number: int) -> Made:
    """A value of the same attribute for each rule."""
    named = {"namespace": f"namespace-{number}"}
    return in_one(named, named)


def pairs(number: int) -> Made:
    """Two attributes, of which neither alone tells the rules apart."""
    named = {"namespace": f"namespace-{number // 300}", "service_account": f"account-{number % 300}"}
    return in_one(named, named)


def beside(number: int) -> Made:
    """What all rules share, beside what each has alone."""
    named = {"environment": "production", "repository": f"example/repository-{number}"}
    return in_one(named, named)


def lists(number: int) -> Made:
    """Three values, any of which will do."""
    return in_one({"namespace": [f"{name}-{number}" for name in "abc"]}, {"namespace": f"b-{number}"})


def beginnings(number: int) -> Made:
    """Globs that differ in what stands before the star."""
    return in_one({"ref": {"glob": f"refs/heads/team-{number}-*"}}, {"ref": f"refs/heads/team-{number}-fix"})


def ends(number: int) -> Made:
    """Globs that differ in what stands after the star, beside what all rules share."""
    match = {"environment": "production", "ref": {"glob": f"refs/heads/*-{number}"}}
    return in_one(match, {"environment": "production", "ref": f"refs/heads/fix-{number}"})


def lengths(number: int) -> Made:
    """Globs whose beginnings are of twenty lengths, as names of teams are."""
    team = f"{number}-{'x' * (number % 20)}"
    return in_one({"ref": {"glob": f"refs/heads/{team}-*"}}, {"ref": f"refs/heads/{team}-fix"})


def middles(number: int) -> Made:
    """Globs that differ between two stars."""
    return in_one({"ref": {"glob": f"refs/*-{number}-*"}}, {"ref": f"refs/team-{number}-fix"})


INDEXED: Final[Sequence[Shape]] = (resources, sources, values, pairs, beside, lists, beginnings, ends, lengths)
SCANNED: Final[Sequence[Shape]] = (middles,)


def main() -> None:
    """Measure every shape, and print what was found."""
    indexed = {shape.__name__: measured(shape, SIZES) for shape in INDEXED}
    scanned = {shape.__name__: measured(shape, SIZES[:3]) for shape in SCANNED}
    worst = max(each["ratio"] for each in indexed.values())
    print(json.dumps({"microseconds": indexed, "scanned": scanned, "worst": worst, "goal": GOAL}, indent=2))


def measured(shape: Shape, sizes: Sequence[int]) -> dict[str, float]:
    """Microseconds for a decision by the number of rules, and the ratio of the most rules to the fewest."""
    decisions = {size: decision(shape, size) for size in sizes}
    least = dict.fromkeys(sizes, float("inf"))
    for _ in range(ROUNDS):
        for size, decide in decisions.items():
            least[size] = min(least[size], seconds(decide))
    found = {str(size): round(took * 1e6, 2) for size, took in least.items()}
    return {**found, "ratio": round(least[sizes[-1]] / least[sizes[0]], 2)}


def decision(shape: Shape, size: int) -> Callable[[], None]:
    """One decision for each of some callers, by a policy with so many rules."""
    policy = Policy(
        (rule.compile() for rule in map(table, map(shape, range(size)))),
        {resource.identifier: resource for resource in map(resource_of, {RESOURCE, *identifiers(shape, size)})},
        3600,
    )
    asked = [(subject(made), resource_of(made[2])) for made in map(shape, range(0, size, size // CALLERS))]

    def decide() -> None:
        for caller, resource in asked:
            policy.would_allow(caller, resource, SCOPE)
            if len(policy.authorize(caller, resource, SCOPE).rules) != 1:
                raise SystemExit(f"{shape.__name__}: a caller is not admitted by one rule")

    return decide


def seconds(decide: Callable[[], None]) -> float:
    """Processor time for one decision of one caller."""
    started = time.process_time()
    for _ in range(REPEATS):
        decide()
    return (time.process_time() - started) / REPEATS / CALLERS


def table(made: Made) -> RuleTable:
    """A rule as a configuration has it."""
    match, source, resource, _ = made
    return RuleTable.model_validate(
        {"name": "a-rule", "source": source, "match": dict(match), "resource": resource, "scope": [SCOPE]}
    )


def identifiers(shape: Shape, size: int) -> Iterable[str]:
    """The resources of all rules."""
    return (shape(number)[2] for number in range(size))


def resource_of(identifier: str) -> Resource:
    """A resource with the one scope."""
    return Resource("images", identifier, frozenset({SCOPE}), (), "ES256")


def subject(made: Made) -> Subject:
    """The caller that a rule admits."""
    _, source, _, attributes = made
    return Subject(source, "somebody", {name: (value,) for name, value in attributes.items()}, credential_id="")


if __name__ == "__main__":
    main()
