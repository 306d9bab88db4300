"""Metadata: RFC 8414, and the view of it that OpenID Connect Discovery has."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from authserver.endpoints import respond
from authserver.endpoints.http import Request, Response
from authserver.jose.jwk import ASYMMETRIC
from authserver.oauth import (
    BEARER,
    DPOP,
    DPOP_ALGORITHMS,
    INTROSPECTION_PATH,
    JWKS_PATH,
    METADATA_PATH,
    OPENID_METADATA_PATH,
    PROTECTED_RESOURCE_PATH,
    REGISTRATION_PATH,
    REVOCATION_PATH,
    TOKEN_PATH,
    Grant,
)
from authserver.resource.metadata import ProtectedResource

_CLAIMS: Final = ("iss", "sub", "aud", "client_id", "scope", "iat", "exp", "jti")
_CACHED: Final = ("Cache-Control", "public, max-age=300")


class MetadataEndpoint:
    """The document that says where everything is. It comes from configuration alone (RFC 8414 section 3.3).

    ``enrolls`` says whether there is a source that devices can enrol at, and ``certificates`` whether clients can be
    known by a certificate.
    """

    def __init__(self, issuer: str, algorithms: Sequence[str], *, enrolls: bool, certificates: bool) -> None:
        described = document(issuer, algorithms, enrolls=enrolls, certificates=certificates)
        self._response = respond.json_response(200, described, _CACHED)

    def __call__(self, request: Request) -> Response:
        """Answer with the document."""
        del request
        return self._response


class OwnResourceEndpoint:
    """What our own issuer says of itself as a resource, for whoever was challenged there (RFC 9728 section 3)."""

    def __init__(self, issuer: str) -> None:
        self._response = respond.json_response(200, ProtectedResource(issuer, issuer).document(), _CACHED)

    def __call__(self, request: Request) -> Response:
        """Answer with the document."""
        del request
        return self._response


def document(issuer: str, algorithms: Sequence[str], *, enrolls: bool, certificates: bool) -> dict[str, Any]:
    """Authorization server metadata (RFC 8414 section 2), with what OpenID Connect Discovery section 3 adds.

    There is no authorization endpoint and there are no ID tokens; ``response_types_supported`` and the two members
    after it are what federating clouds, Vault and Kubernetes insist on. Certificates are taken where everything else
    is, so there are no ``mtls_endpoint_aliases`` (RFC 8705 section 5).
    """
    base = issuer.rstrip("/")
    by_certificate = ["tls_client_auth"] if certificates else []  # RFC 8705 section 2.1.1
    bound = {"tls_client_certificate_bound_access_tokens": True} if certificates else {}  # section 3.3
    registration = {"registration_endpoint": base + REGISTRATION_PATH} if enrolls else {}
    return {
        "issuer": issuer,
        "token_endpoint": base + TOKEN_PATH,
        "jwks_uri": base + JWKS_PATH,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(algorithms),
        "claims_supported": list(_CLAIMS),
        "grant_types_supported": [grant.value for grant in Grant],
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt", *by_certificate],
        "token_endpoint_auth_signing_alg_values_supported": sorted(ASYMMETRIC),
        **registration,
        **bound,
        "dpop_signing_alg_values_supported": list(DPOP_ALGORITHMS),  # RFC 9449 section 5.1
        "introspection_endpoint": base + INTROSPECTION_PATH,
        # Section 2: an access token type is a method here.
        "introspection_endpoint_auth_methods_supported": [BEARER, DPOP],
        "revocation_endpoint": base + REVOCATION_PATH,
        "revocation_endpoint_auth_methods_supported": ["none"],  # left out, it would mean client_secret_basic
    }


def paths(issuer: str) -> tuple[str, ...]:
    """Where the document is served: below the issuer, and for RFC 8414 also at the inserted path (section 3.1)."""
    path = urlsplit(issuer).path.rstrip("/")
    return tuple(dict.fromkeys((path + METADATA_PATH, METADATA_PATH + path, path + OPENID_METADATA_PATH)))


def own_resource_path(issuer: str) -> str:
    """Where the metadata of the built-in resource is served (RFC 9728 section 3.1)."""
    return PROTECTED_RESOURCE_PATH + urlsplit(issuer).path.rstrip("/")
