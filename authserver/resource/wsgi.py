"""What a WSGI environment (PEP 3333) says of a proof and of a certificate, for the adapters of WSGI frameworks."""

import string
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from authserver.certificate import ClientCertificate, of_connection, of_pem
from authserver.resource.address import ExternalAddress
from authserver.resource.certificates import CertificateFinder
from authserver.resource.credential import OfferedProof

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_AS_SENT: Final = string.punctuation.replace("?", "").replace("#", "")
_SOCKETS: Final = ("gunicorn.socket", "werkzeug.socket")
_IN_PATH: Final = "/:@!$&'()*+,;=~"  # RFC 3986 section 3.3


def offered_proof(environ: "WSGIEnvironment", address: ExternalAddress) -> OfferedProof | None:
    """The proof that a request brings, if any. WSGI has room for one ``DPoP`` header: servers join repeated ones."""
    header = environ.get("HTTP_DPOP")
    if header is None:
        return None
    own_origin = f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}"
    urls = address.of(sent_path(environ), own_origin=own_origin, peer=_peer(environ))
    return OfferedProof((header,), environ["REQUEST_METHOD"], urls)


def client_certificate(environ: "WSGIEnvironment", finder: CertificateFinder | None) -> ClientCertificate | None:
    """The certificate of the caller, if one is looked for and there is one."""
    if finder is None:
        return None
    # Werkzeug's ProxyFix puts what a proxy says of its caller, or a caller of itself, in the place of the other end.
    connected = environ.get("werkzeug.proxy_fix.orig", environ)
    return finder.find(lambda: _of_connection(environ), lambda name: _header(environ, name), _peer(connected))


def _of_connection(environ: "WSGIEnvironment") -> ClientCertificate | None:
    """What the server says of its TLS connection. gunicorn and Werkzeug hand over the socket, mod_wsgi the PEM."""
    sockets = (environ.get(name) for name in _SOCKETS)
    found = next(filter(None, map(of_connection, sockets)), None)
    return found or of_pem(environ.get("SSL_CLIENT_CERT", ""))


def _header(environ: "WSGIEnvironment", name: str) -> tuple[str, ...]:
    value = environ.get("HTTP_" + name.upper().replace("-", "_"))
    return () if value is None else (value,)


def _peer(environ: "WSGIEnvironment") -> str:
    return str(environ.get("REMOTE_ADDR", ""))


def sent_path(environ: "WSGIEnvironment") -> str:
    """The path of a request as it was sent, in ASCII.

    ``PATH_INFO`` is decoded, so that ``%2F`` cannot be told from ``/``. Most servers also give the target as it came,
    under one of two names. For the others the path is encoded anew; a path that has no ``%2F`` comes out the same.
    """
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if not target:
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        return quote(path.encode("latin-1", "replace"), safe=_IN_PATH)
    path = target.partition("#")[0].partition("?")[0]
    if not path.startswith("/"):  # RFC 9112 section 3.2.2: a request to a proxy names the whole URL
        _, slash, rest = path.partition("://")[2].partition("/")
        path = slash + rest
    return quote(path.encode("latin-1", "replace"), safe=_AS_SENT)
