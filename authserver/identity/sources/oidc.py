"""Any OpenID Connect issuer: which claims are attributes is data."""

from typing import ClassVar, Literal

from authserver.identity.source import Identified, SourceTable, attributes_at
from authserver.jose.verify import VerifiedClaims
from authserver.table import Strings


class OidcTable(SourceTable):
    """An issuer of ID tokens (OpenID Connect Core section 2).

    ``attributes`` lists the claims that rules may match; a dotted name reaches into objects, unless a claim has
    just that name. The subject is the token's ``sub``.
    """

    default_algorithms: ClassVar[tuple[str, ...]] = ("RS256", "ES256", "ES384", "PS256", "EdDSA")

    type: Literal["oidc"]
    attributes: Strings = ()

    @property
    def attribute_names(self) -> frozenset[str]:
        """What the configuration lists."""
        return frozenset(self.attributes)

    def identify(self, verified: VerifiedClaims) -> Identified:
        """See :meth:`SourceTable.identify`."""
        paths = {name: (name,) if name in verified.claims else tuple(name.split(".")) for name in self.attributes}
        return Identified(verified.text("sub"), attributes_at(verified.claims, paths))
