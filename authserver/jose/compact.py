"""The one strict parse of the JWS compact serialization (RFC 7515 section 3.1).

Stricter than the libraries underneath, on purpose: one spelling for each value (RFC 7515 section 2: base64url
without padding, and no stray bits), UTF-8 without a byte order mark, no duplicate member (RFC 8725 section
2.4 and RFC 7519 section 4), nothing that is not JSON (``NaN``, ``1e400``), and bounds on size and depth.
"""

import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, NoReturn

from authserver.errors import CredentialRejected, Reason

MAX_BYTES: Final = 16 * 1024
"""The longest token that is looked at, in bytes."""

MAX_DEPTH: Final = 32
"""The deepest nesting of JSON that is parsed."""

Json = Mapping[str, Any]

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]+)")
_BASE64URL = re.compile(rb"[A-Za-z0-9_-]*")
_TO_BASE64 = bytes.maketrans(b"-_", b"+/")
_PADDING = (b"", None, b"==", b"=")
# The last character of an unpadded segment carries bits that belong to no byte; they must be zero, or the
# same bytes would have several spellings. Two left-over characters leave four such bits, three leave two.
_LAST_OF_TWO = frozenset(b"AQgw")
_LAST_OF_THREE = frozenset(b"AEIMQUYcgkosw048")


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """A token that is well formed. Not one word in it has been verified."""

    unverified_header: Json
    unverified_claims: Json
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


class UnverifiedJws(NamedTuple):
    """A JWS taken apart, whose payload may be anything. Not one byte of it has been verified."""

    unverified_header: Json
    unverified_payload: bytes
    signing_input: bytes
    signature: bytes


def parse(token: str) -> UnverifiedToken:
    """Take a JWT apart: a compact JWS whose payload is one JSON object.

    :raises CredentialRejected: ``token_too_large`` or ``token_malformed``.
    """
    header, payload, signing_input, signature = split(token)
    try:
        claims = json_object(payload)
    except ValueError as error:
        raise CredentialRejected(Reason.TOKEN_MALFORMED, part="claims") from error
    return UnverifiedToken(header, claims, signing_input, signature)


def split(token: str) -> UnverifiedJws:
    """Take a compact JWS apart without reading its payload.

    :raises CredentialRejected: ``token_too_large`` or ``token_malformed``.
    """
    if len(token) > MAX_BYTES:
        raise CredentialRejected(Reason.TOKEN_TOO_LARGE, bytes=len(token))
    match = _COMPACT.fullmatch(token)
    if match is None:
        raise CredentialRejected(Reason.TOKEN_MALFORMED, part="serialization")
    raw = token.encode("ascii")
    signed_end = match.end(2)
    try:
        return UnverifiedJws(
            json_object(_decode(raw[: match.end(1)])),
            _decode(raw[match.start(2) : signed_end]),
            raw[:signed_end],
            _decode(raw[match.start(3) :]),
        )
    except ValueError as error:
        raise CredentialRejected(Reason.TOKEN_MALFORMED, part="segment") from error


def base64url_decode(text: str) -> bytes:
    """Decode base64url in its one canonical spelling (RFC 7515 section 2).

    :raises ValueError: for padding, another alphabet, or bits that belong to no byte.
    """
    raw = text.encode("ascii")
    if _BASE64URL.fullmatch(raw) is None:
        raise ValueError("not base64url")
    return _decode(raw)


def base64url_encode(raw: bytes) -> str:
    """Encode base64url without padding (RFC 7515 section 2)."""
    return binascii.b2a_base64(raw, newline=False).rstrip(b"=").replace(b"+", b"-").replace(b"/", b"_").decode("ascii")


def json_object(raw: bytes) -> Json:
    """Read one JSON object, strictly.

    :raises ValueError: for anything that is not exactly one object in UTF-8, or is nested too deeply.
    """
    text = str(raw, "utf-8")
    if text.count("{") + text.count("[") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        raise ValueError("nested too deeply")
    value = _DECODER.decode(text)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    if "\\u" in text:
        _refuse_lone_surrogates(value)
    return value


def _decode(segment: bytes) -> bytes:
    left_over = len(segment) % 4
    padding = _PADDING[left_over]
    if padding is None:
        raise ValueError("impossible length")
    if (left_over == 2 and segment[-1] not in _LAST_OF_TWO) or (left_over == 3 and segment[-1] not in _LAST_OF_THREE):
        raise ValueError("stray bits")
    return binascii.a2b_base64(segment.translate(_TO_BASE64) + padding)


def _depth(text: str) -> int:
    depth = deepest = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}]":
            depth -= 1
    return deepest


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("number out of range")
    return number


def _not_json(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _refuse_lone_surrogates(value: Json) -> None:
    # An escaped lone surrogate is a string that cannot be written as UTF-8 again, so it would fail much later.
    json.dumps(value, ensure_ascii=False).encode("utf-8")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique_members, parse_float=_finite, parse_constant=_not_json, strict=True
)
