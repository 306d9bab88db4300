"""Those that verify access tokens in Python: ours, and what people use in its place.

Each is given what it needs beforehand, as an application does when it starts: the key as an object, the issuer, the
audience. Each then checks the signature, ``iss``, ``aud`` and the times. Ours and Authlib's also check that the token
is an access token (``typ``); the others leave that to their user.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import jwt
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt
from jwt.utils import base64url_decode

from authserver.resource import AccessTokenVerifier

SCOPE: Final = "images:read"

Verify = Callable[[str], object]
"""Returns something for a token that it believes, and raises for another."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a verifier knows beforehand. ``jwk`` is the issuer's public key."""

    issuer: str
    audience: str
    algorithm: str
    jwk: Mapping[str, Any]


def ours(setting: Setting) -> Verify:
    """The core of the middleware as it is by default: it finds the keys itself and remembers what it verified."""
    return AccessTokenVerifier(issuer=setting.issuer, audience=setting.audience).verify


def pyjwt(setting: Setting) -> Verify:
    """PyJWT as its documentation has it, with the key as an object."""
    key = jwt.PyJWK(dict(setting.jwk)).key
    options: dict[str, Any] = {"algorithms": [setting.algorithm]}
    return partial(jwt.decode, key=key, issuer=setting.issuer, audience=setting.audience, **options)


def joserfc(setting: Setting) -> Verify:
    """joserfc as its documentation has it: decode, then validate the claims."""
    key = joserfc_jwk.import_key(dict(setting.jwk))
    claims = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": setting.issuer}, aud={"essential": True, "value": setting.audience}
    )

    def verify(token: str) -> object:
        decoded = joserfc_jwt.decode(token, key, algorithms=[setting.algorithm])
        claims.validate(decoded.claims)
        return decoded

    return verify


def authlib(setting: Setting) -> Verify:
    """Authlib's validator of RFC 9068, with the keys parsed once. It stands on joserfc since Authlib 1.7."""
    key_set = joserfc_jwk.KeySet.import_key_set({"keys": [dict(setting.jwk)]})
    validator = type("Validator", (JWTBearerTokenValidator,), {"get_jwks": lambda _self: key_set})(
        setting.issuer, setting.audience
    )

    def verify(token: str) -> object:
        claims = validator.authenticate_token(token)
        validator.validate_token(claims, [SCOPE], None)
        return claims

    return verify


PEERS: Final[Mapping[str, Callable[[Setting], Verify]]] = {
    "authserver": ours,
    "PyJWT": pyjwt,
    "joserfc": joserfc,
    "Authlib": authlib,
}


def bare(setting: Setting, tokens: Sequence[str]) -> Verify:
    """The check of the signature and nothing else: all that comes before it was done beforehand."""
    key = jwt.PyJWK(dict(setting.jwk)).key
    arguments = {token: _signed(token, setting.algorithm) for token in tokens}

    def verify(token: str) -> object:
        key.verify(*arguments[token])
        return token

    return verify


def _signed(token: str, algorithm: str) -> tuple[Any, ...]:
    """What ``cryptography`` is called with for a token."""
    signed, _, last = token.rpartition(".")
    signature = base64url_decode(last)
    if algorithm == "ES256":
        halves = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        return encode_dss_signature(*halves), signed.encode("ascii"), ECDSA(SHA256())
    padding = (PKCS1v15(), SHA256()) if algorithm == "RS256" else ()
    return signature, signed.encode("ascii"), *padding
