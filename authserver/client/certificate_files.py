"""A client certificate and its private key, in files that somebody else renews."""

import datetime
import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from authserver.client.failures import IdentityUnusable


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate with what stands between it and its authority, and its key, both in PEM; read anew each time.

    ``key`` may be the same file. It must not be encrypted: nobody is there who could be asked.
    """

    certificate: Path
    key: Path

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have TLS connections that are made with ``context`` from now on show the certificate.

        :raises IdentityUnusable: it cannot be shown.
        """
        try:
            context.load_cert_chain(self.certificate, self.key, password=_nobody_to_ask)
        except ssl.SSLError as error:
            why = error.reason or "they are not a certificate and its key in PEM"
            raise IdentityUnusable(f"{self.certificate} and {self.key} cannot be used: {why}") from None
        except OSError as error:
            raise IdentityUnusable(f"{error.filename or self.key} cannot be read: {error.strerror}") from None
        except ValueError:
            raise IdentityUnusable(f"{self.key} is encrypted. Store the key without a passphrase") from None

    def check(self, now: float) -> str:
        """Check what is in the files at ``now``, in seconds since the epoch. Returns what tells this certificate apart.

        :raises IdentityUnusable: it cannot be shown, or is over.
        """
        self.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        leaf = self._leaf()
        if leaf.not_valid_after_utc < datetime.datetime.fromtimestamp(now, datetime.UTC):
            raise IdentityUnusable(
                f"the certificate in {self.certificate} has expired. Whatever put it there must renew it"
            )
        return hashlib.sha256(leaf.tbs_certificate_bytes).hexdigest()

    def _leaf(self) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificate(self.certificate.read_bytes())
        except OSError as error:  # OpenSSL could read it a moment ago, so somebody is at it
            raise IdentityUnusable(f"{self.certificate} cannot be read: {error.strerror}") from None
        except (ValueError, x509.InvalidVersion):
            raise IdentityUnusable(f"{self.certificate} cannot be used: it is not a certificate in PEM") from None


def _nobody_to_ask() -> str:
    raise ValueError("the key is encrypted")
