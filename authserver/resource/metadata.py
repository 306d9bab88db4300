"""What a resource server says about itself (RFC 9728)."""

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from authserver.oauth import DPOP_ALGORITHMS, PROTECTED_RESOURCE_PATH
from authserver.resource.urls import is_web_address


@dataclass(frozen=True, slots=True)
class ProtectedResource:
    """A resource server as its clients know it.

    ``identifier`` is the audience of its tokens and ``issuer`` the one authorization server that it trusts.
    ``scopes`` are the ones it wants to be known for; there may be more (RFC 9728 section 2). With
    ``sender_constrained`` it accepts no bearer tokens. With ``certificates`` it accepts tokens that are bound to a
    client certificate (RFC 8705), besides those that are bound to a key.
    """

    identifier: str
    issuer: str
    scopes: tuple[str, ...] = ()
    sender_constrained: bool = False
    certificates: bool = False

    @property
    def metadata_url(self) -> str | None:
        """Where the document is found by whoever knows the identifier; None when that is not a web address.

        It follows from the identifier alone, never from a request (RFC 9728 section 3.1).
        """
        if not is_web_address(self.identifier):
            return None
        parts = urlsplit(self.identifier)
        path = "" if parts.path == "/" else parts.path  # only a slash that is the whole path goes away
        return urlunsplit(parts._replace(path=PROTECTED_RESOURCE_PATH + path))

    @property
    def metadata_path(self) -> str | None:
        """The path of :attr:`metadata_url`, for the adapter that serves the document."""
        return urlsplit(self.metadata_url).path if self.metadata_url else None

    def document(self) -> dict[str, str | bool | list[str]]:
        """The members of the metadata document. One without elements is left out (RFC 9728 section 3.2)."""
        members: dict[str, str | bool | list[str]] = {
            "resource": self.identifier,
            "authorization_servers": [self.issuer],
            "bearer_methods_supported": ["header"],
            "dpop_signing_alg_values_supported": list(DPOP_ALGORITHMS),
        }
        if self.sender_constrained and not self.certificates:
            members["dpop_bound_access_tokens_required"] = True
        if self.certificates:
            members["tls_client_certificate_bound_access_tokens"] = True
        if self.scopes:
            members["scopes_supported"] = list(self.scopes)
        return members
