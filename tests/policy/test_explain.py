"""The explanation is of the decision that the policy makes, and what it suggests makes the other one."""

import tomllib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.errors import Reason, Refused
from authserver.model import Authorization, Subject
from authserver.policy.authorize import Policy
from authserver.policy.explain import explain
from authserver.policy.rules import Rule, RuleTable
from authserver.policy.suggest import Identifying, lacking, suggest, toml_string
from tests.policy.build import IDENTIFIER, IMAGES, policy, rule, subject

ATTRIBUTES = ["namespace", "node", "employment.type"]
ANY = Identifying(ATTRIBUTES, [frozenset((each,)) for each in ATTRIBUTES])
VALUES = st.sampled_from(["a", "b", "a/b", "refs/x", "A", "", '\x7f"\\\u202e\U0001f511'])
WANTED = st.one_of(VALUES.filter(bool), st.just({"glob": "refs/*"}), st.just(["a", "b"]))
SCOPES = ["images:read", "images:write", "images:delete"]


@st.composite
def rules(draw: st.DrawFn) -> list[Rule]:
    match = st.dictionaries(st.sampled_from(ATTRIBUTES), WANTED, min_size=1)
    scope = st.lists(st.sampled_from(SCOPES), min_size=1, unique=True)
    mode = st.sampled_from(["enforce", "audit"])
    source = st.sampled_from(["cluster", "cluster", "elsewhere"])
    lifetime = st.sampled_from([None, "5m"])
    drawn = draw(st.lists(st.tuples(match, scope, mode, source, lifetime), max_size=4))
    return [
        rule(match, name=f"rule-{number}", scope=scope, mode=mode, source=source, lifetime=lifetime)
        for number, (match, scope, mode, source, lifetime) in enumerate(drawn)
    ]


SUBJECTS = st.dictionaries(st.sampled_from(ATTRIBUTES), st.lists(VALUES, min_size=1, max_size=3)).map(
    lambda attributes: Subject("cluster", "somebody", {k: tuple(v) for k, v in attributes.items()}, "")
)
ASKED = st.one_of(st.none(), st.lists(st.sampled_from([*SCOPES, "images:paint"]), max_size=2).map(" ".join))


def decided(made: Policy, caller: Subject, scope: str | None) -> Any:
    try:
        return made.authorize(caller, IMAGES, scope)
    except Refused as refused:
        return type(refused), refused.reason, refused.facts


@given(rules(), SUBJECTS, ASKED)
def test_the_decision_is_the_policy_s_own(some: list[Rule], caller: Subject, scope: str | None) -> None:
    explanation = explain(policy(*some), caller, IMAGES, scope)
    decision = explanation.decision
    told = decision if isinstance(decision, Authorization) else (type(decision), decision.reason, decision.facts)
    assert told == decided(policy(*some), caller, scope)


@given(rules(), SUBJECTS, ASKED)
def test_a_rule_applies_if_and_only_if_it_matches(some: list[Rule], caller: Subject, scope: str | None) -> None:
    explanation = explain(policy(*some), caller, IMAGES, scope)
    for finding in explanation.findings:
        each = finding.rule
        assert finding.applies == (each.enforced and each.source == "cluster" and each.matches(caller))
    distances = [len(finding.differences) for finding in explanation.findings]
    assert distances == sorted(distances)


@given(rules(), SUBJECTS, ASKED)
def test_a_suggestion_admits_the_caller_to_what_it_asked_for_and_widens_nothing_else(
    some: list[Rule], caller: Subject, scope: str | None
) -> None:
    explanation = explain(policy(*some), caller, IMAGES, scope)
    text = suggest(explanation, ANY, {each.name for each in some})
    if text is None:
        return
    (table,) = tomllib.loads(text)["allow"]
    assert table["name"] not in {each.name for each in some}
    added = RuleTable.model_validate(table).compile()
    assert set(added.scope) == set(explanation.needed)
    assert isinstance(decided(policy(*some, added), caller, scope), Authorization)
    assert not added.matches(Subject("cluster", "else", dict.fromkeys(ATTRIBUTES, ("else",)), ""))


def test_what_was_wrong_is_suggested_away_only_where_a_rule_helps() -> None:
    made = policy(rule())
    for caller, scope, reason in (
        (subject(namespace="media"), None, Reason.SCOPE_MISSING),
        (subject(namespace="media"), "images:paint", Reason.SCOPE_UNKNOWN),
        (subject(namespace="other"), "images:paint", Reason.NO_RULE),
        (subject(), "images:read", Reason.NO_RULE),
    ):
        explanation = explain(made, caller, IMAGES, scope)
        assert explanation.refused is not None
        assert explanation.refused.reason is reason
        assert suggest(explanation, ANY, ()) is None


def test_the_nearest_rule_has_the_fewest_differences_and_then_the_first_name() -> None:
    made = policy(
        rule({"namespace": "x", "node": "y"}, name="far"),
        rule({"namespace": "x"}, name="near-b"),
        rule({"node": "y"}, name="near-a"),
        rule({"namespace": "media"}, name="of another source", source="elsewhere"),
    )
    explanation = explain(made, subject(namespace="media", node="n"), IMAGES, "images:read")
    assert [finding.rule.name for finding in explanation.findings] == ["near-a", "near-b", "far"]


def test_a_list_of_a_caller_is_pinned_by_the_member_that_the_nearest_rule_accepts() -> None:
    made = policy(rule({"groups": "editors", "node": "x"}))
    caller = subject(groups=["staff", "editors"], node="y", others=["a", "b"])
    text = suggest(explain(made, caller, IMAGES, "images:read"), identified_by("node"), ())
    assert text is not None
    assert tomllib.loads(text)["allow"][0]["match"] == {"groups": "editors", "node": "y"}


def test_what_must_be_spelled_out_is_spelled_out_with_a_caution() -> None:
    caller = subject(namespace="media", event_name="dangerous", named_only={"event_name": "dangerous"})
    text = suggest(
        explain(policy(rule()), caller, IMAGES, "images:read"), identified_by("namespace"), ("cluster-to-images",)
    )
    assert text is not None
    assert text.startswith('# event_name = "dangerous" is dangerous')
    table = tomllib.loads(text)["allow"][0]
    assert table["match"] == {"namespace": "media", "event_name": "dangerous"}
    assert (table["name"], table["resource"]) == ("cluster-to-images-2", IDENTIFIER)


def identified_by(*attributes: str) -> Identifying:
    return Identifying(attributes, [frozenset(attributes)])


def test_nothing_is_suggested_for_a_caller_of_whom_too_little_is_known_to_pin_one_workload() -> None:
    both = Identifying(("namespace", "node"), [frozenset(("namespace", "node")), frozenset(("uid",))])
    explanation = explain(policy(rule()), subject(namespace="batch"), IMAGES, "images:read")
    assert suggest(explanation, both, ()) is None
    assert str(lacking(explanation, both)).endswith("the caller lacks node, or uid")
    explanation = explain(policy(rule()), subject(namespace="batch", node="x"), IMAGES, "images:read")
    assert suggest(explanation, both, ())
    assert lacking(explanation, both) is None


@pytest.mark.parametrize(("resource", "wanted"), [("this server", "this-server"), ("a/b\t", "a-b"), ("é", "")])
def test_the_name_of_a_suggestion_is_a_plain_word(resource: str, wanted: str) -> None:
    odd = replace(IMAGES, name=resource)
    explanation = explain(policy(rule()), subject(namespace="batch"), odd, "images:read")
    text = suggest(explanation, identified_by("namespace"), ())
    assert text is not None
    assert tomllib.loads(text)["allow"][0]["name"] == f"cluster-to-{wanted}".strip("-")


@given(st.text())
def test_a_string_of_toml_reads_back_as_it_was_and_holds_nothing_unprintable(text: str) -> None:
    written = toml_string(text)
    assert written.isprintable()
    assert tomllib.loads(f"x = {written}") == {"x": text}


@pytest.mark.parametrize("source", ["cluster", "elsewhere"])
def test_rules_elsewhere_are_looked_at_only_where_there_are_none_here(source: str) -> None:
    made = policy(rule(source=source, name="here"), rule(resource="https://other.example.com", name="there"))
    explanation = explain(made, subject(namespace="nobody"), IMAGES, "images:read")
    names = {"cluster": ["here"], "elsewhere": ["here", "there"]}[source]
    assert sorted(finding.rule.name for finding in explanation.findings) == names
