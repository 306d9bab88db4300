"""SPIFFE workloads, by the JWT-SVID that the Workload API gives them.

https://github.com/spiffe/spiffe/blob/main/standards/JWT-SVID.md. A JWT-SVID is from the trust domain in its ``sub``;
the standard gives ``iss`` no meaning, and SPIRE leaves it out unless ``jwt_issuer`` is set.
"""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from authserver.identity.source import IDENTITY_TYPES, Identified, JwksTable, JwtSourceTable
from authserver.identity.spiffe_id import SpiffeId, check_trust_domain
from authserver.identity.spiffe_workload import ATTRIBUTES, identify_workload
from authserver.jose.verify import VerifiedClaims
from authserver.table import Duration, Mistake

_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")  # section 2.1
_SPIFFE_ID: Final = frozenset(("spiffe_id",))


def _trust_domain(name: str) -> str:
    try:
        check_trust_domain(name)
    except ValueError as error:
        raise Mistake(
            "is not the name of a trust domain", 'Write it as in SPIFFE IDs and without "spiffe://": "example.org".'
        ) from error
    return name


class SpiffeTable(JwtSourceTable):
    """A trust domain whose workloads are callers. The subject is the SPIFFE ID.

    Only the authorities in ``bundle`` speak for ``trust_domain``, and for no other one.
    """

    default_algorithms: ClassVar[tuple[str, ...]] = _ALGORITHMS
    token_types: ClassVar[frozenset[str | None]] = IDENTITY_TYPES | {"jose"}  # section 2.3
    # Nothing is recyclable: a SPIFFE ID is all that there is, and who registers workloads decides who has it.
    one_workload: ClassVar[tuple[frozenset[str], ...]] = (_SPIFFE_ID, frozenset(("path",)))

    type: Literal["spiffe"]
    trust_domain: Annotated[str, AfterValidator(_trust_domain)]
    """The name of the trust domain, without `spiffe://`."""
    jwks: JwksTable = Field(alias="bundle")
    """Where the trust domain's bundle is."""
    issuer: str = Field(default="", min_length=1)
    """The `iss` that its JWT-SVIDs must have, for a trust domain that writes one."""
    max_age: Duration = 3600
    """How old a JWT-SVID may be, counted from its `iat`, and for how long it may have been made."""

    @model_validator(mode="after")
    def _no_other_algorithm(self) -> "SpiffeTable":
        others = sorted(set(self.algorithms or ()) - set(_ALGORITHMS))
        if others:
            known = ", ".join(_ALGORITHMS)
            raise Mistake(f"has algorithms that no JWT-SVID may have: {', '.join(others)}", f"Use some of: {known}.")
        return self

    @property
    def origin(self) -> str:
        """The trust domain, as its SPIFFE IDs begin."""
        return str(SpiffeId(self.trust_domain, ""))

    @property
    def attribute_names(self) -> frozenset[str]:
        """The SPIFFE ID and the two parts of it, and what a certificate says besides."""
        return ATTRIBUTES

    @property
    def identifying(self) -> frozenset[str]:
        """The SPIFFE ID."""
        return _SPIFFE_ID

    def identify(self, verified: VerifiedClaims) -> Identified:
        """See :meth:`JwtSourceTable.identify`."""
        return identify_workload(verified.text("sub"), self.trust_domain)
