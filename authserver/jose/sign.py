"""Writing a JWS: the one place that signs."""

import json
from collections.abc import Mapping
from typing import Any

from authserver.jose.compact import base64url_encode
from authserver.jose.jwk import SigningKey


def sign(key: SigningKey, typ: str, claims: Mapping[str, Any]) -> str:
    """A compact JWS over ``claims`` with ``typ``, ``alg`` and ``kid`` in its header (RFC 7515 section 7.1)."""
    return sign_under({"typ": typ, "alg": key.algorithm, "kid": key.kid}, key, claims)


def sign_under(header: Mapping[str, Any], key: SigningKey, claims: Mapping[str, Any]) -> str:
    """A compact JWS over ``claims`` with just this header, whose ``alg`` must be the key's."""
    signing_input = f"{_segment(header)}.{_segment(claims)}"
    return f"{signing_input}.{base64url_encode(key.sign(signing_input.encode('ascii')))}"


def _segment(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return base64url_encode(text.encode("utf-8"))
