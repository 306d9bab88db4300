"""The built-in resource: our own issuer, which exists without being configured and has no scopes but its own."""

from pathlib import Path

import pytest

from authserver.errors import CallerNotAdmitted, Reason, ScopeRefused
from authserver.model import Resource, Subject
from authserver.settings import load
from tests.settings.build import EXPECT, RESOURCE, RULE, SERVER, document, loaded, only_problem, problems, write

ISSUER = "https://auth.example.com"
CALLER = Subject("cluster", "somebody", {"namespace": ("media",)}, credential_id="")


def asking(*scope: str, lines: str = RULE) -> str:
    """A rule, or a policy test, about our own issuer."""
    scopes = ", ".join(f'"{each}"' for each in scope)
    return lines.replace("https://images.example.com", ISSUER).replace('"images:read"', scopes)


def test_it_has_a_scope_for_each_resource_and_the_default_algorithm(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        {"resources.reports": RESOURCE.replace("images.", "reports."), "keys": 'algorithms = ["EdDSA", "ES256"]'},
    )
    assert settings.built_in == Resource(
        "this server", ISSUER, frozenset({"introspect:images", "introspect:reports"}), (), "EdDSA"
    )
    assert settings.introspectable == {
        "introspect:images": "https://images.example.com",
        "introspect:reports": "https://reports.example.com",
    }


def test_it_has_two_scopes_for_each_source_of_devices(tmp_path: Path) -> None:
    devices = 'type = "device"'
    settings = loaded(
        tmp_path,
        {
            "sources.phones": devices,
            "sources.laptops": devices,
            "[allow]": asking("devices:invite:phones", "devices:manage:phones"),
        },
    )
    assert settings.built_in.scopes == {
        "introspect:images",
        "devices:invite:phones",
        "devices:manage:phones",
        "devices:invite:laptops",
        "devices:manage:laptops",
    }
    policy = settings.policy()
    own = policy.resource((ISSUER,), ())
    assert policy.authorize(CALLER, own, "devices:invite:phones").scope == ("devices:invite:phones",)
    with pytest.raises(ScopeRefused) as refused:
        policy.authorize(CALLER, own, "devices:invite:laptops")
    assert refused.value.reason is Reason.SCOPE_NOT_ALLOWED


def test_a_rule_for_devices_is_not_blamed_for_a_mistake_in_their_source(tmp_path: Path) -> None:
    changes = {"sources.phones": 'type = "device"\nmax_per_owner = 0', "[allow]": asking("devices:manage:phones")}
    (problem,) = problems(write(tmp_path, document(changes)))
    assert problem.path == "sources.phones.max_per_owner"


def test_it_exists_where_nothing_is_configured_and_nobody_is_admitted(tmp_path: Path) -> None:
    policy = load(write(tmp_path, f"[server]\n{SERVER}\n")).policy()
    own = policy.resource((ISSUER,), ())
    with pytest.raises(CallerNotAdmitted):
        policy.authorize(CALLER, own, "introspect:images")


def test_ordinary_rules_grant_its_scopes_and_nothing_else(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        {
            "[allow]": asking("introspect:images"),
            "[expect]": asking("introspect:images", lines=EXPECT),
        },
    )
    policy = settings.policy()
    own = policy.resource((), (ISSUER,))
    assert policy.authorize(CALLER, own, "introspect:images").scope == ("introspect:images",)
    for scope, reason in (("images:read", Reason.SCOPE_UNKNOWN), (None, Reason.SCOPE_MISSING)):
        with pytest.raises(ScopeRefused) as refused:
            policy.authorize(CALLER, own, scope)
        assert refused.value.reason is reason
    assert all(expectation.run(policy).passed for expectation in settings.expectations)


@pytest.mark.parametrize(("table", "lines"), [("allow", RULE), ("expect", EXPECT)])
@pytest.mark.parametrize("scope", ["images:read", "devices", "introspect:other-things-entirely"])
def test_a_scope_that_it_does_not_have_is_a_mistake_that_lists_those_it_has(
    scope: str, table: str, lines: str, tmp_path: Path
) -> None:
    changes = {
        "resources.reports": RESOURCE.replace("images.", "reports."),
        f"[{table}]": asking(scope, lines=lines),
    }
    problem = only_problem(tmp_path, changes)
    assert problem.path == f"{table}[0].scope[0]"
    assert problem.message == f"unknown scope {scope!r}"
    assert problem.remedy == "Use one of: introspect:images, introspect:reports."


def test_a_misspelt_resource_in_a_scope_is_suggested(tmp_path: Path) -> None:
    problem = only_problem(tmp_path, {"[allow]": asking("introspect:image")})
    assert problem.message == "unknown scope 'introspect:image'; did you mean 'introspect:images'?"


def test_no_configured_resource_takes_its_identifier(tmp_path: Path) -> None:
    problem = only_problem(tmp_path, {"resources.own": RESOURCE.replace("https://images.example.com", ISSUER)})
    assert (problem.path, problem.message) == ("resources.own.identifier", "is the issuer of this server already")


def test_a_rule_is_not_blamed_for_a_mistake_in_the_tables_that_it_stands_on(tmp_path: Path) -> None:
    changes = {
        "server": f"{SERVER}\nworkers = 0",
        "resources.reports": 'identifier = "https://reports.example.com"',
        "[allow]": asking("introspect:reports"),
    }
    found = problems(write(tmp_path, document(changes)))
    assert [problem.path for problem in found] == ["server.workers", "resources.reports.scopes"]
    del changes["server"]
    found = problems(write(tmp_path, document(changes)))
    assert [problem.path for problem in found] == ["resources.reports.scopes"]
