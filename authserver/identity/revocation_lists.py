"""Whether an authority has taken a certificate back: certificate revocation lists (RFC 5280 section 6.3) in a file."""

import datetime
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography import x509

from authserver.errors import CredentialRejected, Reason, Unavailable
from authserver.identity.certificates import UNREADABLE, certificate_extension
from authserver.identity.watched_file import WatchedFile

RETRY_AFTER: Final = 60
"""Seconds after which it is worth asking again: somebody has to put a list into the file."""

_OVER: Final = "it is over, or not valid yet"
_OF_SOME: Final = (x509.DeltaCRLIndicator, x509.IssuingDistributionPoint)
_PEM = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)


class RevocationLists:
    """The lists in ``file``, in PEM: one of each authority that stands in a path. ``skew`` is in seconds."""

    def __init__(self, file: Path, skew: int) -> None:
        self._file = WatchedFile(file, read_revocation_lists)
        self._skew = datetime.timedelta(seconds=skew)

    def check(self, path: Sequence[x509.Certificate], now: float) -> None:
        """Check that no certificate of a path was revoked; the last is the authority that is trusted.

        :raises CredentialRejected: ``certificate_revoked``.
        :raises Unavailable: ``revocation_list_unavailable``. Without a list that its issuer signed and that is not over
            nobody knows, and then nobody is let in.
        """
        at = datetime.datetime.fromtimestamp(now, datetime.UTC)
        lists = self._current()
        for certificate, issuer in pairwise(path):
            signed = [each for each in lists if _is_of(each, issuer)]
            fresh = [each for each in signed if self._is_fresh(each, at)]
            if not fresh:
                raise _unavailable(_OVER if signed else "there is none of this authority", issuer.subject)
            if any(each.get_revoked_certificate_by_serial_number(certificate.serial_number) for each in fresh):
                raise CredentialRejected(Reason.CERTIFICATE_REVOKED, serial=f"{certificate.serial_number:x}")

    def check_fresh(self, now: float) -> None:
        """Check that there are lists, and that none is over.

        :raises Unavailable: ``revocation_list_unavailable``.
        """
        at = datetime.datetime.fromtimestamp(now, datetime.UTC)
        for crl in self._current():
            if not self._is_fresh(crl, at):
                raise _unavailable(_OVER, crl.issuer)

    def _current(self) -> tuple[x509.CertificateRevocationList, ...]:
        try:
            return self._file.current()
        except (OSError, ValueError) as error:
            because = "its file cannot be read" if isinstance(error, OSError) else "its file holds something else"
            raise _unavailable(because, None) from None

    def _is_fresh(self, crl: x509.CertificateRevocationList, at: datetime.datetime) -> bool:
        begins, ends = crl.last_update_utc, crl.next_update_utc
        return ends is not None and begins - self._skew <= at < ends + self._skew


def read_revocation_lists(pem: bytes) -> tuple[x509.CertificateRevocationList, ...]:
    """Read every revocation list in ``pem``.

    :raises ValueError: there is none, or one that cannot be read, or one that does not tell of all certificates.
    """
    try:
        lists = tuple(map(x509.load_pem_x509_crl, _PEM.findall(pem)))
        extensions = [extension for crl in lists for extension in crl.extensions]
    except UNREADABLE:
        raise ValueError("not a list of revoked certificates") from None
    # The lists that are only about some certificates, or about what has changed, say so in extensions that ought to be
    # critical (RFC 5280 sections 5.2.4 and 5.2.5). Taken for a whole one, such a list would hide what it does not tell.
    if not lists or any(each.critical or isinstance(each.value, _OF_SOME) for each in extensions):
        raise ValueError("not a list of all revoked certificates")
    return lists


def _unavailable(because: str, authority: x509.Name | None) -> Unavailable:
    shown = None if authority is None else authority.rfc4514_string()
    return Unavailable(Reason.REVOCATION_LIST_UNAVAILABLE, retry_after=RETRY_AFTER, because=because, authority=shown)


def _is_of(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    """Whether an authority has signed a list, with a key that may sign lists."""
    usage = certificate_extension(issuer, x509.KeyUsage)
    if crl.issuer != issuer.subject or (usage is not None and not usage.crl_sign):
        return False
    key = issuer.public_key()
    return crl.is_signature_valid(key)  # type: ignore[arg-type]  # it has signed a certificate, so it can
