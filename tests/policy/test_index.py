"""Finding rules without looking at all of them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.model import Subject
from authserver.policy.index import RuleIndex
from authserver.policy.rules import Condition, Rule, read_pattern
from tests.policy.build import IDENTIFIER, rule, subject

_NAMES = st.sampled_from("abc")
_VALUES = st.sampled_from(["x", "y", "z", "xy"])
_GLOBS = st.sampled_from([{"glob": "x*"}, {"glob": "*y"}, {"glob": "x*y"}, {"glob": "*x*"}])
_PATTERNS = st.lists(st.one_of(_VALUES, _GLOBS), min_size=1, max_size=3).map(read_pattern)
_RULES = st.lists(
    st.builds(
        lambda match, source, resource: Rule(
            "r", source, tuple(Condition(*each) for each in match.items()), resource, ("s",), None, True
        ),
        match=st.dictionaries(_NAMES, _PATTERNS, min_size=1),
        source=st.sampled_from(["one", "two"]),
        resource=st.sampled_from(["r1", "r2"]),
    ),
    max_size=12,
)
_SUBJECTS = st.builds(
    lambda source, attributes: Subject(source, "somebody", attributes, credential_id=""),
    source=st.sampled_from(["one", "two", "three"]),
    attributes=st.dictionaries(_NAMES, st.lists(_VALUES, max_size=3).map(tuple)),
)


class Counted(Mapping[str, tuple[str, ...]]):
    """Attributes that know how often they were looked at."""

    def __init__(self, attributes: Mapping[str, tuple[str, ...]]) -> None:
        self.attributes = attributes
        self.looks = 0

    def __getitem__(self, name: str) -> tuple[str, ...]:
        self.looks += 1
        return self.attributes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.attributes)

    def __len__(self) -> int:
        return len(self.attributes)


@given(rules=_RULES, caller=_SUBJECTS, resource=st.sampled_from(["r1", "r2", "r3"]))
def test_the_index_finds_exactly_the_rules_that_a_scan_would_find(
    rules: list[Rule], caller: Subject, resource: str
) -> None:
    scan = [
        each
        for each in rules
        if (each.source, each.resource) == (caller.source, resource) and not list(each.mismatches(caller))
    ]
    assert list(RuleIndex(rules).matching(caller, resource)) == scan


SHAPES: Mapping[str, tuple[Callable[[int], Mapping[str, Any]], Mapping[str, str]]] = {
    "one name": (
        lambda n: {"namespace": f"namespace-{n % 10}", "service_account": f"account-{n}"},
        {"namespace": "namespace-7", "service_account": "account-7"},
    ),
    "two names, neither of them rare": (
        lambda n: {"namespace": f"namespace-{n % 100}", "service_account": f"account-{n // 100}"},
        {"namespace": "namespace-7", "service_account": "account-0"},
    ),
    "a name among several": (
        lambda n: {"namespace": "media", "service_account": [f"account-{n}", f"old-account-{n}"]},
        {"namespace": "media", "service_account": "old-account-7"},
    ),
    "lists that cannot be multiplied": (
        lambda n: {"namespace": [f"{part}-{n}" for part in range(70)], "environment": ["live", "test"]},
        {"namespace": "69-7", "environment": "live"},
    ),
    "globs that differ where they begin": (
        lambda n: {"namespace": "media", "service_account": {"glob": f"account-{n}-*"}},
        {"namespace": "media", "service_account": "account-7-a"},
    ),
    "globs that differ where they end": (
        lambda n: {"namespace": {"glob": f"*-{n}"}},
        {"namespace": "media-7"},
    ),
    "one glob for all, and a name": (
        lambda n: {"repository_id": n, "ref": {"glob": "refs/heads/release-*"}},
        {"repository_id": "7", "ref": "refs/heads/release-1"},
    ),
    "one glob in the middle for all, and a name": (
        lambda n: {"repository_id": n, "ref": {"glob": "*release*"}},
        {"repository_id": "7", "ref": "a-release-1"},
    ),
    "names or globs": (
        lambda n: {"service_account": [f"account-{n}", {"glob": f"account-{n}-*"}]},
        {"service_account": "account-7-a"},
    ),
    "another source each": (
        lambda n: {"source": "cluster" if n == 7 else f"cluster-{n}", "namespace": "media"},
        {"namespace": "media"},
    ),
    "another resource each": (
        lambda n: {"resource": IDENTIFIER if n == 7 else f"{IDENTIFIER}/{n}", "namespace": "media"},
        {"namespace": "media"},
    ),
}
"""How many rules may differ: what the one with a number matches, and a caller that fits the seventh."""


def made(number: int, *, source: str = "cluster", resource: str = IDENTIFIER, **match: Any) -> Rule:
    conditions = tuple(Condition(attribute, read_pattern(value)) for attribute, value in match.items())
    return Rule(f"rule-{number}", source, conditions, resource, ("images:read",), None, True)


def looks(shape: str, rules: int) -> int:
    """How often a decision looks at an attribute of the caller, be it to find rules or to apply them."""
    matched, attributes = SHAPES[shape]
    counted = Counted({name: (value,) for name, value in attributes.items()})
    index = RuleIndex(made(number, **matched(number)) for number in range(rules))
    found = index.matching(Subject("cluster", "somebody", counted, credential_id=""), IDENTIFIER)
    assert [each.name for each in found] == ["rule-7"]
    return counted.looks


@pytest.mark.parametrize("shape", SHAPES)
def test_a_decision_looks_at_as_few_of_many_rules_as_of_ten(shape: str) -> None:
    """Numbers have one digit more in each tenfold, and the ends of globs so many lengths; each is one more look."""
    assert looks(shape, 10) <= 6
    assert looks(shape, 200) <= looks(shape, 10) + 2


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["two names, neither of them rare", "globs that differ where they begin"])
def test_a_decision_looks_at_few_of_a_hundred_thousand_rules(shape: str) -> None:
    assert looks(shape, 100_000) <= looks(shape, 10) + 4


def test_what_nothing_can_be_looked_up_by_is_looked_at_for_each_caller() -> None:
    rules = [made(number, namespace={"glob": f"*-{number}-*"}) for number in range(20)]
    assert RuleIndex(rules).matching(subject(namespace="a-7-b"), IDENTIFIER) == (rules[7],)


def test_a_rule_that_a_caller_fits_twice_counts_once() -> None:
    twice = rule({"groups": ["a", "b"]})
    assert RuleIndex([twice]).matching(subject(groups=["b", "a"]), IDENTIFIER) == (twice,)


def test_a_rule_that_mixes_spellings_and_globs_is_found_by_either() -> None:
    mixed = rule({"ref": ["main", {"glob": "release-*"}]})
    for ref in ("main", "release-1"):
        assert RuleIndex([mixed]).matching(subject(ref=ref), IDENTIFIER) == (mixed,)


def test_a_caller_with_many_values_is_looked_at_no_oftener_than_there_are_looks() -> None:
    """What a group or a role is called, a user may decide: many that begin alike must not be multiplied."""
    match = {name: {"glob": f"{name}-*"} for name in ("groups", "roles", "teams")}
    counted = Counted({name: tuple(f"{name}-{number}" for number in range(8)) for name in match})
    caller = Subject("cluster", "somebody", counted, credential_id="")
    assert RuleIndex([rule(match)]).matching(caller, IDENTIFIER) == (rule(match),)
    assert counted.looks == 2 * len(match), "one to find the rule, and one to apply it"
