"""The decision."""

from dataclasses import replace

import pytest

from authserver.errors import CallerNotAdmitted, Reason, Refused, ScopeRefused
from authserver.policy.authorize import Policy
from tests.policy.build import IDENTIFIER, IMAGES, policy, rule, subject

MEDIA = subject(namespace="media")


def refusal(a_policy: Policy, scope: str | None, caller: object = MEDIA) -> Refused:
    with pytest.raises(Refused) as caught:
        a_policy.authorize(caller, IMAGES, scope)  # type: ignore[arg-type]
    return caught.value


def test_a_caller_gets_what_a_matching_rule_grants() -> None:
    granted = policy(rule(name="readers", lifetime="15m")).authorize(MEDIA, IMAGES, "images:read")
    assert (granted.subject, granted.resource) == (MEDIA, IMAGES)
    assert (granted.scope, granted.lifetime, granted.rules) == (("images:read",), 900, ("readers",))


def test_a_missing_policy_means_nobody() -> None:
    """octo-sts: a missing allow-list meant everyone."""
    refused = refusal(policy(), "images:read")
    assert isinstance(refused, CallerNotAdmitted)
    assert refused.reason is Reason.NO_RULE


@pytest.mark.parametrize("caller", [subject(namespace="other"), subject(), subject(source="other", namespace="media")])
def test_a_caller_that_no_rule_matches_gets_nothing(caller: object) -> None:
    assert refusal(policy(rule()), "images:read", caller).reason is Reason.NO_RULE


def test_the_same_claims_from_another_source_are_somebody_else() -> None:
    """R93: pypi/warehouse: a custom issuer forged the claims of a well-known one."""
    a_policy = policy(rule(source="cluster"), rule(name="b", source="forge", match={"namespace": "x"}))
    assert refusal(a_policy, "images:read", subject(source="forge", namespace="media")).reason is Reason.NO_RULE


def test_a_rule_for_another_resource_admits_nobody_here() -> None:
    """R30"""
    other = replace(IMAGES, name="other", identifier="https://other.example.com")
    a_policy = policy(rule(resource=other.identifier), resources=(IMAGES, other))
    assert refusal(a_policy, "images:read").reason is Reason.NO_RULE
    assert a_policy.authorize(MEDIA, other, "images:read").resource is other


def test_whether_a_caller_is_admitted_comes_before_what_it_asks_for() -> None:
    for scope in (None, "no such", 'mal"formed'):
        assert refusal(policy(), scope).reason is Reason.NO_RULE


def test_scopes_of_several_rules_add_up() -> None:
    a_policy = policy(rule(name="read"), rule(name="write", scope=["images:write"]))
    granted = a_policy.authorize(MEDIA, IMAGES, "images:write images:read")
    assert granted.scope == ("images:write", "images:read")
    assert granted.rules == ("read", "write")


def test_the_shortest_lifetime_among_the_granting_rules_wins() -> None:
    a_policy = policy(
        rule(name="read", lifetime="20m"),
        rule(name="read-too", lifetime="10m"),
        rule(name="write", scope=["images:write"], lifetime="5m"),
        lifetime=1800,
    )
    assert a_policy.authorize(MEDIA, IMAGES, "images:read").lifetime == 600
    assert a_policy.authorize(MEDIA, IMAGES, "images:read").rules == ("read", "read-too")
    assert a_policy.authorize(MEDIA, IMAGES, "images:read images:write").lifetime == 300


def test_no_rule_gives_more_than_the_lifetime_of_the_policy() -> None:
    """R58"""
    assert policy(rule(), lifetime=1800).authorize(MEDIA, IMAGES, "images:read").lifetime == 1800
    assert policy(rule(lifetime="1h"), lifetime=1800).authorize(MEDIA, IMAGES, "images:read").lifetime == 1800


def test_a_scope_beyond_the_rules_is_refused_and_never_dropped() -> None:
    refused = refusal(policy(rule()), "images:read images:write")
    assert isinstance(refused, ScopeRefused)
    assert refused.reason is Reason.SCOPE_NOT_ALLOWED
    assert refused.facts == {"refused": ("images:write",), "allowed": ("images:read",)}


def test_a_scope_that_the_resource_does_not_have_is_unknown() -> None:
    refused = refusal(policy(rule()), "images:read images:paint")
    assert refused.reason is Reason.SCOPE_UNKNOWN
    assert refused.facts == {"unknown": ("images:paint",)}


@pytest.mark.parametrize("scope", ["*", "images:*", "images:read,images:write", "IMAGES:READ"])
def test_there_is_no_scope_that_means_everything(scope: str) -> None:
    """R49: what is unknown is never unlimited."""
    assert refusal(policy(rule()), scope).reason is Reason.SCOPE_UNKNOWN


@pytest.mark.parametrize(
    "scope",
    [" ", " images:read", "images:read ", "images:read  images:write", 'images:"read', "images\\read", "images:read\n",
     "images:read\timages:write", "caf\u00e9", "\x00", "\x7f", "\ud800"],
)  # fmt: skip
def test_a_malformed_scope_is_refused(scope: str) -> None:
    """R24"""
    refused = refusal(policy(rule()), scope)
    assert isinstance(refused, ScopeRefused)
    assert refused.reason is Reason.SCOPE_MALFORMED
    assert not refused.facts


def test_every_character_that_rfc_6749_allows_may_be_in_a_scope() -> None:
    """R24"""
    allowed = "!" + "".join(map(chr, range(0x23, 0x5C))) + "".join(map(chr, range(0x5D, 0x7F)))
    resource = replace(IMAGES, scopes=frozenset({allowed}))
    assert policy(rule(scope=[allowed])).authorize(MEDIA, resource, allowed).scope == (allowed,)


def test_a_repeated_scope_counts_once_and_the_order_of_the_request_is_kept() -> None:
    a_policy = policy(rule(scope=["images:read", "images:write"]))
    granted = a_policy.authorize(MEDIA, IMAGES, "images:write images:read images:write")
    assert granted.scope == ("images:write", "images:read")


@pytest.mark.parametrize("scope", [None, ""])
def test_a_scope_must_be_asked_for_unless_the_resource_has_default_scopes(scope: str | None) -> None:
    assert refusal(policy(rule()), scope).reason is Reason.SCOPE_MISSING
    resource = replace(IMAGES, default_scopes=("images:read",))
    assert policy(rule()).authorize(MEDIA, resource, scope).scope == ("images:read",)


def test_default_scopes_are_granted_by_rules_like_any_other() -> None:
    resource = replace(IMAGES, default_scopes=("images:read", "images:write"))
    with pytest.raises(ScopeRefused) as caught:
        policy(rule()).authorize(MEDIA, resource, None)
    assert caught.value.reason is Reason.SCOPE_NOT_ALLOWED


def test_a_rule_in_audit_mode_grants_nothing() -> None:
    audited = rule(mode="audit", scope=["images:read", "images:write"], lifetime="1m")
    assert refusal(policy(audited), "images:read").reason is Reason.NO_RULE
    both = policy(rule(name="enforced"), audited)
    assert refusal(both, "images:write").reason is Reason.SCOPE_NOT_ALLOWED
    granted = both.authorize(MEDIA, IMAGES, "images:read")
    assert (granted.lifetime, granted.rules) == (3600, ("enforced",))


@pytest.mark.parametrize("enforced", [(), (rule(name="enforced"),)])
def test_a_rule_in_audit_mode_is_named_whatever_the_decision_is(enforced: tuple[object, ...]) -> None:
    a_policy = policy(*enforced, rule(name="tried", mode="audit"))  # type: ignore[arg-type]
    assert a_policy.would_allow(MEDIA, IMAGES, "images:read") == ("tried",)
    assert a_policy.would_allow(MEDIA, IMAGES, "images:write images:read") == ("tried",)


@pytest.mark.parametrize("scope", ["images:write", None, "", 'mal"formed', "images:paint"])
def test_a_rule_in_audit_mode_is_not_named_when_it_has_nothing_that_was_asked_for(scope: str | None) -> None:
    assert policy(rule(name="tried", mode="audit")).would_allow(MEDIA, IMAGES, scope) == ()


def test_a_rule_in_audit_mode_is_not_named_for_somebody_else() -> None:
    a_policy = policy(rule(name="tried", mode="audit"), rule(name="enforced"))
    assert a_policy.would_allow(subject(namespace="other"), IMAGES, "images:read") == ()


def test_a_rule_in_audit_mode_is_named_for_default_scopes_too() -> None:
    resource = replace(IMAGES, default_scopes=("images:read",))
    assert policy(rule(name="tried", mode="audit")).would_allow(MEDIA, resource, None) == ("tried",)


def test_every_rule_stays_visible_in_the_order_it_was_written() -> None:
    rules = (rule(name="b"), rule(name="a", mode="audit"), rule(name="c", resource=IDENTIFIER + "/x"))
    assert policy(*rules).rules == rules
