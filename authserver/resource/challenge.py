"""From a request to a verified token, or to the answer that says no (RFC 6750, RFC 9449, RFC 9728 section 5.1).

Knows no framework. An adapter fills in :class:`~authserver.resource.credential.ApiRequest`, calls :func:`authenticate`,
and translates what :func:`answer` gives when that raises.
"""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol
from urllib.parse import quote

from authserver.errors import (
    CredentialMissing,
    NonceWanted,
    ProofRejected,
    Reason,
    Refused,
    RequestMalformed,
    ScopeInsufficient,
    Unavailable,
)
from authserver.oauth import BEARER, DPOP, DPOP_ALGORITHMS, DPOP_NONCE, ErrorCode
from authserver.resource.credential import ApiRequest, OfferedProof, presented_credential
from authserver.resource.metadata import ProtectedResource
from authserver.resource.token import VerifiedToken

_log = logging.getLogger("authserver.resource")

_SCOPE_TOKEN = re.compile(r"[!#-\[\]-~]+")  # RFC 6749 section 3.3
_PRINTABLE: Final = "".join(chr(code) for code in range(0x20, 0x7F))
_ALGORITHMS: Final = " ".join(DPOP_ALGORITHMS)
_NO_PROOF: Final = OfferedProof((), "", ())


class Accepted(NamedTuple):
    """The verified token of a request. A ``nonce`` goes back to the caller as ``DPoP-Nonce``, with ``no-store``."""

    token: VerifiedToken
    nonce: str | None = None


class Verifier(Protocol):
    """What believes a token, or refuses it."""

    def verify(self, token: str) -> VerifiedToken:
        """A bearer token, verified.

        :raises CredentialRejected: it is not believed.
        :raises Unavailable: whether to believe it cannot be known at the moment.
        """
        ...  # a protocol has no body

    def verify_bound(self, token: str, proof: OfferedProof) -> tuple[VerifiedToken, str | None]:
        """A token that is bound to a key, verified with its proof; and the nonce for the next one, if it is time.

        :raises CredentialRejected: the token is not believed.
        :raises ProofRejected: the proof is not.
        :raises Unavailable: whether to believe them cannot be known at the moment.
        """
        ...  # a protocol has no body


@dataclass(frozen=True, slots=True)
class Requirement:
    """The scope that a token must have: ``all_of`` these, and one of ``any_of`` where that is not empty.

    :raises ValueError: a scope is not spelled as RFC 6749 section 3.3 has it.
    :raises TypeError: ``any_of`` is a single string.
    """

    all_of: Sequence[str] = ()
    any_of: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse what could never be satisfied, or not as it was meant."""
        if isinstance(self.all_of, str) or isinstance(self.any_of, str):
            raise TypeError("scopes must be a sequence of strings, not one string")
        for scope in (*self.all_of, *self.any_of):
            if _SCOPE_TOKEN.fullmatch(scope) is None:
                raise ValueError(f"not a scope: {scope!r}")

    @property
    def sufficient(self) -> tuple[str, ...]:
        """A smallest scope that satisfies this. Of alternatives it names the first, so put the usual one there."""
        return (*self.all_of, *self.any_of[:1])

    def check(self, token: VerifiedToken) -> None:
        """:raises ScopeInsufficient: the token's scope does not satisfy this."""
        if not token.scope.issuperset(self.all_of) or (self.any_of and token.scope.isdisjoint(self.any_of)):
            raise ScopeInsufficient(self.sufficient)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, ready to be sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Refusal:
    """The constant part of an answer. Without a code nothing is said about an error."""

    status: int
    code: ErrorCode | None = None
    description: str = ""


_MALFORMED: Final = _Refusal(
    400, ErrorCode.INVALID_REQUEST, "The request must carry exactly one access token, in the Authorization header."
)
_MISSING: Final = _Refusal(401)
_REJECTED: Final = _Refusal(
    401, ErrorCode.INVALID_TOKEN, "The access token is malformed, expired, or not valid for this resource."
)
_INSUFFICIENT: Final = _Refusal(
    403, ErrorCode.INSUFFICIENT_SCOPE, "The request requires more scope than the access token has."
)
_UNPROVEN: Final = _Refusal(
    401, ErrorCode.INVALID_DPOP_PROOF, "The DPoP proof is missing, malformed, expired, used, or not for this request."
)
_NONCE_WANTED: Final = _Refusal(
    401, ErrorCode.USE_DPOP_NONCE, "The DPoP proof must carry the nonce that comes with this answer."
)
_UNAVAILABLE: Final = _Refusal(
    503, ErrorCode.TEMPORARILY_UNAVAILABLE, "Access tokens cannot be verified at the moment."
)


def authenticate(verifier: Verifier, request: ApiRequest, requirement: Requirement) -> Accepted:
    """The verified token of a request that satisfies ``requirement``.

    :raises RequestMalformed: the token was sent twice, or a scheme without one.
    :raises CredentialMissing: there is no token.
    :raises CredentialRejected: the token is not believed, or needs a proof, or none.
    :raises ProofRejected: the proof is missing or not believed.
    :raises ScopeInsufficient: the token is believed, and it may not do this.
    :raises Unavailable: whether to believe it cannot be known at the moment.
    """
    try:
        scheme, token = presented_credential(request)
        if scheme == BEARER:
            accepted = Accepted(verifier.verify(token))
            if request.proof is not None:
                raise ProofRejected(Reason.PROOF_UNEXPECTED)  # it would be ignored otherwise
        else:
            accepted = Accepted(*verifier.verify_bound(token, request.proof or _NO_PROOF))
        requirement.check(accepted.token)
    except (Refused, Unavailable) as error:
        # The reason is from a closed set; facts may quote the token, so they are an attribute and not text.
        _log.info("refused: %s", error.reason.value, extra={"reason": error.reason.value, "facts": dict(error.facts)})
        raise
    return accepted


def answer(
    error: Refused | Unavailable, resource: ProtectedResource, requirement: Requirement, scheme: str = BEARER
) -> Answer:
    """The answer to a request that :func:`authenticate` refused, whose :attr:`ApiRequest.scheme` was ``scheme``.

    ``scope`` is in the challenge where asking for it would help: without credentials, and with too little scope.
    """
    refusal = _refusal(error)
    parameters = {"error": refusal.code.value, "error_description": refusal.description} if refusal.code else {}
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    if isinstance(error, Unavailable):
        headers.append(("Retry-After", str(error.retry_after)))
    else:
        scope = requirement.sufficient if refusal in (_MISSING, _INSUFFICIENT) else ()
        if resource.sender_constrained or isinstance(error, ProofRejected):
            scheme = DPOP
        headers.append(("WWW-Authenticate", _challenge(scheme, parameters, resource, scope)))
        if scheme == BEARER and refusal.status == 401:
            # RFC 9449 section 7.2: what else may be tried. The error is of the scheme that was, and said there.
            headers.append(("WWW-Authenticate", _written(DPOP, {"algs": _ALGORITHMS})))
    if isinstance(error, NonceWanted):
        headers.append((DPOP_NONCE, error.nonce))
    return Answer(refusal.status, tuple(headers), json.dumps(parameters).encode("ascii"))


def _refusal(error: Refused | Unavailable) -> _Refusal:
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


def _challenge(scheme: str, error: dict[str, str], resource: ProtectedResource, scope: Sequence[str]) -> str:
    # RFC 6750 section 3: at least one parameter, which the realm is when there is nothing else to say.
    parameters = {"realm": resource.identifier, **error}
    if scope:
        parameters["scope"] = " ".join(scope)
    if scheme == DPOP:
        parameters["algs"] = _ALGORITHMS  # RFC 9449 section 7.1
    if resource.metadata_url:
        parameters["resource_metadata"] = resource.metadata_url
    return _written(scheme, parameters)


def _written(scheme: str, parameters: dict[str, str]) -> str:
    return f"{scheme} " + ", ".join(f"{name}={_quoted(value)}" for name, value in parameters.items())


def _quoted(value: str) -> str:
    # RFC 9110 section 5.6.4. What is not printable ASCII, a line break above all, is percent-encoded.
    printable = quote(value, safe=_PRINTABLE)
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'
