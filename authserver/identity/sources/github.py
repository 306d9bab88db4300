"""GitHub Actions, by the job's OIDC token.

Claims: https://docs.github.com/en/actions/reference/security/oidc. Since 15 July 2026 the default ``sub`` of new,
renamed and transferred repositories carries the numeric ids of owner and repository; before that, only names, which
can be taken over. Whichever is sent, the subject here is the newer form, made from the claims.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from authserver.errors import CredentialRejected, Reason
from authserver.identity.source import Attributes, Identified, JwtSourceTable, attributes_at, numeric
from authserver.jose.verify import VerifiedClaims
from authserver.model import NOTHING
from authserver.table import Duration

_ATTRIBUTES: Final = (
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "ref",
    "ref_type",
    "environment",
    "workflow_ref",
    "job_workflow_ref",
    "event_name",
    "runner_environment",
    "repository_visibility",
    "actor_id",
)
_PATHS: Final = {name: (name,) for name in _ATTRIBUTES}
_IDENTIFYING: Final = frozenset(
    ("repository_id", "repository_owner_id", "ref", "environment", "workflow_ref", "event_name")
)
# Runs with the base repository's identity on a stranger's pull request, so it needs to be asked for by name.
_DANGEROUS_EVENT: Final = "pull_request_target"


class GitHubTable(JwtSourceTable):
    """GitHub Actions workflows, of github.com unless ``issuer`` names an enterprise host."""

    default_algorithms: ClassVar[tuple[str, ...]] = ("RS256",)
    recyclable: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "repository": ("repository_id",),
        "repository_owner": ("repository_owner_id", "repository_id"),
        "workflow_ref": ("repository_id",),
        # It may name another repository, whose number no claim has: the number of who calls it is all there is.
        "job_workflow_ref": ("repository_id", "repository_owner_id"),
    }
    one_workload: ClassVar[tuple[frozenset[str], ...]] = (
        frozenset(("repository_id",)),
        frozenset(("repository",)),
        frozenset(("workflow_ref",)),
    )

    type: Literal["github"]
    issuer: str = "https://token.actions.githubusercontent.com"
    """The `iss` of its tokens, for an enterprise host."""
    max_age: Duration = 3600
    """How old a token may be, counted from its `iat`, and for how long it may have been made."""

    @property
    def attribute_names(self) -> frozenset[str]:
        """The typed attributes of a job."""
        return frozenset(_ATTRIBUTES)

    @property
    def identifying(self) -> frozenset[str]:
        """The repository by its numbers, which nobody can take over, and what of it runs."""
        return _IDENTIFYING

    def identify(self, verified: VerifiedClaims) -> Identified:
        """See :meth:`JwtSourceTable.identify`."""
        return Identified(_subject(verified), attributes_at(verified.claims, _PATHS))

    def named_only(self, attributes: Attributes) -> Mapping[str, str]:
        """See :meth:`JwtSourceTable.named_only`."""
        return {"event_name": _DANGEROUS_EVENT} if _DANGEROUS_EVENT in attributes.get("event_name", ()) else NOTHING


def _subject(verified: VerifiedClaims) -> str:
    owner, owner_id = verified.text("repository_owner"), numeric(verified.claims, "repository_owner_id")
    repository, repository_id = verified.text("repository"), numeric(verified.claims, "repository_id")
    name = repository.removeprefix(f"{owner}/")
    if name == repository or "/" in name:
        raise CredentialRejected(Reason.CLAIM_MALFORMED, claim="repository")
    sent, by_name, by_id = (
        verified.text("sub"),
        f"repo:{repository}:",
        f"repo:{owner}@{owner_id}/{name}@{repository_id}:",
    )
    for prefix in (by_id, by_name):
        if sent.startswith(prefix):
            return by_id + sent.removeprefix(prefix)
    if sent.startswith("repo:"):
        # The name in the subject and the ids in the claims belong to different repositories.
        raise CredentialRejected(Reason.SUBJECT_MISMATCH, sub=sent, claims=by_id)
    return by_id + _context(verified)


def _context(verified: VerifiedClaims) -> str:
    # A repository can be given a subject of its own making; what GitHub would have written by default is in the claims.
    environment = verified.claims.get("environment")
    if isinstance(environment, str) and environment:
        return "environment:" + verified.text("environment").replace(":", "%3A")
    if verified.claims.get("event_name") == "pull_request":
        return "pull_request"
    return "ref:" + verified.text("ref")
