"""Writing a JWS: the one place that signs."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from authserver.jose.compact import base64url_encode, json_writer
from authserver.jose.jwk import SigningKey

_encode: Final = json_writer(ensure_ascii=False, allow_nan=False)


def sign(key: SigningKey, typ: str, claims: Mapping[str, Any]) -> str:
    """A compact JWS over ``claims`` with ``typ``, ``alg`` and ``kid`` in its header (RFC 7515 section 7.1)."""
    return _signed(_header(typ, key.algorithm, key.kid), key, claims)


def sign_under(header: Mapping[str, Any], key: SigningKey, claims: Mapping[str, Any]) -> str:
    """A compact JWS over ``claims`` with just this header, whose ``alg`` must be the key's."""
    return _signed(_segment(header), key, claims)


def _signed(header: str, key: SigningKey, claims: Mapping[str, Any]) -> str:
    signing_input = f"{header}.{_segment(claims)}"
    return f"{signing_input}.{base64url_encode(key.sign(signing_input.encode('ascii')))}"


@lru_cache(64)
def _header(typ: str, algorithm: str, kid: str) -> str:
    """The same in all tokens that a key signs."""
    return _segment({"typ": typ, "alg": algorithm, "kid": kid})


def _segment(value: Mapping[str, Any]) -> str:
    return base64url_encode(_encode(value).encode("utf-8"))
