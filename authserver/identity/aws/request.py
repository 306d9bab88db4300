"""A request to STS ``GetCallerIdentity`` that a caller signed for us, as the subject token of a token exchange.

The form is that of Google's client libraries for workloads on AWS (google-auth, ``google.auth.aws``): percent-encoded
JSON with ``url``, ``method`` and ``headers``. Signatures: AWS Signature Version 4,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.

Nothing of it is passed on. There is one request that may be signed, and it is written here anew; what the caller sent
must be that one to the letter, and every header that we rely on must be covered by the signature, the one that names
us above all. Or a request that was signed for somebody else would do here as well, and one that was signed for
something else would be answered with something else (CVE-2020-16250, CVE-2026-71861).
"""

import calendar
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote_plus

from authserver.errors import CredentialRejected, Reason
from authserver.jose.compact import MAX_BYTES, json_object
from authserver.oauth import AWS_AUDIENCE_HEADER, AWS_NONCE_HEADER

MAX_AGE: Final = 300
"""How many seconds old a signed request may be."""

_QUERY: Final = "Action=GetCallerIdentity&Version=2011-06-15"
_DATE: Final = "x-amz-date"
_TOKEN: Final = "x-amz-security-token"
_NEEDED: Final = frozenset(("authorization", "host", _DATE, AWS_AUDIENCE_HEADER))
_HEADERS: Final = _NEEDED | {_TOKEN, AWS_NONCE_HEADER}

_ENCODED = re.compile(r"(?:[A-Za-z0-9_.~!*'()+/-]|%[0-9A-Fa-f]{2})+")
_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_INSTANT = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([A-Za-z0-9]{16,128})/([0-9]{8})/([a-z0-9-]{1,64})/sts/aws4_request, "
    r"SignedHeaders=([a-z0-9-]+(?:;[a-z0-9-]+)*), Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class UnverifiedSignedRequest:
    """A request that is well formed. Whether its signature is right only STS can tell.

    ``unverified_audience`` is whom it was made for, ``audience_is_signed`` whether the signature covers that.
    ``headers`` are those to send besides that of the host, ``signed_at`` is in seconds since the epoch.
    """

    host: str
    unverified_audience: str
    audience_is_signed: bool
    signed_at: int
    signature: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    @property
    def url(self) -> str:
        """Where to send it."""
        return f"https://{self.host}/?{_QUERY}"


def read_signed_request(unverified_token: str) -> UnverifiedSignedRequest:
    """Take a signed request apart.

    :raises CredentialRejected: ``token_too_large``, ``signed_request_malformed`` or ``signed_header_missing``.
    """
    document = _document(unverified_token)
    headers = _headers(document.get("headers"))
    host = headers["host"]
    if document != {"url": document.get("url"), "method": "POST", "headers": document["headers"]}:
        raise _malformed("method")
    if document["url"] not in (f"https://{host}?{_QUERY}", f"https://{host}/?{_QUERY}"):
        raise _malformed("url")
    return _signed(host, headers)


def check_freshness(request: UnverifiedSignedRequest, now: float, skew: int) -> None:
    """Check that a request was signed in the last five minutes. Times are in seconds.

    :raises CredentialRejected: ``too_old`` or ``issued_in_future``.
    """
    if request.signed_at > now + skew:
        raise CredentialRejected(Reason.ISSUED_IN_FUTURE, iat=request.signed_at, now=now, skew=skew)
    if now - request.signed_at > MAX_AGE:
        raise CredentialRejected(Reason.TOO_OLD, age=now - request.signed_at, max_age=MAX_AGE)


def _document(unverified_token: str) -> Mapping[str, Any]:
    if len(unverified_token) > MAX_BYTES:
        raise CredentialRejected(Reason.TOKEN_TOO_LARGE, bytes=len(unverified_token))
    if _ENCODED.fullmatch(unverified_token) is None:
        raise _malformed("encoding")
    try:
        return json_object(unquote_plus(unverified_token, errors="strict").encode("utf-8"))
    except ValueError as error:
        raise _malformed("json") from error


def _headers(listed: Any) -> dict[str, str]:
    """The headers by their names, in lower case: those that there must be or may be, each once."""
    headers: dict[str, str] = {}
    for entry in listed if isinstance(listed, list) else ():
        name, value = (entry.get("key"), entry.get("value")) if isinstance(entry, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(value, str) or len(entry) != 2:
            raise _malformed("headers")
        folded = name.lower() if name.isascii() else name
        if folded not in _HEADERS or folded in headers or _VALUE.fullmatch(value) is None or "  " in value:
            raise _malformed("headers")
        headers[folded] = value
    if not headers.keys() >= _NEEDED:
        raise _malformed("headers")
    return headers


def _signed(host: str, headers: Mapping[str, str]) -> UnverifiedSignedRequest:
    match = _AUTHORIZATION.fullmatch(headers["authorization"])
    if match is None or _INSTANT.fullmatch(headers[_DATE]) is None or match[2] != headers[_DATE][:8]:
        raise _malformed("authorization")
    names, sent = match[4].split(";"), headers.keys() - {"authorization"}
    if names != sorted(set(names)) or not sent >= set(names):
        raise _malformed("signed_headers")
    missing = sent - set(names)
    if missing - {AWS_AUDIENCE_HEADER}:
        raise CredentialRejected(Reason.SIGNED_HEADER_MISSING, headers=tuple(sorted(missing)))
    return UnverifiedSignedRequest(
        host=host,
        unverified_audience=headers[AWS_AUDIENCE_HEADER],
        audience_is_signed=not missing,
        signed_at=_instant(headers[_DATE]),
        signature=match[5],
        headers={name: value for name, value in headers.items() if name != "host"},
    )


def _instant(spelled: str) -> int:
    try:
        return calendar.timegm(time.strptime(spelled, "%Y%m%dT%H%M%SZ"))
    except ValueError as error:
        raise _malformed("date") from error


def _malformed(part: str) -> CredentialRejected:
    return CredentialRejected(Reason.SIGNED_REQUEST_MALFORMED, part=part)
