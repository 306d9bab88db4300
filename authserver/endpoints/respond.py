"""The one place that writes answers, errors above all: constant words out, whatever came in."""

from collections.abc import Mapping
from typing import Any, Final

from authserver.endpoints.http import Request, Response
from authserver.errors import (
    CallerNotAdmitted,
    ClientAuthenticationRefused,
    CredentialRejected,
    DeviceAbsent,
    GrantUnsupported,
    MetadataRefused,
    NonceWanted,
    ProofRejected,
    Reason,
    Refused,
    RequestMalformed,
    ScopeRefused,
    TargetRefused,
    TooManyFailures,
    Unavailable,
)
from authserver.jose.compact import json_writer
from authserver.oauth import DPOP_NONCE, ErrorCode, Grant

NO_STORE: Final = (("Cache-Control", "no-store"), ("Pragma", "no-cache"))  # RFC 6749 section 5.1

_encode: Final = json_writer(ensure_ascii=True)

DESCRIPTIONS: Final[Mapping[ErrorCode, str]] = {
    ErrorCode.INVALID_REQUEST: "The request is malformed, the token was rejected, or no rule admits the caller.",
    ErrorCode.INVALID_CLIENT: "Client authentication failed. A client secret is never accepted.",
    ErrorCode.INVALID_GRANT: "The assertion was rejected, or no rule admits this caller to this resource.",
    ErrorCode.UNAUTHORIZED_CLIENT: "No rule admits this client to this resource.",
    ErrorCode.UNSUPPORTED_GRANT_TYPE: "The grant type is not supported. The metadata lists those that are.",
    ErrorCode.INVALID_SCOPE: "The scope is missing, malformed, unknown, or more than the rules allow.",
    ErrorCode.INVALID_TARGET: "Exactly one known resource must be named by resource or audience.",
    ErrorCode.INVALID_DPOP_PROOF: "The DPoP proof is missing where it is required, or it is not accepted.",
    ErrorCode.USE_DPOP_NONCE: "The DPoP proof must carry the nonce of the DPoP-Nonce header.",
    ErrorCode.INVALID_CLIENT_METADATA: "The device cannot be registered as it describes itself.",
    ErrorCode.INVALID_TOKEN: "The enrolment code, the token or the device is not accepted.",
    ErrorCode.SLOW_DOWN: "Too many failures from this address. Try again later.",
    ErrorCode.TEMPORARILY_UNAVAILABLE: "Something this answer depends on is away. Try again later.",
    ErrorCode.SERVER_ERROR: "The server failed. The operator can look up the request_id.",
    ErrorCode.NOT_FOUND: "There is nothing at this path.",
}
"""What the caller is told, chosen by the error code alone (RFC 6749 section 5.2: only %x20-21 / %x23-5B / %x5D-7E)."""

METADATA_DESCRIPTIONS: Final[Mapping[Reason, str]] = {
    Reason.METADATA_MALFORMED: "A member of the client metadata is missing, malformed or too long.",
    Reason.METADATA_UNSUPPORTED: "The client metadata asks for something that a device cannot have.",
    Reason.INVITATION_MISMATCH: "The device is not the one that was invited: its platform or its source is another.",
    Reason.KEY_UNSUITABLE: "The jwks must hold one public key, on P-256 or Ed25519, without private members.",
    Reason.KEY_ENROLLED_BEFORE: "This key was enrolled before. Make a new one.",
    Reason.TOO_MANY_DEVICES: "The owner has as many devices as are allowed. Revoke one first.",
    Reason.REKEY_NOT_ALLOWED: "Devices of this source keep their key. Enrol again to have another.",
    Reason.ATTESTATION_UNSUPPORTED: "Attestations of this format are not accepted. Leave it out.",
}
"""What a device is told of what it says of itself, which is its own to mend: constant words for each reason."""

# RFC 8693 section 2.2.2; RFC 7523 sections 3.1 and 3.2.
_CREDENTIAL_REJECTED: Final[Mapping[Grant, tuple[int, ErrorCode]]] = {
    Grant.TOKEN_EXCHANGE: (400, ErrorCode.INVALID_REQUEST),
    Grant.JWT_BEARER: (400, ErrorCode.INVALID_GRANT),
    Grant.CLIENT_CREDENTIALS: (401, ErrorCode.INVALID_CLIENT),
}
_NOT_ADMITTED: Final[Mapping[Grant, tuple[int, ErrorCode]]] = {
    **_CREDENTIAL_REJECTED,
    Grant.CLIENT_CREDENTIALS: (400, ErrorCode.UNAUTHORIZED_CLIENT),
}
_BY_CLASS: Final[Mapping[type[Refused], tuple[int, ErrorCode]]] = {
    RequestMalformed: (400, ErrorCode.INVALID_REQUEST),
    ClientAuthenticationRefused: (401, ErrorCode.INVALID_CLIENT),
    GrantUnsupported: (400, ErrorCode.UNSUPPORTED_GRANT_TYPE),
    TargetRefused: (400, ErrorCode.INVALID_TARGET),
    ScopeRefused: (400, ErrorCode.INVALID_SCOPE),
    NonceWanted: (400, ErrorCode.USE_DPOP_NONCE),
    ProofRejected: (400, ErrorCode.INVALID_DPOP_PROOF),
    MetadataRefused: (400, ErrorCode.INVALID_CLIENT_METADATA),
    DeviceAbsent: (404, ErrorCode.NOT_FOUND),
    TooManyFailures: (429, ErrorCode.SLOW_DOWN),
}


def json_response(status: int, document: Mapping[str, Any], *headers: tuple[str, str]) -> Response:
    """An answer in JSON."""
    body = _encode(document).encode("ascii")
    return Response(status, (("Content-Type", "application/json"), *headers), body)


def with_nonce(response: Response, nonce: str) -> Response:
    """The same answer, with a nonce for the caller's next proof (RFC 9449 section 8.2)."""
    return Response(response.status, (*response.headers, (DPOP_NONCE, nonce)), response.body)


def error_response(
    request: Request, status: int, code: ErrorCode, *headers: tuple[str, str], description: str | None = None
) -> Response:
    """An error of RFC 6749 section 5.2, with the request's id for the operator to look up."""
    said = description or DESCRIPTIONS[code]
    document = {"error": code.value, "error_description": said, "request_id": request.request_id}
    return json_response(status, document, *NO_STORE, *headers)


def refused(request: Request, error: Refused, grant: Grant | None) -> Response:
    """The answer of an endpoint to a request it refuses; ``grant`` is that of a token request."""
    status, code = _status_and_code(error, grant)
    headers: list[tuple[str, str]] = []
    if isinstance(error, TooManyFailures):
        headers.append(("Retry-After", str(error.retry_after)))
    if isinstance(error, NonceWanted):
        headers.append((DPOP_NONCE, error.nonce))
    if isinstance(error, ClientAuthenticationRefused) and error.scheme is not None:
        headers.append(("WWW-Authenticate", f'{error.scheme} realm="token"'))
    description = METADATA_DESCRIPTIONS.get(error.reason) if isinstance(error, MetadataRefused) else None
    return error_response(request, status, code, *headers, description=description)


def unavailable(request: Request, error: Unavailable) -> Response:
    """503, and when to come back."""
    retry_after = ("Retry-After", str(error.retry_after))
    return error_response(request, 503, ErrorCode.TEMPORARILY_UNAVAILABLE, retry_after)


def server_error(request: Request) -> Response:
    """500, without a word of why."""
    return error_response(request, 500, ErrorCode.SERVER_ERROR)


def malformed(request: Request) -> Response:
    """400 for what is not even a request that an endpoint could read."""
    return error_response(request, 400, ErrorCode.INVALID_REQUEST)


def not_found(request: Request) -> Response:
    """404 for a path that nothing is mounted at."""
    return error_response(request, 404, ErrorCode.NOT_FOUND)


def method_not_allowed(request: Request, allowed: str) -> Response:
    """405 with the methods that would do (RFC 9110 section 15.5.6)."""
    return error_response(request, 405, ErrorCode.INVALID_REQUEST, ("Allow", allowed))


def _status_and_code(error: Refused, grant: Grant | None) -> tuple[int, ErrorCode]:
    if grant is not None and isinstance(error, CredentialRejected):
        return _CREDENTIAL_REJECTED[grant]
    if grant is not None and isinstance(error, CallerNotAdmitted):
        return _NOT_ADMITTED[grant]
    return _BY_CLASS[type(error)]
