"""Who a SPIFFE ID names, whichever kind of SVID carries it."""

from typing import Final

from authserver.errors import CredentialRejected, Reason
from authserver.identity.source import Identified
from authserver.identity.spiffe_id import SpiffeId

ATTRIBUTES: Final = frozenset(("trust_domain", "path", "spiffe_id", "dns", "thumbprint"))
"""What rules may match of a workload. The last two are of the certificate of one that shows an X.509-SVID."""


def read_spiffe_id(text: str) -> SpiffeId:
    """The SPIFFE ID in a credential.

    :raises CredentialRejected: ``spiffe_id_malformed``.
    """
    try:
        return SpiffeId.parse(text)
    except ValueError as error:
        raise CredentialRejected(Reason.SPIFFE_ID_MALFORMED) from error


def identify_workload(text: str, trust_domain: str) -> Identified:
    """The workload that a SPIFFE ID names, for which an authority of ``trust_domain`` has vouched.

    :raises CredentialRejected: ``spiffe_id_malformed``, for the ID of a trust domain as a whole too, or
        ``trust_domain_wrong``: it is not for that authority to name.
    """
    spiffe_id = read_spiffe_id(text)
    if spiffe_id.trust_domain != trust_domain:
        raise CredentialRejected(Reason.TRUST_DOMAIN_WRONG, trust_domain=spiffe_id.trust_domain, expected=trust_domain)
    if not spiffe_id.path:
        raise CredentialRejected(Reason.SPIFFE_ID_MALFORMED)
    values = {"trust_domain": spiffe_id.trust_domain, "path": spiffe_id.path, "spiffe_id": str(spiffe_id)}
    return Identified(str(spiffe_id), {name: (value,) for name, value in values.items()})
