"""GitHub Actions."""

from collections.abc import Callable

import pytest

from authserver.errors import CredentialRejected, Reason
from authserver.identity.sources.github import GitHubTable
from authserver.model import Subject
from authserver.testing import FakeIssuer
from authserver.testing.claims import github_claims
from tests import vectors
from tests.identity.conftest import AUDIENCE

NEWER = "repo:octo-org@131804563/octo-repo@632596897:"
CONTEXTS = {
    "environment": "environment:production",
    "pull_request": "pull_request",
    "push": "ref:refs/heads/main",
    "tag": "ref:refs/tags/v1",
}


@pytest.mark.parametrize(("name", "context"), CONTEXTS.items())
def test_every_public_claim_set_gives_the_newer_subject_in_both_spellings(
    name: str, context: str, issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    claims = {**vectors.load(f"identity-claims/github/claims-{name}.json"), "iss": issuer.issuer}
    for sub in (claims["sub"], NEWER + context):
        subject = authenticate("github", issuer.token({**claims, "sub": sub}), audience="api://our-sts")
        assert subject.sub == f"here:{NEWER}{context}"
        assert subject.attributes["repository_id"] == ("632596897",)
        assert subject.attributes["event_name"] == (claims["event_name"],)


def test_a_subject_of_the_repositorys_own_making_is_replaced_by_the_default_one(
    issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    for name, context in CONTEXTS.items():
        claims = {**vectors.load(f"identity-claims/github/claims-{name}.json"), "iss": issuer.issuer}
        subject = authenticate("github", issuer.token({**claims, "sub": "actor:me"}), audience="api://our-sts")
        assert subject.subject == NEWER + context


def test_a_name_that_does_not_belong_to_the_ids_is_refused(
    issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    """GitHub's change of 2026-07-15: a taken-over name must not speak for the ids of another repository."""
    for sub in (
        "repo:octo-org@1/octo-repo@2:ref:refs/heads/main",
        "repo:evil/octo-repo:ref:refs/heads/main",
        "repo:octo-org/octo-repo",
        "repo:octo-org/octo-repo-evil:ref:refs/heads/main",
    ):
        with pytest.raises(CredentialRejected) as refused:
            authenticate("github", issuer.github_token("octo-org/octo-repo", AUDIENCE, sub=sub))
        assert refused.value.reason is Reason.SUBJECT_MISMATCH


@pytest.mark.parametrize(
    ("claim", "value", "reason"),
    [
        ("repository_id", None, Reason.CLAIM_MISSING),
        ("repository_id", "12a", Reason.CLAIM_MALFORMED),
        ("repository_id", "", Reason.CLAIM_MALFORMED),
        ("repository_id", "٣", Reason.CLAIM_MALFORMED),
        ("repository_owner_id", True, Reason.CLAIM_MALFORMED),
        ("repository_owner_id", 1.5, Reason.CLAIM_MALFORMED),
        ("repository", "octo-repo", Reason.CLAIM_MALFORMED),
        ("repository", "other/octo-repo", Reason.CLAIM_MALFORMED),
        ("repository", "octo-org/a/b", Reason.CLAIM_MALFORMED),
        ("repository_owner", None, Reason.CLAIM_MISSING),
    ],
)
def test_a_claim_that_identity_depends_on_must_be_there_and_well_formed(
    claim: str, value: object, reason: Reason, issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    with pytest.raises(CredentialRejected) as refused:
        authenticate("github", issuer.token({**github_claims("octo-org/octo-repo", AUDIENCE), claim: value}))
    assert refused.value.reason is reason


def test_an_id_written_as_a_number_is_the_same_id(issuer: FakeIssuer, authenticate: Callable[..., Subject]) -> None:
    token = issuer.github_token("o/r", AUDIENCE, repository_id=7, repository_owner_id=8)
    subject = authenticate("github", token)
    assert subject.subject.startswith("repo:o@8/r@7:")
    assert subject.attributes["repository_id"] == ("7",)


def test_pull_request_target_can_only_be_admitted_by_name(
    issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    token = issuer.github_token("o/r", AUDIENCE, event_name="pull_request_target")
    assert authenticate("github", token).named_only == {"event_name": "pull_request_target"}
    assert authenticate("github", issuer.github_token("o/r", AUDIENCE)).named_only == {}


def test_the_issuer_is_githubs_unless_another_is_named() -> None:
    table = GitHubTable(type="github", audience=AUDIENCE)
    assert table.issuer == "https://token.actions.githubusercontent.com"
    assert table.max_age == 3600
