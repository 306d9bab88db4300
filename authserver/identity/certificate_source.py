"""What every source of client certificates has in common (RFC 8705 section 2.1)."""

import hashlib
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

from cryptography import x509
from pydantic import Field

from authserver.certificate import MOST, ClientCertificate
from authserver.errors import CredentialRejected, Reason, Refused, Unavailable
from authserver.identity.certificates import read_authorities, verify_path
from authserver.identity.revocation_lists import RETRY_AFTER, RevocationLists
from authserver.identity.source import Attributes, Identified, SourceTable
from authserver.identity.watched_file import WatchedFile
from authserver.model import Subject


class CertificateSource(Protocol):
    """One configured source whose callers are known by a certificate."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        ...  # a protocol has no body

    def authorities(self, now: float) -> Sequence[x509.Certificate]:
        """Whose certificates may belong to this source.

        :raises Unavailable: they cannot be known at the moment.
        """
        ...  # a protocol has no body

    def authenticate(self, certificate: ClientCertificate, now: float) -> Subject:
        """Believe a certificate whose key the caller has.

        :raises CredentialRejected: ``certificate_untrusted``, it is not of this source; or it is, and is not believed.
        :raises Unavailable: something that decides this is away.
        """
        ...  # a protocol has no body


class AuthorityTable(SourceTable):
    """The settings of a source whose callers have certificates of an authority, and how the type reads one."""

    ca_file: str = Field(min_length=1)
    """The path of the only certificate authorities that its callers' certificates may come from, in PEM."""
    crl_file: str | None = None
    """The path of the revocation lists of these authorities, in PEM."""

    @abstractmethod
    def identify(self, leaf: x509.Certificate) -> Identified:
        """Read the subject and its attributes from a certificate that was verified.

        :raises CredentialRejected: what names the subject is missing, is there twice, or is malformed.
        """


@dataclass(frozen=True, slots=True)
class AuthoritySource:
    """A source whose authorities stand in a file. ``revocations`` is None where none is kept; ``skew`` in seconds."""

    name: str
    table: AuthorityTable
    trusted: WatchedFile[tuple[x509.Certificate, ...]]
    revocations: RevocationLists | None
    skew: int

    @classmethod
    def of(cls, name: str, table: AuthorityTable, base: Path, skew: int) -> Self:
        """The source that ``table`` describes; its paths are relative to ``base``."""
        revocations = RevocationLists(base / table.crl_file, skew) if table.crl_file else None
        return cls(name, table, WatchedFile(base / table.ca_file, read_authorities), revocations, skew)

    def authorities(self, now: float) -> Sequence[x509.Certificate]:
        """See :class:`CertificateSource`."""
        del now  # a file says what it says
        try:
            return self.trusted.current()
        except (OSError, ValueError) as error:
            because = "the file cannot be read" if isinstance(error, OSError) else "the file holds something else"
            raise Unavailable(Reason.AUTHORITIES_UNAVAILABLE, retry_after=RETRY_AFTER, because=because) from None

    def check(self, now: float) -> None:
        """Check that what decides about all callers is there.

        :raises Unavailable: it is not, and nobody or not everybody is let in.
        """
        self.authorities(now)
        if self.revocations is not None:
            self.revocations.check_fresh(now)

    def authenticate(self, certificate: ClientCertificate, now: float) -> Subject:
        """See :class:`CertificateSource`."""
        path = verify_path(presented(certificate), self.authorities(now), now, skew=self.skew)
        if self.revocations is not None:
            self.revocations.check(path, now)
        return certified_subject(self.name, self.table.identify(path[0]), certificate)


class CertificateCallers:
    """Recognizes callers by their certificates, in the first of ``sources`` that they belong to."""

    def __init__(self, sources: Iterable[CertificateSource]) -> None:
        self._sources: Final = tuple(sources)

    def authenticate(self, certificate: ClientCertificate, now: float) -> Subject:
        """Believe a certificate at the source whose authority signed it.

        :raises CredentialRejected: it is of no source, or its source does not believe it.
        :raises Unavailable: something that decides this is away.
        """
        away: Refused | Unavailable | None = None
        for source in self._sources:
            try:
                return source.authenticate(certificate, now)
            except (Refused, Unavailable) as error:
                if error.reason is Reason.CERTIFICATE_UNTRUSTED:
                    continue
                error.source = source.name
                if error.reason is not Reason.AUTHORITIES_UNAVAILABLE:
                    raise
                away = away or error  # it may be another's, and a source that is away takes nothing from others
        raise away or CredentialRejected(Reason.CERTIFICATE_UNTRUSTED)


def presented(certificate: ClientCertificate) -> Sequence[bytes]:
    """Everything that a caller has sent, its own certificate first, in DER.

    :raises CredentialRejected: ``certificate_malformed``, it is more than anybody needs.
    """
    if len(certificate.intermediates) >= MOST:
        raise CredentialRejected(Reason.CERTIFICATE_MALFORMED)
    return certificate.leaf, *certificate.intermediates


def certified_subject(source: str, identified: Identified, certificate: ClientCertificate) -> Subject:
    """The caller that was known by a certificate, and whose tokens are bound to it."""
    thumbprint = certificate.thumbprint
    attributes: Attributes = {**identified.attributes, "thumbprint": (thumbprint,)}
    return Subject(
        source=source,
        subject=identified.subject,
        attributes=attributes,
        credential_id=hashlib.sha256(b"x5t:" + thumbprint.encode("ascii")).hexdigest(),
        certificate_thumbprint=thumbprint,
    )
