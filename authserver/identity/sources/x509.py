"""Programs and hosts with a client certificate of a private authority (RFC 8705 section 2.1).

Section 2.1.2 lets a client be known by its distinguished name, or by one name of one kind in the subject alternative
name. Here a source says which, and every certificate of its callers has exactly one of that.
"""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from authserver.errors import CredentialRejected, Reason
from authserver.identity.certificate_source import AuthorityTable
from authserver.identity.certificates import certificate_extension, names_of
from authserver.identity.source import Attributes, Identified
from authserver.identity.spiffe_id import SCHEME
from authserver.identity.spiffe_workload import read_spiffe_id

_ATTRIBUTES: Final = frozenset(("dns", "path", "spiffe_id", "subject_dn", "thumbprint", "trust_domain"))


class X509Table(AuthorityTable):
    """Callers with client certificates of a private authority."""

    recyclable: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    one_workload: ClassVar[tuple[frozenset[str], ...]] = (
        frozenset(("dns",)),
        frozenset(("spiffe_id",)),
        frozenset(("subject_dn",)),
        frozenset(("thumbprint",)),
    )

    type: Literal["x509"]
    subject: Literal["dns", "spiffe_id", "subject_dn"] = "dns"
    """What names the caller in its certificate: its DNS name, its SPIFFE ID, or its distinguished name."""

    @property
    def attribute_names(self) -> frozenset[str]:
        """The names in a certificate, and the thumbprint of it."""
        return _ATTRIBUTES

    @property
    def identifying(self) -> frozenset[str]:
        """What names the caller; it stays when the certificate is renewed, and the thumbprint does not."""
        return frozenset((self.subject,))

    def identify(self, leaf: x509.Certificate) -> Identified:
        """See :meth:`authserver.identity.certificate_source.AuthorityTable.identify`."""
        purposes = certificate_extension(leaf, x509.ExtendedKeyUsage)
        if purposes is None or ExtendedKeyUsageOID.CLIENT_AUTH not in purposes:
            raise CredentialRejected(Reason.CERTIFICATE_UNSUITABLE, because="it is not for clients")
        attributes = _attributes(leaf)
        names = attributes.get(self.subject, ())
        if len(names) != 1:
            raise CredentialRejected(Reason.CERTIFICATE_NAME_WRONG, attribute=self.subject, names=len(names))
        return Identified(names[0], attributes)


def _attributes(leaf: x509.Certificate) -> Attributes:
    names = list(leaf.subject)
    subject_dn = leaf.subject.rfc4514_string()
    if not subject_dn.isprintable():
        raise CredentialRejected(Reason.CERTIFICATE_MALFORMED)
    found = {"dns": names_of(leaf, x509.DNSName), "subject_dn": (subject_dn,) if names else (), **_of_spiffe_id(leaf)}
    return {name: values for name, values in found.items() if values}


def _of_spiffe_id(leaf: x509.Certificate) -> Attributes:
    spiffe_ids = [uri for uri in names_of(leaf, x509.UniformResourceIdentifier) if uri.startswith(SCHEME)]
    if len(spiffe_ids) > 1:  # X509-SVID section 2
        raise CredentialRejected(Reason.CERTIFICATE_NAME_WRONG, attribute="spiffe_id", names=len(spiffe_ids))
    read = map(read_spiffe_id, spiffe_ids)
    return next(
        ({"spiffe_id": (str(each),), "trust_domain": (each.trust_domain,), "path": (each.path,)} for each in read), {}
    )
