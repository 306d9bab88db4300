"""Azure managed identities, and other applications of one Entra tenant, by the access token for an application of ours.

Claims: https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference. The application that
stands for us decides whether its tokens are of version 1.0 or 2.0, and with that what their issuer is.
"""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator

from authserver.errors import CredentialRejected, Reason
from authserver.identity.source import Identified, JwtSourceTable, attributes_at
from authserver.jose.verify import VerifiedClaims
from authserver.table import Duration, Keywords, Mistake

_ISSUER: Final = r"https?://[^/?#]+/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/(?:v2\.0)?"
_PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "tenant_id": ("tid",),
    "object_id": ("oid",),
    "resource_id": ("xms_mirid",),
}
_APP_ID: Final = ("appid", "azp")  # as version 1.0 and version 2.0 have it


def _tenant(issuer: str) -> str | None:
    found = re.fullmatch(_ISSUER, issuer)
    return found[1] if found else None


def _of_one_tenant(issuer: str) -> str:
    # No token has "common", "organizations" or a domain in its issuer: these are names of endpoints.
    if _tenant(issuer) is None:
        raise Mistake(
            "is not the issuer of one tenant",
            'Write "https://sts.windows.net/TENANT/" (version 1.0) or "https://login.microsoftonline.com/TENANT/v2.0", '
            "with the tenant's ID in lower case, and never common or organizations.",
        )
    return issuer


class AzureTable(JwtSourceTable):
    """Managed identities of one tenant of Microsoft Entra ID. The subject is the object ID of the identity."""

    default_algorithms: ClassVar[tuple[str, ...]] = ("RS256",)
    # The path of a resource is made of names; one that is deleted and made anew gets another object and client ID.
    recyclable: ClassVar[Mapping[str, tuple[str, ...]]] = {"resource_id": ("object_id", "app_id")}
    one_workload: ClassVar[tuple[frozenset[str], ...]] = (
        frozenset(("object_id",)),
        frozenset(("app_id",)),
        frozenset(("resource_id",)),
    )

    type: Literal["azure"]
    issuer: Annotated[str, AfterValidator(_of_one_tenant), Keywords({"pattern": f"^{_ISSUER}$"})]
    """The `iss` of its tokens, with the ID of the one tenant that they are from."""
    # A managed identity has a token for 24 hours, which is backdated by five minutes.
    max_age: Duration = 25 * 3600
    """How old a token may be, counted from its `iat`, and for how long it may have been made."""

    @property
    def attribute_names(self) -> frozenset[str]:
        """What a token says of the identity, and of the resource that it is, or belongs to."""
        return frozenset((*_PATHS, "app_id"))

    @property
    def identifying(self) -> frozenset[str]:
        """The identity by its number in the tenant."""
        return frozenset(("object_id",))

    def identify(self, verified: VerifiedClaims) -> Identified:
        """See :meth:`JwtSourceTable.identify`."""
        if verified.text("tid") != _tenant(self.issuer):
            raise CredentialRejected(Reason.CLAIM_MALFORMED, claim="tid")
        subject = verified.text("oid")
        # In the token of a person `sub` is another value; what acts for itself has the same one in both.
        if verified.text("sub") != subject:
            raise CredentialRejected(Reason.SUBJECT_MISMATCH, sub=verified.text("sub"), claims=subject)
        app_id = next((name for name in _APP_ID if name in verified.claims), _APP_ID[0])
        return Identified(subject, attributes_at(verified.claims, {**_PATHS, "app_id": (app_id,)}))
