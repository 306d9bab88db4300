"""``authserver explain``: its options, the spellings of claims, and what it prints."""

import json
from pathlib import Path
from typing import Any

import pytest

from authserver.settings import load
from authserver.testing.claims import kubernetes_claims
from tests import leaks, vectors
from tests.explain.commands import explained, run
from tests.explain.denials import AUDIENCE, CONFIGURATION, IMAGES, PROD, REPORTS, pod
from tests.oracle import identity, make_key, sign

READS = ("--source", "prod", "--resource", IMAGES, "--scope", "images:read")


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    file = tmp_path / "authserver.toml"
    file.write_text(CONFIGURATION, encoding="utf-8")
    return file


def test_a_claim_set_and_attributes_are_told_apart_by_the_issuer(configuration: Path) -> None:
    whole = explained(configuration, *READS, claims=pod("media", "thumbnailer"))
    assert whole["caller"]["sub"] == "prod:system:serviceaccount:media:thumbnailer"
    flat = explained(configuration, *READS, claims={"namespace": "media", "service_account": "thumbnailer"})
    assert flat["caller"]["sub"] is None
    for found in (whole, flat):
        assert found["caller"]["basis"] == "supposed"
        assert found["granted"] == {"scope": ["images:read"], "lifetime": 900, "rules": ["thumbnailer-reads"]}


def test_claims_as_platforms_really_send_them_are_read(configuration: Path) -> None:
    claims = vectors.load("identity-claims/github/claims-push.json")
    asked = ("--source", "github", "--resource", REPORTS)
    for_others = explained(configuration, *asked, claims=claims)
    assert (for_others["reason"], for_others["facts"]["unverified_audience"]) == ("audience_wrong", "api://our-sts")
    for_us = explained(configuration, *asked, claims={**claims, "aud": AUDIENCE})
    assert (for_us["reason"], for_us["rules"]["decision"]) == ("no_rule", "deny")
    for found in (for_others, for_us):
        assert found["caller"]["attributes"]["repository_id"] == ["632596897"]


def test_a_claim_set_of_another_source_is_denied_and_that_source_named(configuration: Path) -> None:
    claims = pod("media", "thumbnailer", iss="https://staging.example.com")
    found = explained(configuration, *READS, claims=claims)
    assert (found["reason"], found["rules"]["decision"]) == ("issuer_wrong", "allow")
    assert found["notes"] == ["iss is that of the source 'staging'"]


@pytest.mark.parametrize(
    ("source", "claims", "lacks"),
    [
        ("prod", {}, "service_account_uid, or namespace and service_account"),
        ("prod", {"namespace": "media"}, "service_account, or service_account_uid"),
        ("github", {"repository": "acme/blog", "repository_owner_id": "7", "ref": "refs/heads/main"}, "repository_id"),
        ("company", {"groups": ["staff"], "email_verified": True}, "sub"),
        ("partner", {"team": "core-web"}, "tier"),
    ],
)
def test_no_rule_for_several_workloads_is_suggested_and_what_the_caller_lacks_is_named(
    configuration: Path, source: str, claims: dict[str, Any], lacks: str
) -> None:
    asked = ("--source", source, "--resource", IMAGES, "--scope", "images:read")
    found = explained(configuration, *asked, claims=claims)
    assert (found["reason"], found["suggestion"]) == ("no_rule", None)
    (note,) = found["notes"]
    assert note == f"no rule is suggested, for it would admit several workloads: the caller lacks {lacks}"


def test_an_id_alone_is_enough_for_a_suggestion(configuration: Path) -> None:
    found = explained(configuration, *READS, claims={"service_account_uid": "u-1"})
    assert 'match = { service_account_uid = "u-1" }' in found["suggestion"]
    assert found["notes"] == []


def test_a_claim_set_that_its_source_would_not_believe_is_denied_for_that(configuration: Path) -> None:
    wrong = {**pod("media", "thumbnailer"), "sub": "system:serviceaccount:media:somebody-else"}
    assert explained(configuration, *READS, claims=wrong)["reason"] == "subject_mismatch"
    bound = {**pod("media", "thumbnailer"), "cnf": {"jkt": "x"}}
    found = explained(configuration, *READS, claims=bound)
    assert (found["reason"], found["rules"]) == ("confirmation_unsupported", None)


def test_attributes_are_spelled_as_in_a_policy_test(configuration: Path) -> None:
    claims = {"groups": ["a", "editors"], "employment.type": "employee", "email_verified": True}
    asked = ("--source", "company", "--resource", REPORTS, "--scope", "reports:publish")
    assert explained(configuration, *asked, claims=claims)["decision"] == "allow"


def test_scopes_may_be_given_apart_or_together(configuration: Path) -> None:
    claims = pod("media", "thumbnailer")
    together = ("--source", "prod", "--resource", IMAGES, "--scope", "images:read images:write")
    apart = (*READS, "--scope", "images:write")
    first, second = (explained(configuration, *each, claims=claims) for each in (together, apart))
    assert {**first, "at": None} == {**second, "at": None}


def test_a_resource_that_does_not_exist_is_denied_before_anybody_is_looked_at(configuration: Path) -> None:
    asked = ("--source", "prod", "--resource", "https://nobody.example.com")
    found = explained(configuration, *asked, claims=pod("media", "thumbnailer"))
    assert (found["reason"], found["caller"], found["rules"]) == ("target_unknown", None, None)


def test_a_scope_that_would_be_refused_next_is_named_and_nothing_is_suggested(configuration: Path) -> None:
    asked = ("--source", "prod", "--resource", IMAGES, "--scope", "images:paint")
    found = explained(configuration, *asked, claims=pod("media", "nobody"))
    assert (found["reason"], found["rules"]["next_reason"], found["suggestion"]) == ("no_rule", "scope_unknown", None)
    text = run("explain", "--config", configuration, "--claims", "-", *asked, stdin=json.dumps(pod("media", "nobody")))
    assert "its scope would be refused next: scope_unknown" in text.stdout


def test_no_rule_at_all_is_said_and_a_first_one_suggested(tmp_path: Path) -> None:
    file = tmp_path / "authserver.toml"
    file.write_text(CONFIGURATION.partition("[[allow]]")[0], encoding="utf-8")
    found = explained(file, *READS, claims=pod("media", "thumbnailer"))
    assert (found["rules"]["nearest"], found["rules"]["findings"]) == (None, [])
    assert 'service_account = "thumbnailer"' in found["suggestion"]
    text = run("explain", "--config", file, "--claims", "-", *READS, stdin=json.dumps(pod("media", "thumbnailer")))
    assert "no rule is about this source or this resource" in text.stdout


def test_people_read_the_decision_first_and_then_claim_by_claim(configuration: Path) -> None:
    claims = {"namespace": "media", "service_account": "resizer"}
    result = run("explain", "--config", configuration, "--claims", "-", *READS, stdin=json.dumps(claims))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "denied: no_rule",
        "  meaning: the caller is who it says it is, and no rule lets it have anything at this resource.",
        "  what to do: if it should, write a rule. `source` and `sub` say who it is, and `would_allow` names rules in"
        " audit mode that fit.",
        f'  resource: "{IMAGES}"',
        "",
        "caller of the source 'prod' (as described; no token was looked at)",
        "  namespace: 'media'",
        "  service_account: 'resizer'",
        f"asks for 'images:read' at '{IMAGES}'",
        "",
        "nearest rule 'thumbnailer-reads' does not",
        "  yes  namespace is 'media'",
        "  no   service_account is 'resizer', and must be 'thumbnailer'",
        "       grants images:read",
        "",
        "other rules, which do not match (1): 'archiver-deletes'",
        "",
        "this rule would admit every caller with these claims, and nobody else:",
        "",
        "[[allow]]",
        'name = "prod-to-images"',
        'source = "prod"',
        'match = { namespace = "media", service_account = "resizer" }',
        f'resource = "{IMAGES}"',
        'scope = ["images:read"]',
        'lifetime = "15m"',
    ]


def test_people_are_told_which_rule_allowed_what_and_for_how_long(configuration: Path) -> None:
    claims = json.dumps(pod("media", "thumbnailer"))
    result = run("explain", "--config", configuration, "--claims", "-", *READS, stdin=claims)
    assert result.exit_code == 0
    assert result.stdout.startswith("allowed: images:read, for 15m\n  decided by: 'thumbnailer-reads'\n")
    assert "rule 'thumbnailer-reads' matches\n  yes  namespace is 'media'\n" in result.stdout


def test_nothing_that_a_caller_wrote_reaches_the_terminal_raw(configuration: Path) -> None:
    evil = "x\x1b[2J\u202e\x9b"
    for arguments in ((), ("--json",)):
        result = run(
            "explain", "--config", configuration, "--claims", "-", *READS, *arguments,
            stdin=json.dumps({"namespace": evil, "service_account": evil}),
        )  # fmt: skip
        assert not {"\x1b", "\u202e", "\x9b"} & set(result.output)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--resource", IMAGES),
        ("--claims", "-"),
        ("--claims", "-", "--source", "prod"),
        ("--claims", "-", "--resource", IMAGES),
        ("--token", "-", "--source", "prod", "--resource", IMAGES),
        ("--token", "-", "--claims", "-", "--source", "prod", "--resource", IMAGES),
        ("--request-id", "x"),
        ("--audit-log", "-"),
        ("--request-id", "x", "--audit-log", "-", "--resource", IMAGES),
        ("--request-id", "x", "--audit-log", "-", "--scope", "images:read"),
        ("--claims", "-", "--source", "nobody", "--resource", IMAGES),
        ("--claims", "-", *READS, "--at", "yesterday"),
        ("--claims", "-", *READS, "--at", "2026-12-31T23:59:59"),
        ("--claims", "-", *READS, "--at", "-1"),
        ("--claims", "-", *READS, "--at", "nan"),
    ],
)
def test_options_that_do_not_belong_together_are_a_mistake_of_usage(
    arguments: tuple[str, ...], configuration: Path
) -> None:
    assert run("explain", "--config", configuration, *arguments, stdin="{}").exit_code == 2


@pytest.mark.parametrize("claims", ["", "[]", "{", '{"namespace": 1e400}', '{"a": 1, "a": 1}', '{"namespace": {}}'])
def test_claims_that_are_no_claims_are_a_mistake_of_usage(claims: str, configuration: Path) -> None:
    assert run("explain", "--config", configuration, "--claims", "-", *READS, stdin=claims).exit_code == 2


def test_an_attribute_that_the_source_does_not_have_is_named_with_those_that_it_has(configuration: Path) -> None:
    result = run("explain", "--config", configuration, "--claims", "-", *READS, stdin='{"namespaces": "media"}')
    assert result.exit_code == 2
    assert "'namespaces' is no attribute of the source 'prod'" in result.stderr
    assert "namespace, node, pod" in result.stderr


def test_a_token_on_the_command_line_is_refused_and_not_repeated(configuration: Path) -> None:
    token = leaks.handled(sign(make_key(), identity(PROD, AUDIENCE)))
    result = run("explain", "--config", configuration, "--token", token, "--resource", IMAGES)
    assert result.exit_code == 2
    assert "name a file" in result.stderr.lower()


def test_a_configuration_that_cannot_be_used_is_exit_78(configuration: Path) -> None:
    configuration.write_text("[server]\n", encoding="utf-8")
    assert run("explain", "--config", configuration, "--claims", "-", *READS, stdin="{}").exit_code == 78


def test_kubernetes_claims_without_their_issuer_are_not_mistaken_for_attributes(configuration: Path) -> None:
    claims = kubernetes_claims("media", "thumbnailer", AUDIENCE)
    result = run("explain", "--config", configuration, "--claims", "-", *READS, stdin=json.dumps(claims))
    assert result.exit_code == 2
    assert 'has an "iss"' in result.stderr


def test_every_source_is_told_apart_by_attributes_that_rules_can_match(configuration: Path) -> None:
    sources = load(configuration).sources
    for source in sources.values():
        assert source.identifying
        assert source.identifying <= source.attribute_names
    assert sources["company"].identifying == {"sub"}
    assert sources["partner"].identifying == {"team", "tier"}
