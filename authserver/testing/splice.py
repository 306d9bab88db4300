"""Putting a JWS together by hand, because :mod:`authserver.jose.sign` refuses to make a wrong one."""

import json
from collections.abc import Mapping
from typing import Any

from authserver.jose.compact import base64url_encode
from authserver.jose.jwk import SigningKey


def splice(header: Mapping[str, Any] | bytes, payload: Mapping[str, Any] | bytes, key: SigningKey) -> str:
    """A compact JWS over exactly this header and payload, signed by ``key`` whatever the header claims."""
    signing_input = unsigned(header, payload)
    return f"{signing_input}.{base64url_encode(key.sign(signing_input.encode('ascii')))}"


def unsigned(header: Mapping[str, Any] | bytes, payload: Mapping[str, Any] | bytes) -> str:
    """The signing input of a JWS (RFC 7515 section 5.1): two segments and the dot between them."""
    return f"{base64url_encode(as_json(header))}.{base64url_encode(as_json(payload))}"


def as_json(value: Mapping[str, Any] | bytes) -> bytes:
    """Compact JSON in UTF-8; bytes pass as they are."""
    if isinstance(value, bytes):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def without_nones(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members that are not None: how a caller says that one is to be left out."""
    return {name: value for name, value in members.items() if value is not None}
