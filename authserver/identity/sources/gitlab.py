"""GitLab CI/CD, by the job's ID token.

Claims: https://docs.gitlab.com/ci/secrets/id_token_authentication/. What ``sub`` is made of a project decides for
itself; by default it is names alone, which can be given up and taken. So the subject here is made from the claims, with
the number of the project, whatever was sent.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from authserver.errors import CredentialRejected, Reason
from authserver.identity.source import Attributes, Identified, JwtSourceTable, attributes_at, numeric
from authserver.jose.verify import VerifiedClaims
from authserver.model import NOTHING

_ATTRIBUTES: Final = (
    "project_path",
    "project_id",
    "namespace_path",
    "namespace_id",
    "ref",
    "ref_type",
    "ref_protected",
    "environment",
    "environment_protected",
    "pipeline_source",
)
_PATHS: Final = {name: (name,) for name in _ATTRIBUTES}
_IDENTIFYING: Final = frozenset(("project_id", "ref", "ref_type", "environment", "pipeline_source"))
# Until GitLab 18.2.2 the merge request of a fork, run in the project that it is for, had the identity of that project,
# and a branch of any name. Its pipeline may start others, so these need to be asked for by name, too.
_OF_STRANGERS: Final = ("merge_request_event", "parent_pipeline")


class GitLabTable(JwtSourceTable):
    """Jobs of GitLab pipelines, of gitlab.com unless ``issuer`` names another host."""

    default_algorithms: ClassVar[tuple[str, ...]] = ("RS256",)
    recyclable: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "project_path": ("project_id",),
        "namespace_path": ("namespace_id", "project_id"),
    }
    one_workload: ClassVar[tuple[frozenset[str], ...]] = (frozenset(("project_id",)), frozenset(("project_path",)))

    type: Literal["gitlab"]
    issuer: str = "https://gitlab.com"
    """The `iss` of its tokens, for a host of your own."""

    @property
    def attribute_names(self) -> frozenset[str]:
        """The typed attributes of a job."""
        return frozenset(_ATTRIBUTES)

    @property
    def identifying(self) -> frozenset[str]:
        """The project by its number, which nobody can take over, and what of it runs."""
        return _IDENTIFYING

    def identify(self, verified: VerifiedClaims) -> Identified:
        """See :meth:`JwtSourceTable.identify`."""
        return Identified(_subject(verified), attributes_at(verified.claims, _PATHS))

    def named_only(self, attributes: Attributes) -> Mapping[str, str]:
        """See :meth:`JwtSourceTable.named_only`."""
        started_by = attributes.get("pipeline_source", ())
        return next(({"pipeline_source": each} for each in _OF_STRANGERS if each in started_by), NOTHING)


def _subject(verified: VerifiedClaims) -> str:
    number = numeric(verified.claims, "project_id")
    sent = verified.text("sub")
    # Whatever else the project has put into its subject, these two say which project it is.
    for name, value in (("project_path", verified.text("project_path")), ("project_id", number)):
        if sent.startswith(f"{name}:") and not f"{sent}:".startswith(f"{name}:{value}:"):
            raise CredentialRejected(Reason.SUBJECT_MISMATCH, sub=sent, claims=f"{name}:{value}")
    return f"project_id:{number}:ref_type:{verified.text('ref_type')}:ref:{verified.text('ref')}"
