"""TLS by this server itself, with the certificates of clients asked for and never demanded."""

import logging
import ssl
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from authserver.errors import ConfigurationError, Problem
from authserver.settings import Settings

_log = logging.getLogger("authserver")

_NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which the standard library does not name

Authorities = Callable[[], Iterable[x509.Certificate]]
State = tuple[tuple[int, ...], tuple[x509.Certificate, ...]]


def server_tls(settings: Settings, authorities: Authorities = tuple) -> "ServerTls | None":
    """What ``[server] tls`` names, for clients with certificates of ``authorities``; None where it names nothing.

    :raises ConfigurationError: the certificate or its key cannot be used.
    """
    named = settings.server.tls
    if named is None:
        return None
    tls = ServerTls(settings.base / named.cert_file, settings.base / named.key_file, authorities)
    try:
        tls.context()
    except OSError as error:
        why = getattr(error, "reason", None) or error.strerror or "they hold something else"
        remedy = "Name a certificate and its private key, both in PEM, and let the server read them."
        problem = Problem(str(settings.file), "server.tls", f"names files that cannot be used: {why}", remedy)
        raise ConfigurationError([problem]) from None
    return tls


class ServerTls:
    """Gives the context of each new connection, made anew when a file or the authorities have changed.

    ``authorities`` says whose certificates clients may show. OpenSSL refuses a connection with any other before there
    is a request; there is no system store among them. Everything else about a certificate, its times above all, is
    judged where the audit log can say what was wrong with it.
    """

    def __init__(self, cert_file: Path, key_file: Path, authorities: Authorities) -> None:
        self.cert_file = cert_file
        self.key_file = key_file
        self._authorities = authorities
        self._made: tuple[State, ssl.SSLContext] | None = None
        self._told = False

    def context(self) -> ssl.SSLContext:
        """The context of the next connection. While new files cannot be used, the last good ones are.

        :raises OSError: there are none that can be used, and never were.
        """
        authorities = tuple(self._authorities())
        made = self._made
        try:
            state = _state(self.cert_file, self.key_file), authorities
            if made is None or made[0] != state:
                made = self._made = state, _context(self.cert_file, self.key_file, authorities)
        except OSError:
            if made is None:
                raise
            if not self._told:  # once, and not for every connection
                _log.exception("the certificate of server.tls was not read again; the last good one stays in use")
            self._told = True
        else:
            self._told = False
        return made[1]


def _context(cert_file: Path, key_file: Path, authorities: Sequence[x509.Certificate]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A resumed session would bring back a certificate without the chain that came with it.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.options |= ssl.OP_NO_RENEGOTIATION  # or another certificate could come in the middle of a connection
    if authorities:
        context.load_verify_locations(cadata=b"".join(each.public_bytes(Encoding.DER) for each in authorities))
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(_NO_CHECK_TIME)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _state(*files: Path) -> tuple[int, ...]:
    found = [file.stat() for file in files]
    return tuple(number for each in found for number in (each.st_dev, each.st_ino, each.st_size, each.st_mtime_ns))
