"""From a request to a verified token, or to the answer that says no (RFC 6750, RFC 9728 section 5.1).

Knows no framework. An adapter fills in :class:`ApiRequest`, calls :func:`authenticate`, and translates what
:func:`answer` gives when that raises.
"""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import quote

from authserver.errors import (
    CredentialMissing,
    CredentialRejected,
    Reason,
    Refused,
    RequestMalformed,
    ScopeInsufficient,
    Unavailable,
)
from authserver.oauth import BEARER, ErrorCode
from authserver.resource.metadata import ProtectedResource
from authserver.resource.token import VerifiedToken

_log = logging.getLogger("authserver.resource")

_B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750 section 2.1
_SCOPE_TOKEN = re.compile(r"[!#-\[\]-~]+")  # RFC 6749 section 3.3
# A comma, and then a word that is not the name of a parameter: the scheme of one more credential.
_ONE_MORE_CREDENTIAL = re.compile(r",[ \t]*+[!#$%&'*+\-.^_`|~0-9A-Za-z]++(?:[ \t]|$)")
_PRINTABLE: Final = "".join(chr(code) for code in range(0x20, 0x7F))


class Verifier(Protocol):
    """What believes a token, or refuses it."""

    def verify(self, token: str) -> VerifiedToken:
        """The token, verified.

        :raises CredentialRejected: it is not believed.
        :raises Unavailable: whether to believe it cannot be known at the moment.
        """
        ...  # a protocol has no body


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """What matters of an HTTP request to an API.

    ``authorization`` holds every ``Authorization`` header. ``token_in_query`` and ``token_in_form`` say
    whether there is a parameter ``access_token`` (RFC 6750 sections 2.2 and 2.3); its value is of no interest.
    """

    authorization: Sequence[str] = field(repr=False)
    token_in_query: bool = False
    token_in_form: bool = False


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
_UNAVAILABLE: Final = _Refusal(
    503, ErrorCode.TEMPORARILY_UNAVAILABLE, "Access tokens cannot be verified at the moment."
)


def authenticate(verifier: Verifier, request: ApiRequest, requirement: Requirement) -> VerifiedToken:
    """The verified token of a request that satisfies ``requirement``.

    :raises RequestMalformed: the token was sent twice, or ``Bearer`` without one.
    :raises CredentialMissing: there is no bearer token.
    :raises CredentialRejected: the token is not believed.
    :raises ScopeInsufficient: it is, and it may not do this.
    :raises Unavailable: whether to believe it cannot be known at the moment.
    """
    try:
        token = verifier.verify(bearer_token(request))
        requirement.check(token)
    except (Refused, Unavailable) as error:
        # The reason is from a closed set; facts may quote the token, so they are an attribute and not text.
        _log.info("refused: %s", error.reason.value, extra={"reason": error.reason.value, "facts": dict(error.facts)})
        raise
    return token


def bearer_token(request: ApiRequest) -> str:
    """The bearer token of a request. Only the ``Authorization`` header can carry it (RFC 9700 section 4.3.2).

    Another scheme, or ``access_token`` as a parameter alone, is an unsupported method and counts as no
    credentials; the answer has no error code then (RFC 6750 section 3.1). Servers join repeated headers by a
    comma (RFC 9110 section 5.3), so here they are joined too, and every server gives the same answer.

    :raises RequestMalformed: more than one credential, or ``Bearer`` without one.
    :raises CredentialMissing: no bearer token.
    :raises CredentialRejected: it has characters that no token has.
    """
    header = ",".join(request.authorization).strip(" \t")
    if _ONE_MORE_CREDENTIAL.search(header):
        raise RequestMalformed(Reason.CREDENTIAL_REPEATED)
    scheme, _, token = header.partition(" ")
    if scheme.lower() != BEARER.lower():
        raise CredentialMissing()
    if request.token_in_query or request.token_in_form:
        raise RequestMalformed(Reason.CREDENTIAL_REPEATED)
    token = token.lstrip(" ")
    if not token:
        raise RequestMalformed(Reason.CREDENTIAL_MISSING)
    if _B64TOKEN.fullmatch(token) is None:
        raise CredentialRejected(Reason.TOKEN_MALFORMED, part="b64token")
    return token


def answer(error: Refused | Unavailable, resource: ProtectedResource, requirement: Requirement) -> Answer:
    """The answer to a request that :func:`authenticate` refused.

    ``scope`` is in the challenge where asking for it would help: without credentials, and with too little scope.
    """
    refusal = _refusal(error)
    parameters = {"error": refusal.code.value, "error_description": refusal.description} if refusal.code else {}
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    if isinstance(error, Unavailable):
        headers.append(("Retry-After", str(error.retry_after)))
    else:
        scope = requirement.sufficient if refusal in (_MISSING, _INSUFFICIENT) else ()
        headers.append(("WWW-Authenticate", _challenge(parameters, resource, scope)))
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
        case _:
            return _REJECTED


def _challenge(error: dict[str, str], resource: ProtectedResource, scope: Sequence[str]) -> str:
    # RFC 6750 section 3: at least one parameter, which the realm is when there is nothing else to say.
    parameters = {"realm": resource.identifier, **error}
    if scope:
        parameters["scope"] = " ".join(scope)
    if resource.metadata_url:
        parameters["resource_metadata"] = resource.metadata_url
    return f"{BEARER} " + ", ".join(f"{name}={_quoted(value)}" for name, value in parameters.items())


def _quoted(value: str) -> str:
    # RFC 9110 section 5.6.4. What is not printable ASCII, a line break above all, is percent-encoded.
    printable = quote(value, safe=_PRINTABLE)
    return '"' + printable.replace("\\", "\\\\").replace('"', '\\"') + '"'
