"""The answer that says no (RFC 6750, RFC 9449, RFC 9728 section 5.1)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from authserver.errors import (
    CredentialMissing,
    NonceWanted,
    ProofRejected,
    Refused,
    RequestMalformed,
    ScopeInsufficient,
    Unavailable,
)
from authserver.oauth import BEARER, DPOP, DPOP_ALGORITHMS, DPOP_NONCE, ErrorCode
from authserver.resource.metadata import ProtectedResource
from authserver.resource.refusal import Refusal, Render, as_json, body_of
from authserver.resource.requirement import Requirement

_PRINTABLE: Final = "".join(chr(code) for code in range(0x20, 0x7F))
_ALGORITHMS: Final = " ".join(DPOP_ALGORITHMS)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, ready to be sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Kind:
    """The constant part of an answer. Without a code nothing is said about an error."""

    status: int
    code: ErrorCode | None = None
    description: str = ""


_MALFORMED: Final = _Kind(
    400, ErrorCode.INVALID_REQUEST, "The request must carry exactly one access token, in the Authorization header."
)
_MISSING: Final = _Kind(401)
_REJECTED: Final = _Kind(
    401, ErrorCode.INVALID_TOKEN, "The access token is malformed, expired, or not valid for this resource."
)
_INSUFFICIENT: Final = _Kind(
    403, ErrorCode.INSUFFICIENT_SCOPE, "The request requires more scope than the access token has."
)
_UNPROVEN: Final = _Kind(
    401, ErrorCode.INVALID_DPOP_PROOF, "The DPoP proof is missing, malformed, expired, used, or not for this request."
)
_NONCE_WANTED: Final = _Kind(
    401, ErrorCode.USE_DPOP_NONCE, "The DPoP proof must carry the nonce that comes with this answer."
)
_UNAVAILABLE: Final = _Kind(503, ErrorCode.TEMPORARILY_UNAVAILABLE, "Access tokens cannot be verified at the moment.")


def answer(
    error: Refused | Unavailable,
    resource: ProtectedResource,
    requirement: Requirement,
    scheme: str = BEARER,
    *,
    render: Render = as_json,
    request_id: str | None = None,
) -> Answer:
    """The answer to a request that was refused with ``error`` and whose :attr:`ApiRequest.scheme` was ``scheme``.

    ``scope`` is in the challenge where asking for it would help: without credentials, and with too little scope.
    """
    kind = _kind(error)
    scope = requirement.sufficient if kind in (_MISSING, _INSUFFICIENT) else ()
    media_type, body = body_of(Refusal(kind.status, kind.code, kind.description, scope, request_id), render)
    headers = [("Content-Type", media_type), ("Cache-Control", "no-store")]
    if isinstance(error, Unavailable):
        headers.append(("Retry-After", str(error.retry_after)))
    else:
        bound = resource.sender_constrained or isinstance(error, ProofRejected)
        headers += _challenges(kind, resource, scope, DPOP if bound else scheme)
    if isinstance(error, NonceWanted):
        headers.append((DPOP_NONCE, error.nonce))
    return Answer(kind.status, tuple(headers), body)


def _kind(error: Refused | Unavailable) -> _Kind:
    match error:
        case Unavailable():
            return _UNAVAILABLE
        case RequestMalformed():
            return _MALFORMED
        case CredentialMissing():
            return _MISSING
        case ScopeInsufficient():
            return _INSUFFICIENT
        case NonceWanted():
            return _NONCE_WANTED
        case ProofRejected():
            return _UNPROVEN
        case _:
            return _REJECTED


def _challenges(kind: _Kind, resource: ProtectedResource, scope: Sequence[str], scheme: str) -> list[tuple[str, str]]:
    # RFC 6750 section 3: at least one parameter, which the realm is when there is nothing else to say.
    parameters = {"realm": resource.identifier}
    if kind.code:
        parameters |= {"error": kind.code.value, "error_description": kind.description}
    if scope:
        parameters["scope"] = " ".join(scope)
    if scheme == DPOP:
        parameters["algs"] = _ALGORITHMS  # RFC 9449 section 7.1
    if resource.metadata_url:
        parameters["resource_metadata"] = resource.metadata_url
    challenges = [_written(scheme, parameters)]
    if scheme == BEARER and kind.status == 401:
        # RFC 9449 section 7.2: what else may be tried. The error is of the scheme that was, and said there.
        challenges.append(_written(DPOP, {"algs": _ALGORITHMS}))
    return [("WWW-Authenticate", challenge) for challenge in challenges]


def _written(scheme: str, parameters: dict[str, str]) -> str:
    return f"{scheme} " + ", ".join(f"{name}={_quoted(value)}" for name, value in parameters.items())


def _quoted(value: str) -> str:
    # RFC 9110 section 5.6.4. What is not printable ASCII, a line break above all, is percent-encoded.
    printable = quote(value, safe=_PRINTABLE)
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'
