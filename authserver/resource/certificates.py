"""Tokens that are bound to a client certificate (RFC 8705 section 3), at a resource server.

Who signed the certificate is of no interest here: the issuer has looked at that, and what the token names is this
certificate and no other.
"""

import hmac
import ipaddress
import logging
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

from authserver.certificate import CLIENT_CERT, CLIENT_CERT_CHAIN, ClientCertificate, of_headers
from authserver.errors import CredentialRejected, Reason
from authserver.jose.addresses import Address, parse_address
from authserver.resource.token import VerifiedToken

_log = logging.getLogger("authserver.resource")

ClientCertificates: TypeAlias = Literal["tls"] | Sequence[str]
"""Where the certificates of callers are: on the TLS connection to this server, or in what these proxies say.

Proxies are networks, such as ``"10.0.0.0/8"``, whose header ``Client-Cert`` (RFC 9440) is believed.
"""

HeaderValues: TypeAlias = Callable[[str], Sequence[str]]


class CertificateFinder:
    """Finds the certificate of the caller of a request.

    :raises ValueError: ``where`` names no proxy, or every address there is.
    """

    def __init__(self, where: ClientCertificates) -> None:
        self._proxies: Final = None if where == "tls" else tuple(map(_network, _several(where)))

    def find(
        self, connection: Callable[[], ClientCertificate | None], headers: HeaderValues, peer: str
    ) -> ClientCertificate | None:
        """The certificate of a caller, if it has one.

        ``connection`` looks on the TLS connection that the request came by; ``headers`` gives all values of a header by
        its name in lower case, and is asked only where ``peer``, the address at the other end, is a proxy that is
        believed. What a proxy writes that is not as the RFC has it is no certificate.
        """
        if self._proxies is None:
            return connection()
        if not self._believes(peer):
            return None
        try:
            return of_headers(headers(CLIENT_CERT), headers(CLIENT_CERT_CHAIN))
        except ValueError:
            _log.warning("what a proxy says of a client certificate is not as RFC 9440 has it")
            return None

    def _believes(self, peer: str) -> bool:
        address = parse_address(peer)
        return address is not None and any(_unmapped(address) in proxy for proxy in self._proxies or ())


def _unmapped(address: Address) -> Address:
    """The IPv4 address that one of a socket for both families stands for."""
    return getattr(address, "ipv4_mapped", None) or address


def check_certificate(token: VerifiedToken, certificate: ClientCertificate | None) -> None:
    """Check that a bound token comes with the certificate that it is bound to, and with nothing else.

    :raises CredentialRejected: ``sender_unproven``, it is bound to no certificate, or to something else as well;
        ``certificate_missing`` or ``certificate_wrong``.
    """
    bound_to = token.certificate_thumbprint
    if bound_to is None:
        raise CredentialRejected(Reason.SENDER_UNPROVEN)
    if certificate is None:
        raise CredentialRejected(Reason.CERTIFICATE_MISSING)
    if not hmac.compare_digest(bound_to.encode(), certificate.thumbprint.encode()):
        raise CredentialRejected(Reason.CERTIFICATE_WRONG)


def _several(where: Sequence[str]) -> Sequence[str]:
    if isinstance(where, str) or not where:
        raise ValueError('client_certificates must be "tls" or a list of the networks of proxies')
    return where


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    network = ipaddress.ip_network(text)
    if network.prefixlen == 0:
        raise ValueError("client_certificates believes every address there is")
    return network
