"""A client certificate as a request brings it: from the TLS connection, or in a header of a proxy (RFC 9440)."""

import base64
import binascii
import hashlib
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

CLIENT_CERT: Final = "client-cert"
CLIENT_CERT_CHAIN: Final = "client-cert-chain"
"""The two header fields of RFC 9440 section 2, in lower case."""

LARGEST: Final = 16 * 1024
"""The longest certificate that is looked at, in bytes of DER."""

MOST: Final = 10
"""How many certificates one request may bring."""

_BYTE_SEQUENCE = re.compile(r":([A-Za-z0-9+/]*={0,2}):")  # RFC 9651 section 3.3.5
_DER: Final = 2  # _ssl.ENCODING_DER


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """Certificates in DER: ``leaf``, whose key TLS has proved, and ``intermediates`` that came with it, in order.

    That key is all that is known. Who signed the certificate, and what stands in it, nobody has looked at.
    """

    leaf: bytes = field(repr=False)
    intermediates: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def thumbprint(self) -> str:
        """What a token is bound to: ``x5t#S256`` (RFC 8705 section 3.1)."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.leaf).digest()).rstrip(b"=").decode("ascii")


def of_connection(connection: object) -> ClientCertificate | None:
    """The certificate that the other end of a TLS connection has shown; None for one without, and for plain sockets."""
    leaf = connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLSocket) else None
    if leaf is None:
        return None
    return ClientCertificate(leaf, tuple(each for each in _sent(connection) if each != leaf))


def of_pem(*certificates: str) -> ClientCertificate | None:
    """The certificate that is the first of ``certificates``, each in PEM; None where there is none that can be read."""
    try:
        leaf, *intermediates = map(ssl.PEM_cert_to_DER_cert, filter(None, certificates))
    except ValueError:
        return None
    return ClientCertificate(leaf, tuple(intermediates))


def of_headers(leaf: Sequence[str], chain: Sequence[str]) -> ClientCertificate | None:
    """The certificate in the header fields ``Client-Cert`` and ``Client-Cert-Chain``; None where both say nothing.

    ``leaf`` and ``chain`` are all values of each. Whoever wrote them must be believed already.

    :raises ValueError: they are not as RFC 9440 section 2 has them, or too much.
    """
    leaves, intermediates = _byte_sequences(leaf), _byte_sequences(chain)
    if len(leaves) > 1 or (intermediates and not leaves) or len(intermediates) >= MOST:
        raise ValueError("not one client certificate with its chain")
    return ClientCertificate(leaves[0], intermediates) if leaves else None


def _byte_sequences(values: Sequence[str]) -> tuple[bytes, ...]:
    """The members of a list of byte sequences (RFC 9651). What is in one is of no interest here."""
    members = [member.strip(" \t") for value in values for member in value.split(",") if value.strip(" \t")]
    return tuple(map(_byte_sequence, members))


def _byte_sequence(text: str) -> bytes:
    match = _BYTE_SEQUENCE.fullmatch(text)
    if match is None or not 0 < len(match[1]) <= LARGEST * 4 / 3 + 4:
        raise ValueError("not a certificate in a byte sequence")
    try:
        return base64.b64decode(match[1], validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None


def _sent(connection: Any) -> list[bytes]:
    """Everything that the other end has sent, itself first. It may be missing: a resumed session has forgotten it."""
    if hasattr(connection, "get_unverified_chain"):  # Python 3.13
        return list(connection.get_unverified_chain())
    return [each.public_bytes(_DER) for each in connection._sslobj.get_unverified_chain() or ()]
