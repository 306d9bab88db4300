"""Rules: what may be written, and whom it matches."""

from typing import Any

import pytest
from pydantic import ValidationError

from authserver.policy.rules import Difference, Rule
from tests.policy.build import rule, subject


def differences(a_rule: Rule, **attributes: Any) -> list[tuple[str, Difference]]:
    return [(each.attribute, each.difference) for each in a_rule.mismatches(subject(**attributes))]


def test_a_rule_matches_when_every_attribute_does() -> None:
    two = rule({"namespace": "media", "service_account": "thumbnailer"})
    assert two.matches(subject(namespace="media", service_account="thumbnailer", pod="other"))
    assert not two.matches(subject(namespace="media", service_account="other"))
    assert not two.matches(subject(namespace="other", service_account="thumbnailer"))


def test_a_missing_attribute_never_matches() -> None:
    assert not rule({"namespace": "media"}).matches(subject())
    assert not rule({"namespace": {"glob": "m*"}}).matches(subject(namespace=[]))


@pytest.mark.parametrize(
    ("written", "claimed"),
    [("media", "media"), (123, "123"), (-1, "-1"), (True, "true"), (False, "false"), ("0123", "0123")],
)
def test_a_value_is_equal_by_its_spelling(written: Any, claimed: str) -> None:
    assert rule({"a": written}).matches(subject(a=claimed))


@pytest.mark.parametrize(
    ("written", "claimed"),
    [("media", "Media"), ("media", "media "), ("media", "media\n"), (1, "true"), (True, "1"), (10, "010")],
)
def test_nothing_is_equal_that_is_spelled_otherwise(written: Any, claimed: str) -> None:
    assert not rule({"a": written}).matches(subject(a=claimed))


def test_a_list_matches_any_of_its_members() -> None:
    either = rule({"ref": ["refs/heads/main", {"glob": "refs/heads/release-*"}, 7]})
    for value in ("refs/heads/main", "refs/heads/release-1", "7"):
        assert either.matches(subject(ref=value))
    assert not either.matches(subject(ref="refs/heads/other"))


def test_a_claim_that_is_a_list_matches_if_any_member_does() -> None:
    assert rule({"groups": "admins"}).matches(subject(groups=["users", "admins"]))
    assert not rule({"groups": "admins"}).matches(subject(groups=["users", "superadmins"]))


def test_a_dangerous_attribute_must_be_spelled_out() -> None:
    dangerous = subject(event_name="pull_request_target", ref="main", named_only={"event_name": "pull_request_target"})
    assert rule({"event_name": "pull_request_target"}).matches(dangerous)
    assert rule({"event_name": ["push", "pull_request_target"]}).matches(dangerous)
    assert not rule({"ref": "main"}).matches(dangerous)
    assert not rule({"ref": ["main", "pull_request_target"]}).matches(dangerous)
    assert not rule({"event_name": {"glob": "pull_request*"}}).matches(dangerous)
    assert not rule({"event_name": ["push", {"glob": "pull_request*"}]}).matches(dangerous)


def test_a_rule_says_of_every_attribute_why_it_does_not_match() -> None:
    a_rule = rule({"namespace": "media", "service_account": {"glob": "thumb-*"}, "node": ["a", "b"]})
    assert differences(a_rule, namespace="other", node="a") == [
        ("namespace", Difference.UNEQUAL),
        ("service_account", Difference.MISSING),
    ]
    assert differences(a_rule, namespace="media", service_account="thumb-1", node="b") == []
    assert [str(each) for each in a_rule.mismatches(subject(namespace=["x", "y"], node="c"))] == [
        "namespace is 'x', 'y', and must be 'media'",
        "service_account is missing, and must be like 'thumb-*'",
        "node is 'c', and must be 'a' or 'b'",
    ]


def test_a_rule_says_which_dangerous_attribute_it_does_not_spell_out() -> None:
    dangerous = subject(ref="main", named_only={"event_name": "pull_request_target"})
    (mismatch,) = rule({"ref": "main"}).mismatches(dangerous)
    assert mismatch.difference is Difference.NOT_SPELLED_OUT
    assert str(mismatch) == "event_name is 'pull_request_target', which the rule does not spell out"


@pytest.mark.parametrize(
    "changes",
    [
        {"match": {}},
        {"match": {"a": []}},
        {"match": {"a": ""}},
        {"match": {"a": 1.5}},
        {"match": {"a": [["nested"]]}},
        {"match": {"a": {"glob": "*"}}},
        {"match": {"a": {"glob": 5}}},
        {"match": {"a": {"regex": ".*"}}},
        {"match": {"a": {"glob": "a*", "also": "b"}}},
        {"scope": []},
        {"scope": ["images:read", "images:read"]},
        {"scope": ["images read"]},
        {"scope": "images:read"},
        {"lifetime": "2h"},
        {"lifetime": "0s"},
        {"lifetime": 60},
        {"mode": "log"},
        {"name": ""},
        {"unknown": 1},
    ],
)
def test_what_a_rule_must_not_say_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rule(**changes)


@pytest.mark.parametrize("scope", ['a"b', "a\\b", "a b", "", "caf\u00e9", "a\x7f", "a\n"])
def test_a_rule_cannot_grant_a_scope_that_no_request_can_name(scope: str) -> None:
    """R24"""
    with pytest.raises(ValidationError):
        rule(scope=[scope])
