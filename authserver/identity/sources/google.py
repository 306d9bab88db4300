"""Google Cloud service accounts, by the identity token of a metadata server or of the IAM API.

Claims of a virtual machine: https://docs.cloud.google.com/compute/docs/instances/verifying-instance-identity. What else
has a metadata server (Cloud Run, GKE) puts the service account alone into its tokens. Google makes a token for a chosen
audience for service accounts only, so no person's ID token has an address of ours as its audience.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from authserver.identity.source import Identified, JwtSourceTable, attributes_at, numeric
from authserver.jose.verify import VerifiedClaims
from authserver.table import Duration

_INSTANCE: Final = ("google", "compute_engine")
_PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "subject": ("sub",),
    "project_id": (*_INSTANCE, "project_id"),
    "project_number": (*_INSTANCE, "project_number"),
    "instance_id": (*_INSTANCE, "instance_id"),
    "zone": (*_INSTANCE, "zone"),
}
_EMAIL: Final = "email"


class GoogleTable(JwtSourceTable):
    """Service accounts of Google Cloud. The subject is the account's number, which no other one ever gets."""

    default_algorithms: ClassVar[tuple[str, ...]] = ("RS256",)
    # An account that is deleted and made anew has the same address and another number. The id of a project is never
    # given again: https://docs.cloud.google.com/resource-manager/docs/creating-managing-projects
    recyclable: ClassVar[Mapping[str, tuple[str, ...]]] = {_EMAIL: ("subject",)}
    one_workload: ClassVar[tuple[frozenset[str], ...]] = (
        frozenset(("subject",)),
        frozenset((_EMAIL,)),
        frozenset(("instance_id",)),
    )

    type: Literal["google"]
    issuer: str = "https://accounts.google.com"
    """The `iss` of its tokens, where that is not Google's own."""
    max_age: Duration = 3600
    """How old a token may be, counted from its `iat`, and for how long it may have been made."""

    @property
    def attribute_names(self) -> frozenset[str]:
        """What a token says of the service account, and of the virtual machine, where there is one."""
        return frozenset((*_PATHS, _EMAIL))

    @property
    def identifying(self) -> frozenset[str]:
        """The service account by its number."""
        return frozenset(("subject",))

    def identify(self, verified: VerifiedClaims) -> Identified:
        """See :meth:`JwtSourceTable.identify`."""
        # OpenID Connect Core section 5.1: an address that was not verified says nothing about who it belongs to.
        email = {_EMAIL: (_EMAIL,)} if verified.claims.get("email_verified") is True else {}
        return Identified(numeric(verified.claims, "sub"), attributes_at(verified.claims, {**_PATHS, **email}))
