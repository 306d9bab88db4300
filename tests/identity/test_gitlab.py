"""GitLab CI/CD."""

from collections.abc import Callable

import pytest

from authserver.errors import CredentialRejected, Reason
from authserver.identity.sources.gitlab import GitLabTable
from authserver.model import Subject
from authserver.testing import FakeIssuer
from authserver.testing.claims import gitlab_claims
from tests.identity.conftest import AUDIENCE

PATH = "media/tools/thumbnailer"
NUMBER = gitlab_claims(PATH, AUDIENCE)["project_id"]
SUBJECT = f"project_id:{NUMBER}:ref_type:branch:ref:main"


def test_a_job_gives_the_number_of_its_project_and_what_it_runs(
    issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    token = issuer.gitlab_token(PATH, AUDIENCE, environment="production", environment_protected="true")
    subject = authenticate("gitlab", token)
    assert subject.sub == f"here:{SUBJECT}"
    assert subject.attributes == {
        "project_path": (PATH,),
        "project_id": (NUMBER,),
        "namespace_path": ("media/tools",),
        "namespace_id": (gitlab_claims("media/tools/other", AUDIENCE)["namespace_id"],),
        "ref": ("main",),
        "ref_type": ("branch",),
        "ref_protected": ("true",),
        "environment": ("production",),
        "environment_protected": ("true",),
        "pipeline_source": ("push",),
    }


@pytest.mark.parametrize(
    "sub",
    [
        f"project_path:{PATH}",
        f"project_path:{PATH}:environment_protected:true",
        f"project_id:{NUMBER}:ref:main",
        "namespace_id:7:ref:main",
    ],
)
def test_a_subject_that_the_project_composed_itself_is_replaced_by_ours(
    sub: str, issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    assert authenticate("gitlab", issuer.gitlab_token(PATH, AUDIENCE, sub=sub)).subject == SUBJECT


@pytest.mark.parametrize(
    "sub",
    [
        "project_path:media/tools/other:ref_type:branch:ref:main",
        f"project_path:{PATH}-evil:ref_type:branch:ref:main",
        f"project_id:{NUMBER}0:ref:main",
        "project_path:",
    ],
)
def test_a_subject_that_names_another_project_than_the_claims_is_refused(
    sub: str, issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    with pytest.raises(CredentialRejected) as refused:
        authenticate("gitlab", issuer.gitlab_token(PATH, AUDIENCE, sub=sub))
    assert refused.value.reason is Reason.SUBJECT_MISMATCH


@pytest.mark.parametrize(
    ("claim", "value", "reason"),
    [
        ("project_id", None, Reason.CLAIM_MISSING),
        ("project_id", "7a", Reason.CLAIM_MALFORMED),
        ("project_id", True, Reason.CLAIM_MALFORMED),
        ("project_path", None, Reason.CLAIM_MISSING),
        ("ref", "", Reason.CLAIM_MALFORMED),
        ("ref_type", 7, Reason.CLAIM_MALFORMED),
    ],
)
def test_a_claim_that_identity_depends_on_must_be_there_and_well_formed(
    claim: str, value: object, reason: Reason, issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    with pytest.raises(CredentialRejected) as refused:
        authenticate("gitlab", issuer.token({**gitlab_claims(PATH, AUDIENCE), claim: value}))
    assert refused.value.reason is reason


def test_the_project_is_known_by_its_number_whatever_it_is_called(
    issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    renamed = issuer.gitlab_token("elsewhere/new", AUDIENCE, project_id=int(NUMBER))
    assert authenticate("gitlab", renamed).subject == SUBJECT


def test_the_pipeline_of_a_merge_request_and_what_it_starts_can_only_be_admitted_by_name(
    issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    """gitlab-org/gitlab#561735: the merge request of a fork ran as the project that it was for."""
    for started_by in ("merge_request_event", "parent_pipeline"):
        token = issuer.gitlab_token(PATH, AUDIENCE, pipeline_source=started_by)
        assert authenticate("gitlab", token).named_only == {"pipeline_source": started_by}
    for other in ("push", "schedule", None):
        token = issuer.gitlab_token(PATH, AUDIENCE, pipeline_source=other)
        assert authenticate("gitlab", token).named_only == {}


def test_the_issuer_is_gitlab_com_unless_another_is_named() -> None:
    assert GitLabTable(type="gitlab", audience=AUDIENCE).issuer == "https://gitlab.com"
    own = GitLabTable(type="gitlab", audience=AUDIENCE, issuer="https://git.example.com")
    assert own.issuer == "https://git.example.com"
