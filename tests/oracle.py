"""The independent oracle: tokens that we accept are made here with joserfc, and tokens that we mint are checked here.

Nothing in this module imports authserver.
"""

import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from joserfc import jws, jwt
from joserfc.jwk import ECKey, KeyParameters, KeySet, OKPKey, RSAKey

from tests import leaks

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_REGISTRY = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)

Key = RSAKey | ECKey | OKPKey


def make_key(algorithm: str = "ES256", *, kid: str | None = None) -> Key:
    """A fresh private key that carries ``kid``, ``alg`` and ``use``."""
    parameters: KeyParameters = {"kid": kid or secrets.token_hex(8), "alg": algorithm, "use": "sig"}
    if algorithm.startswith(("RS", "PS")):
        return RSAKey.generate_key(2048, parameters)
    if algorithm == "EdDSA":
        return OKPKey.generate_key("Ed25519", parameters)
    return ECKey.generate_key({"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[algorithm], parameters)


def public_jwk(key: Key, **changes: Any) -> dict[str, Any]:
    """The public JWK of a key, with members replaced; None takes a member away."""
    members = {**key.as_dict(private=False), **changes}
    return {name: value for name, value in members.items() if value is not None}


def jwks(*keys: Key) -> dict[str, Any]:
    """A JWK set of the public halves."""
    return {"keys": [public_jwk(key) for key in keys]}


def sign(key: Key, claims: Mapping[str, Any], *, algorithm: str | None = None, **header: Any) -> str:
    """A compact JWT made by joserfc. Header members can be replaced; None takes one away."""
    algorithm = algorithm or str(key.as_dict(private=False)["alg"])
    members = {"typ": "JWT", "alg": algorithm, "kid": key.kid, **header}
    members = {name: value for name, value in members.items() if value is not None}
    payload = json.dumps(claims, separators=(",", ":")).encode()
    return leaks.handled(jws.serialize_compact(members, payload, key, algorithms=ALGORITHMS, registry=_REGISTRY))


def identity(issuer: str, audience: str, *, now: float | None = None, **claims: Any) -> dict[str, Any]:
    """The claims of an ordinary identity token; None takes a claim away."""
    issued = int(time.time() if now is None else now)
    members = {
        "iss": issuer,
        "aud": audience,
        "sub": "somebody",
        "iat": issued,
        "exp": issued + 600,
        "jti": secrets.token_hex(16),
        **claims,
    }
    return {name: value for name, value in members.items() if value is not None}


def read(token: str, key_set: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Verify the signature of a token of ours with joserfc; the header and the claims."""
    decoded = jwt.decode(token, KeySet.import_key_set(dict(key_set)), algorithms=ALGORITHMS)  # type: ignore[arg-type]
    return decoded.header, decoded.claims


def with_negated_s(token: str) -> str:
    """The same ES256 token with the signature (r, n - s), which is as valid as (r, s)."""
    head, _, signature = token.rpartition(".")
    raw = urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    negated = order - int.from_bytes(raw[32:], "big")
    altered = urlsafe_b64encode(raw[:32] + negated.to_bytes(32, "big")).rstrip(b"=").decode()
    return leaks.handled(f"{head}.{altered}")
