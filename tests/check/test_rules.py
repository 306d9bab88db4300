"""Warnings about rules."""

from pathlib import Path

import pytest

from authserver.errors import ConfigurationError
from authserver.identity.sources import SOURCES
from tests.check.build import RULE, codes, rule, text, with_rules

ISSUER = "https://login.microsoftonline.com/9bc0d1aa-0000-4000-8000-000000000001/v2.0"

OIDC = """type = "oidc"
issuer = "https://login.example.com"
audience = "https://auth.example.com"
attributes = ["sub", "email", "groups"]"""


@pytest.mark.parametrize(
    ("match", "expected"),
    {
        "a repository by its name": ('repository = "octo/web"', ["W101"]),
        "a repository by its number": ("repository_id = 1", []),
        "a repository by both": ('repository = "octo/web", repository_id = 1', []),
        "a repository by its name and a glob for its number": (
            'repository = "octo/web", repository_id = { glob = "1*" }', ["W101"]),
        "an owner by name": ('repository_owner = "octo"', ["W101", "W102"]),
        "an owner by number": ("repository_owner_id = 1", ["W102"]),
        "a workflow by its path": ('workflow_ref = "octo/web/.github/workflows/x.yml@refs/heads/main"', ["W101"]),
        "a reusable workflow by its path": ('job_workflow_ref = "octo/x/y.yml@main", repository_id = 1', []),
        "two repositories": ("repository_id = [1, 2]", ["W102"]),
        "a branch of any repository": ('ref = "refs/heads/main"', ["W102"]),
        "any branch": ('repository_id = 1, ref = { glob = "refs/heads/*" }', ["W103"]),
        "branches with a beginning": ('repository_id = 1, ref = { glob = "refs/heads/release-*" }', []),
        "any repository of an owner": ('repository = { glob = "octo/*" }', ["W101", "W102", "W103"]),
    }.values(),
)  # fmt: skip
def test_what_a_github_rule_may_admit_besides(match: str, expected: list[str], tmp_path: Path) -> None:
    assert codes(tmp_path, with_rules(rule(match))) == [(code, "allow.deploys") for code in expected]


@pytest.mark.parametrize(
    ("match", "expected"),
    {
        "somebody by address": ('email = "me@example.com"', ["W101"]),
        "somebody by sub": ('sub = "me"', []),
        "somebody by both": ('email = "me@example.com", sub = "me"', []),
        "a group": ('groups = "readers"', ["W102"]),
    }.values(),
)
def test_what_a_rule_for_id_tokens_may_admit_besides(match: str, expected: list[str], tmp_path: Path) -> None:
    assert codes(tmp_path, with_rules(rule(match), source=OIDC)) == [(code, "allow.deploys") for code in expected]


def of_type(kind: str, issuer: str = "") -> str:
    """A source of a type, whose audience is the usual one."""
    return f'type = "{kind}"\naudience = "https://auth.example.com"\n{issuer}'


@pytest.mark.parametrize(
    ("match", "expected"),
    {
        "a project by its path": ('project_path = "media/tools"', ["W101"]),
        "a project by its number": ("project_id = 1, ref_protected = true", []),
        "a project by both": ('project_path = "media/tools", project_id = 1', []),
        "a namespace by its path": ('namespace_path = "media"', ["W101", "W102"]),
        "a namespace by its path and a project in it": ('namespace_path = "media", project_id = 1', []),
        "a namespace by its number": ("namespace_id = 1", ["W102"]),
        "a branch of any project": ('ref = "main", ref_protected = true', ["W102"]),
    }.values(),
)
def test_what_a_gitlab_rule_may_admit_besides(match: str, expected: list[str], tmp_path: Path) -> None:
    configuration = with_rules(rule(match), source=of_type("gitlab"))
    assert codes(tmp_path, configuration) == [(code, "allow.deploys") for code in expected]


@pytest.mark.parametrize(
    ("match", "expected"),
    {
        "an account by its address": ('email = "a@media.iam.gserviceaccount.com"', ["W101"]),
        "an account by its number": ("subject = 112233445566778899000", []),
        "an account by both": ('email = "a@x.iam.gserviceaccount.com", subject = "112233445566778899000"', []),
        "a machine": ("instance_id = 1234567890123456789", []),
        "a project": ("project_number = 123456789012", ["W102"]),
        "a project by its name": ('project_id = "media"', ["W102"]),
        "a zone, of anybody": ('zone = "us-central1-a"', ["W102"]),
    }.values(),
)
def test_what_a_google_rule_may_admit_besides(match: str, expected: list[str], tmp_path: Path) -> None:
    configuration = with_rules(rule(match), source=of_type("google"))
    assert codes(tmp_path, configuration) == [(code, "allow.deploys") for code in expected]


@pytest.mark.parametrize(
    ("match", "expected"),
    {
        "a resource by its path": ('resource_id = "/subscriptions/1/resourcegroups/rg/providers/x"', ["W101"]),
        "a resource by its path and its number": ('resource_id = "/subscriptions/1", object_id = "a"', []),
        "a resource by its path and its application": ('resource_id = "/subscriptions/1", app_id = "a"', []),
        "an identity by its number": ('object_id = "acde070d"', []),
        "an identity by its application": ('app_id = "2c3caa80"', []),
        "a tenant": ('tenant_id = "9bc0d1aa"', ["W102"]),
        "any resource of a group": (
            'resource_id = { glob = "/subscriptions/1/resourcegroups/rg/*" }', ["W101", "W102", "W103"]),
    }.values(),
)  # fmt: skip
def test_what_an_azure_rule_may_admit_besides(match: str, expected: list[str], tmp_path: Path) -> None:
    configuration = with_rules(rule(match), source=of_type("azure", f'issuer = "{ISSUER}"'))
    assert codes(tmp_path, configuration) == [(code, "allow.deploys") for code in expected]


@pytest.mark.parametrize("tenant", ["common", "organizations"])
def test_an_azure_issuer_of_any_tenant_is_a_mistake_and_no_warning(tenant: str, tmp_path: Path) -> None:
    source = of_type("azure", f'issuer = "https://login.microsoftonline.com/{tenant}/v2.0"')
    with pytest.raises(ConfigurationError) as mistaken:
        codes(tmp_path, with_rules(rule('object_id = "a"'), source=source))
    (problem,) = mistaken.value.problems
    assert problem.message == "is not the issuer of one tenant"
    assert "never common or organizations" in problem.remedy


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ('namespace = "media", service_account = "a"', []),
        ('service_account_uid = "6f"', []),
        ('namespace = "media"', ["W102"]),
        ('service_account = "a"', ["W102"]),
        ('namespace = "media", service_account = ["a", "b"]', ["W102"]),
        ('namespace = "media", service_account = { glob = "a-*" }', ["W102"]),
    ],
)
def test_what_a_kubernetes_rule_may_admit_besides(match: str, expected: list[str], tmp_path: Path) -> None:
    assert codes(tmp_path, text({"[allow]": rule(match, "x", "cluster")})) == [(code, "allow.x") for code in expected]


def test_a_rule_that_says_less_than_another_is_unused(tmp_path: Path) -> None:
    wide, narrow = rule("repository_id = 1", "wide"), rule('repository_id = 1, ref = "refs/heads/main"', "narrow")
    assert codes(tmp_path, with_rules(narrow, wide)) == [("W104", "allow.narrow")]


def test_of_two_rules_that_say_the_same_the_second_is_unused(tmp_path: Path) -> None:
    twins = (rule("repository_id = 1", name) for name in ("first", "second", "third"))
    assert codes(tmp_path, with_rules(*twins)) == [("W104", "allow.second"), ("W104", "allow.third")]


@pytest.mark.parametrize(
    ("narrow", "wide"),
    {
        "it grants more": (
            rule('repository_id = 1, ref = "x"', "narrow").replace('"images:read"', '"images:write"'),
            rule("repository_id = 1", "wide")),
        "it gives less time": (
            rule('repository_id = 1, ref = "x"', "narrow", more='lifetime = "5m"'), rule("repository_id = 1", "wide")),
        "the other one is only watched": (
            rule('repository_id = 1, ref = "x"', "narrow"),
            rule("repository_id = 1", "wide", more='mode = "audit"')),
        "it matches others too": (
            rule("repository_id = 1", "narrow"), rule('repository_id = 1, ref = "x"', "wide")),
        "it spells out what its source wants to see spelled out": (
            rule('repository_id = 1, event_name = "pull_request_target"', "narrow"),
            rule("repository_id = 1", "wide")),
        "it is for another source": (
            rule('namespace = "media", service_account = "reader"', "narrow", "cluster", 'lifetime = "1m"'),
            rule("repository_id = 1", "wide")),
    }.values(),
)  # fmt: skip
def test_a_rule_that_changes_a_decision_is_used(narrow: str, wide: str, tmp_path: Path) -> None:
    assert ("W104", "allow.narrow") not in codes(tmp_path, with_rules(narrow, wide))


def test_a_glob_that_another_rule_has_too_is_covered(tmp_path: Path) -> None:
    branches = 'repository_id = 1, ref = [{ glob = "refs/heads/r-*" }, "refs/heads/main"]'
    narrow = rule('repository_id = 1, ref = { glob = "refs/heads/r-*" }', "narrow")
    literal = rule('repository_id = 1, ref = "refs/heads/r-1"', "literal")
    found = codes(tmp_path, with_rules(rule(branches, "wide"), narrow, literal))
    assert found == [("W104", "allow.narrow"), ("W104", "allow.literal")]


def test_a_configuration_without_faults_has_no_warnings(tmp_path: Path) -> None:
    assert codes(tmp_path, text({"[allow]": RULE})) == []


@pytest.mark.parametrize("kind", SOURCES)
def test_every_type_of_source_says_what_comes_down_to_one_workload(kind: str) -> None:
    table = SOURCES[kind]
    assert table.one_workload
    assert any(each.isdisjoint(table.recyclable) for each in table.one_workload)
    if kind != "oidc":  # whose attributes are data
        made = table.model_construct(type=kind)  # as no source is: what a type says does not depend on its settings
        named = frozenset().union(*table.one_workload, table.recyclable, *table.recyclable.values(), made.identifying)
        assert made.attribute_names >= named
