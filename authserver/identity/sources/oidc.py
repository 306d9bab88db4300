"""Any OpenID Connect issuer: which claims are attributes is data."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from authserver.identity.source import Identified, JwtSourceTable, attributes_at
from authserver.jose.verify import VerifiedClaims
from authserver.table import Strings


class OidcTable(JwtSourceTable):
    """An issuer of ID tokens (OpenID Connect Core section 2).

    ``attributes`` lists the claims that rules may match; a dotted name reaches into objects, unless a claim has
    just that name. The subject is the token's ``sub``.
    """

    default_algorithms: ClassVar[tuple[str, ...]] = ("RS256", "ES256", "ES384", "PS256", "EdDSA")
    # OpenID Connect Core section 5.7: only `sub` stays with its owner; these may be given to somebody else.
    recyclable: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "email": ("sub",),
        "preferred_username": ("sub",),
        "phone_number": ("sub",),
        "upn": ("sub",),
    }
    one_workload: ClassVar[tuple[frozenset[str], ...]] = (
        frozenset(("sub",)),
        frozenset(("email",)),
        frozenset(("preferred_username",)),
        frozenset(("upn",)),
    )

    type: Literal["oidc"]
    attributes: Strings = ()
    """The claims that rules may match."""

    @property
    def attribute_names(self) -> frozenset[str]:
        """What the configuration lists."""
        return frozenset(self.attributes)

    @property
    def identifying(self) -> frozenset[str]:
        """``sub``, where it is an attribute: it is never given to another caller (OpenID Connect Core section 2)."""
        return frozenset(("sub",)) & self.attribute_names or self.attribute_names

    def identify(self, verified: VerifiedClaims) -> Identified:
        """See :meth:`JwtSourceTable.identify`."""
        paths = {name: (name,) if name in verified.claims else tuple(name.split(".")) for name in self.attributes}
        return Identified(verified.text("sub"), attributes_at(verified.claims, paths))
