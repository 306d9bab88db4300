"""A client certificate of a private authority, shown to the token endpoint in TLS (RFC 8705 section 2)."""

from pathlib import Path
from typing import Final

from authserver.client.certificate_files import CertificateFiles
from authserver.client.failures import IdentityUnusable
from authserver.client.supplier import Offer, Surroundings
from authserver.oauth import Grant

CERTIFICATE: Final = "AUTHSERVER_CLIENT_CERTIFICATE_FILE"
KEY: Final = "AUTHSERVER_CLIENT_KEY_FILE"


class X509Supplier:
    """Shows the certificate in ``AUTHSERVER_CLIENT_CERTIFICATE_FILE``, whose key is in ``AUTHSERVER_CLIENT_KEY_FILE``.

    The key may be in the file of the certificate; then the second variable is not set. Both are read anew each time,
    so whoever renews them need not restart the program. Tokens are bound to the certificate: calls to an API must show
    it as well, and a token dies with it.
    """

    name: Final = "x509"

    def __init__(self, surroundings: Surroundings) -> None:
        self._certificate = surroundings.environ.get(CERTIFICATE)
        self._key = surroundings.environ.get(KEY)

    @property
    def marker(self) -> str:
        """See :class:`authserver.client.supplier.Link`."""
        return f"{CERTIFICATE} names {self._certificate}" if self._certificate is not None else f"{KEY} is set"

    def present(self) -> bool:
        """See :class:`authserver.client.supplier.Supplier`."""
        return self.absence() is None

    def absence(self) -> str | None:
        """See :class:`authserver.client.supplier.Link`."""
        return f"{CERTIFICATE} is not set" if self._certificate is None and self._key is None else None

    def check(self, now: float) -> None:
        """See :class:`authserver.client.supplier.Link`."""
        self._files().check(now)

    def offer(self, now: float) -> Offer:
        """See :class:`authserver.client.supplier.Supplier`."""
        files = self._files()
        return Offer(Grant.CLIENT_CREDENTIALS, {}, certificate=files, shown=files.check(now))

    def _files(self) -> CertificateFiles:
        if not self._certificate or self._key == "":
            empty = CERTIFICATE if not self._certificate else KEY
            raise IdentityUnusable(f"{empty} is empty or not set. Name a file in it, or unset {CERTIFICATE} and {KEY}")
        return CertificateFiles(Path(self._certificate), Path(self._key or self._certificate))
