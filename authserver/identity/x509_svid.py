"""SPIFFE workloads, by the X.509-SVID that they show in TLS.

https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md. Only the authorities in the bundle of the trust
domain that the SPIFFE ID names decide whether one is believed, and never a system store (section 5).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography import x509

from authserver.certificate import ClientCertificate
from authserver.errors import CredentialRejected, Reason
from authserver.identity.certificate_source import certified_subject, presented
from authserver.identity.certificates import certificate_extension, check_leaf, names_of, read_certificate, verify_path
from authserver.identity.source import Identified
from authserver.identity.spiffe_id import SCHEME
from authserver.identity.spiffe_workload import identify_workload
from authserver.model import Subject


class Bundle(Protocol):
    """What a trust domain's bundle says of X.509-SVIDs."""

    def x509_authorities(self, now: float) -> Sequence[x509.Certificate]:
        """The authorities that they lead to.

        :raises Unavailable: they cannot be known at the moment.
        """
        ...  # a protocol has no body


@dataclass(frozen=True, slots=True)
class SvidSource:
    """A trust domain whose workloads show X.509-SVIDs: a :class:`CertificateSource`. ``skew`` is in seconds."""

    name: str
    trust_domain: str
    bundle: Bundle
    skew: int

    def authorities(self, now: float) -> Sequence[x509.Certificate]:
        """See :class:`authserver.identity.certificate_source.CertificateSource`."""
        return self.bundle.x509_authorities(now)

    def authenticate(self, certificate: ClientCertificate, now: float) -> Subject:
        """See :class:`authserver.identity.certificate_source.CertificateSource`."""
        sent = presented(certificate)
        read = tuple(map(read_certificate, sent))
        if not any(map(self._is_ours, _uris(read[0]))):
            raise CredentialRejected(Reason.CERTIFICATE_UNTRUSTED)
        verify_path(sent, self.authorities(now), now, skew=self.skew)
        return certified_subject(self.name, read_svid(read, self.trust_domain), certificate)

    def _is_ours(self, unverified_uri: str) -> bool:
        spiffe_id = SCHEME + self.trust_domain
        return unverified_uri == spiffe_id or unverified_uri.startswith(spiffe_id + "/")


def read_svid(certificates: Sequence[x509.Certificate], trust_domain: str) -> Identified:
    """The workload that the first of ``certificates`` names. That they are of an authority is not looked at here.

    :raises CredentialRejected: they are not as sections 2 to 4 have them, or it is of another trust domain.
    """
    leaf, *signers = certificates
    check_leaf(leaf)
    if certificate_extension(leaf, x509.KeyUsage) is None:
        raise CredentialRejected(Reason.CERTIFICATE_UNSUITABLE, because="it does not say what its key is for")
    if not all(map(_may_sign, signers)):
        raise CredentialRejected(Reason.CERTIFICATE_UNSUITABLE, because="one that came with it may not sign others")
    uris = _uris(leaf)
    if len(uris) != 1:
        raise CredentialRejected(Reason.CERTIFICATE_NAME_WRONG, attribute="spiffe_id", names=len(uris))
    identified = identify_workload(uris[0], trust_domain)
    dns = names_of(leaf, x509.DNSName)
    return Identified(identified.subject, {**identified.attributes, **({"dns": dns} if dns else {})})


def _uris(certificate: x509.Certificate) -> tuple[str, ...]:
    return names_of(certificate, x509.UniformResourceIdentifier)


def _may_sign(certificate: x509.Certificate) -> bool:
    """Sections 4.1 and 4.3."""
    constraints = certificate_extension(certificate, x509.BasicConstraints)
    usage = certificate_extension(certificate, x509.KeyUsage)
    return constraints is not None and constraints.ca and usage is not None and usage.key_cert_sign
