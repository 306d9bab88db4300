"""The vocabulary of OAuth: grant types, token types, parameter and claim names.

Every string that goes over the wire and comes from an RFC is spelled here once. This module imports nothing
of ours, so that everything may import it.
"""

from enum import StrEnum
from typing import Final


class Grant(StrEnum):
    """The values of ``grant_type`` that this server understands."""

    TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # RFC 8693 section 2.1
    JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"  # RFC 7523 section 2.1
    CLIENT_CREDENTIALS = "client_credentials"  # RFC 6749 section 4.4


class TokenType(StrEnum):
    """Token type identifiers of RFC 8693 section 3."""

    ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
    ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
    JWT = "urn:ietf:params:oauth:token-type:jwt"
    AWS4_REQUEST = "urn:ietf:params:aws:token-type:aws4_request"  # not of the RFC: Google's client libraries send it


class ErrorCode(StrEnum):
    """Error codes that may appear in an answer, each with the section that registers it."""

    INVALID_REQUEST = "invalid_request"  # RFC 6749 section 5.2, RFC 6750 section 3.1
    INVALID_CLIENT = "invalid_client"  # RFC 6749 section 5.2
    INVALID_GRANT = "invalid_grant"  # RFC 6749 section 5.2
    UNAUTHORIZED_CLIENT = "unauthorized_client"  # RFC 6749 section 5.2
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"  # RFC 6749 section 5.2
    INVALID_SCOPE = "invalid_scope"  # RFC 6749 section 5.2
    INVALID_TARGET = "invalid_target"  # RFC 8707 section 2, RFC 8693 section 2.2.2
    INVALID_DPOP_PROOF = "invalid_dpop_proof"  # RFC 9449 section 5
    USE_DPOP_NONCE = "use_dpop_nonce"  # RFC 9449 sections 8 and 9
    INVALID_CLIENT_METADATA = "invalid_client_metadata"  # RFC 7591 section 3.2.2
    INVALID_TOKEN = "invalid_token"  # RFC 6750 section 3.1
    INSUFFICIENT_SCOPE = "insufficient_scope"  # RFC 6750 section 3.1
    SLOW_DOWN = "slow_down"  # RFC 8628 section 3.5
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"  # RFC 6749 section 4.1.2.1
    SERVER_ERROR = "server_error"  # RFC 6749 section 4.1.2.1
    NOT_FOUND = "not_found"  # ours: a path that does not exist


CLIENT_ASSERTION_TYPES: Final = frozenset((None, "jwt", "client-authentication+jwt"))
"""The header ``typ`` of a client assertion; RFC 7523 leaves it open, and its revision names the last."""

CLIENT_ASSERTION_JWT: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 section 2.2
CLIENT_ASSERTION_SVID: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
"""For a JWT-SVID: draft-ietf-oauth-spiffe-client-auth."""

ACCESS_TOKEN_TYP: Final = "at+jwt"  # RFC 9068 section 2.1
DPOP_TYP: Final = "dpop+jwt"  # RFC 9449 section 4.2

BEARER: Final = "Bearer"  # RFC 6750
DPOP: Final = "DPoP"  # RFC 9449
JKT: Final = "jkt"  # RFC 9449 section 6.1: the member of cnf that names a key by its thumbprint
X5T_S256: Final = "x5t#S256"  # RFC 8705 section 3.1: the member of cnf that names a certificate by its thumbprint
DPOP_NONCE: Final = "DPoP-Nonce"  # RFC 9449 section 8
DPOP_ALGORITHMS: Final = ("ES256", "EdDSA", "Ed25519")
"""What proofs and devices' assertions may be signed with. The last two are one algorithm (RFC 9864 section 2.2)."""

AWS_AUDIENCE_HEADER: Final = "x-goog-cloud-target-resource"
"""The header that says whom a signed request to AWS is for. The name is that of Google's client libraries."""
AWS_NONCE_HEADER: Final = "x-authserver-nonce"
"""The header that tells two requests apart that were signed with one key in one second."""

METADATA_PATH: Final = "/.well-known/oauth-authorization-server"  # RFC 8414 section 3
OPENID_METADATA_PATH: Final = "/.well-known/openid-configuration"  # OpenID Connect Discovery section 4
PROTECTED_RESOURCE_PATH: Final = "/.well-known/oauth-protected-resource"  # RFC 9728 section 3
JWKS_PATH: Final = "/.well-known/jwks.json"
TOKEN_PATH: Final = "/token"
INTROSPECTION_PATH: Final = "/introspect"
REVOCATION_PATH: Final = "/revoke"
REGISTRATION_PATH: Final = "/register"
DEVICES_PATH: Final = "/devices"
INVITATIONS_PATH: Final = "/devices/invitations"

DEVICE_PREFIX: Final = "dev_"
"""How the ``client_id`` of every enrolled device begins. No workload's can: a source's name has no underscore."""

LONGEST_LIFETIME: Final = 3600
"""The most seconds that any access token lives, whatever is configured."""
