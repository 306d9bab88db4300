"""Finding rules without looking at all of them."""

from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.model import Subject
from authserver.policy.index import RuleIndex
from authserver.policy.rules import Condition, Pattern, Rule, read_pattern
from tests.policy.build import IDENTIFIER, rule, subject

_NAMES = st.sampled_from("abc")
_VALUES = st.sampled_from(["x", "y", "z", "xy"])
_GLOBS = st.sampled_from([{"glob": "x*"}, {"glob": "*y"}])
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
        each for each in rules if (each.source, each.resource) == (caller.source, resource) and each.matches(caller)
    ]
    assert list(RuleIndex(rules).matching(caller, resource)) == scan


@pytest.mark.slow
def test_a_decision_looks_at_few_of_a_hundred_thousand_rules() -> None:
    rules = [
        Rule(
            name=f"rule-{number}",
            source="cluster",
            conditions=(
                Condition("namespace", Pattern(frozenset({f"namespace-{number % 10}"}))),
                Condition("service_account", Pattern(frozenset({f"account-{number}"}))),
            ),
            resource=IDENTIFIER,
            scope=("images:read",),
            lifetime=None,
            enforced=True,
        )
        for number in range(100_000)
    ]
    attributes = Counted({"namespace": ("namespace-7",), "service_account": ("account-77777",)})
    caller = Subject("cluster", "somebody", attributes, credential_id="")
    found = RuleIndex(rules).matching(caller, IDENTIFIER)
    assert [each.name for each in found] == ["rule-77777"]
    assert attributes.looks < 10


def test_a_rule_that_a_caller_fits_twice_counts_once() -> None:
    twice = rule({"groups": ["a", "b"]})
    assert RuleIndex([twice]).matching(subject(groups=["b", "a"]), IDENTIFIER) == (twice,)


def test_a_rule_that_mixes_spellings_and_globs_is_found_by_either() -> None:
    mixed = rule({"ref": ["main", {"glob": "release-*"}]})
    for ref in ("main", "release-1"):
        assert RuleIndex([mixed]).matching(subject(ref=ref), IDENTIFIER) == (mixed,)
