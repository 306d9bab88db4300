"""Policy tests: run by the engine that decides, with a difference that can be read."""

from typing import Any

import pytest
from pydantic import ValidationError

from authserver.errors import Reason
from authserver.policy.expect import ExpectTable, Verdict
from authserver.policy.rules import Rule
from tests.policy.build import IDENTIFIER, policy, rule


def verdict(*rules: Rule, named_only: dict[str, str] | None = None, **changes: Any) -> Verdict:
    table = {
        "name": "a case",
        "source": "cluster",
        "claims": {"namespace": "media"},
        "resource": IDENTIFIER,
        "scope": ["images:read"],
        "decision": "allow",
        **changes,
    }
    return ExpectTable.model_validate(table).compile(named_only or {}).run(policy(*rules))


def test_an_expected_decision_passes() -> None:
    assert verdict(rule()).passed
    assert verdict(decision="deny").passed


def test_an_unexpected_grant_fails_and_names_the_rules() -> None:
    failed = verdict(rule(name="too-wide"), decision="deny")
    assert not failed.passed
    assert failed.reason is None
    assert failed.explanation == "allowed images:read, by 'too-wide'"


def test_an_unexpected_denial_fails_and_names_the_nearest_rule() -> None:
    far = rule({"namespace": "other", "node": "n"}, name="far")
    near = rule({"namespace": "media", "node": "n"}, name="near")
    failed = verdict(far, near)
    assert not failed.passed
    assert failed.reason is Reason.NO_RULE
    assert failed.explanation == "denied, no rule matches; nearest is 'near', but node is missing, and must be 'n'"


def test_a_denial_where_no_rule_is_in_question_says_so() -> None:
    assert verdict(rule(source="other")).explanation == "denied, no rule is about this source and this resource"


def test_a_denied_scope_is_named_beside_what_would_have_been_granted() -> None:
    failed = verdict(rule(), scope=["images:read", "images:write"])
    assert failed.reason is Reason.SCOPE_NOT_ALLOWED
    assert failed.explanation == "denied, images:write is beyond what the rules grant, which is images:read"


def test_a_case_that_asks_for_nothing_is_denied_where_there_is_no_default() -> None:
    failed = verdict(rule(), scope=[])
    assert failed.reason is Reason.SCOPE_MISSING
    assert failed.explanation == "denied, because of the scope (scope_missing)"


def test_a_rule_in_audit_mode_makes_no_case_pass() -> None:
    assert not verdict(rule(mode="audit")).passed


def test_claims_are_spelled_as_a_caller_would_have_them() -> None:
    assert verdict(
        rule({"id": 12, "ok": True, "groups": "b"}), claims={"id": "12", "ok": True, "groups": ["a", "b"]}
    ).passed


def test_a_dangerous_attribute_counts_in_a_case_as_it_does_for_a_caller() -> None:
    claims = {"ref": "main", "event_name": "pull_request_target"}
    named_only = {"event_name": "pull_request_target"}
    assert verdict(rule({"ref": "main"}), claims=claims, named_only=named_only, decision="deny").passed
    assert verdict(rule({"event_name": "pull_request_target"}), claims=claims, named_only=named_only).passed


@pytest.mark.parametrize(
    "changes",
    [
        {"decision": "maybe"},
        {"claims": {"a": {"b": 1}}},
        {"claims": {"a": 1.5}},
        {"claims": {"a": ""}},
        {"scope": ["a b"]},
    ],
)
def test_what_a_case_must_not_say_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        verdict(**changes)
