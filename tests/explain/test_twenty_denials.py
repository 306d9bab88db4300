"""Twenty denials made by hand: the rule and the claim that failed are named, and the suggestion admits that caller."""

import tomllib
from pathlib import Path

import pytest

from authserver.cli.explain.caller import Callers
from authserver.errors import Refused
from authserver.model import Subject
from authserver.policy.authorize import Policy
from authserver.settings import Settings, load
from tests.explain.commands import explained
from tests.explain.denials import BYSTANDERS, CONFIGURATION, DENIALS, DEPLOY, IMAGES, REPORTS, Denial

NOW = 1_800_000_000.0

each_denial = pytest.mark.parametrize("denial", DENIALS, ids=lambda denial: denial.caller)


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    file = tmp_path / "authserver.toml"
    file.write_text(CONFIGURATION, encoding="utf-8")
    return file


def asked(denial: Denial) -> list[str]:
    scopes = [word for token in denial.scope for word in ("--scope", token)]
    return ["--source", denial.source, "--resource", denial.resource, *scopes]


def subjects(settings: Settings) -> list[Subject]:
    """Every caller of the test set."""
    callers = Callers(settings, NOW)
    known = [(denial.source, denial.claims) for denial in DENIALS]
    found = [callers.of_claims(claims, source).identity for source, claims in (*known, *BYSTANDERS)]
    return [subject for subject in found if isinstance(subject, Subject)]


def decisions(policy: Policy, everybody: list[Subject]) -> dict[tuple[int, str, str], bool]:
    """What everybody gets who asks for anything, scope by scope."""
    questions = [
        (position, resource.identifier, scope)
        for position in range(len(everybody))
        for resource in (policy.resource((), (each,)) for each in (IMAGES, DEPLOY, REPORTS))
        for scope in sorted(resource.scopes)
    ]
    return {question: is_admitted(policy, everybody[question[0]], *question[1:]) for question in questions}


def is_admitted(policy: Policy, subject: Subject, identifier: str, scope: str) -> bool:
    try:
        policy.authorize(subject, policy.resource((), (identifier,)), scope)
    except Refused:
        return False
    return True


def test_there_are_at_least_twenty_and_no_two_have_the_same_caller(configuration: Path) -> None:
    everybody = subjects(load(configuration))
    assert len(DENIALS) >= 20
    assert len(everybody) == len(DENIALS) + len(BYSTANDERS)
    assert len({(each.source, str(each.attributes)) for each in everybody}) == len(everybody)


@each_denial
def test_the_rule_and_the_claim_that_failed_are_named(denial: Denial, configuration: Path) -> None:
    found = explained(configuration, *asked(denial), claims=denial.claims)
    assert (found["decision"], found["reason"], found["rules"]["nearest"]) == ("deny", denial.reason, denial.rule)
    (nearest,) = [each for each in found["rules"]["findings"] if each["name"] == denial.rule]
    assert tuple(nearest["differences"]) == denial.differences


@each_denial
def test_the_suggestion_admits_exactly_that_caller_and_nobody_else(denial: Denial, configuration: Path) -> None:
    suggestion = explained(configuration, *asked(denial), claims=denial.claims)["suggestion"]
    settings = load(configuration)
    everybody = subjects(settings)
    before = decisions(settings.policy(), everybody)
    configuration.write_text(f"{CONFIGURATION}\n{suggestion}", encoding="utf-8")
    after = decisions(load(configuration).policy(), everybody)
    changed = {question for question in before if before[question] != after[question]}
    position = [each.caller for each in DENIALS].index(denial.caller)
    wanted = denial.scope or ("reports:read",)
    assert changed == {
        (position, denial.resource, scope) for scope in wanted if not before[position, denial.resource, scope]
    }
    assert changed


@each_denial
def test_what_was_suggested_is_what_explain_allows_afterwards(denial: Denial, configuration: Path) -> None:
    suggestion = explained(configuration, *asked(denial), claims=denial.claims)["suggestion"]
    configuration.write_text(f"{CONFIGURATION}\n{suggestion}", encoding="utf-8")
    found = explained(configuration, *asked(denial), claims=denial.claims)
    assert found["decision"] == "allow"
    assert tomllib.loads(suggestion)["allow"][0]["name"] in found["granted"]["rules"]
