"""Whether a token is what was asked for, as joserfc sees it: neither of ours nor of the server that issued it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from joserfc import jwk, jwt
from joserfc.errors import JoseError

from benchmarks.issuing.loads import Answer, Keys, Wrong

AUDIENCE: Final = "https://images.example.com"
SCOPE: Final = "images:read"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say. ``jkt`` is the thumbprint of the key that it is bound to (RFC 9449), if it is to be."""

    issuer: str
    subject: str
    algorithm: str = "ES256"
    jkt: str | None = None
    audience: str = AUDIENCE
    typ: str = "at+jwt"


def token_check(expected: Expected) -> Callable[[Answer, Keys], None]:
    """A check of answers that carry such a token."""
    binding = "Bearer" if expected.jkt is None else "DPoP"

    def check(answer: Answer, keys: Keys) -> None:
        document = _document(answer)
        # RFC 6749 section 5.1: upper or lower case says nothing.
        if str(document.get("token_type")).lower() != binding.lower() or document.get("expires_in", 0) <= 0:
            raise Wrong(f"not a {binding} token: {document}")
        verify(str(document["access_token"]), expected, keys)

    return check


def verify(token: str, expected: Expected, keys: Keys) -> None:
    """Check a token's signature and what it says.

    :raises Wrong: it is not what was expected.
    """
    must = {"iss": expected.issuer, "sub": expected.subject, "aud": expected.audience, "scope": SCOPE}
    options: dict[str, Any] = {name: {"essential": True, "value": value} for name, value in must.items()}
    options |= {name: {"essential": True} for name in ("exp", "iat", "jti")}
    registry = jwt.JWTClaimsRegistry(**options)
    try:
        found = jwt.decode(token, jwk.KeySet.import_key_set(dict(keys)), algorithms=[expected.algorithm])  # type: ignore[arg-type]
        registry.validate(found.claims)
    except (JoseError, ValueError) as error:
        raise Wrong(f"joserfc does not believe the token: {error!r}") from error
    if str(found.header.get("typ")).lower() != expected.typ.lower():
        raise Wrong(f"the token's type is {found.header.get('typ')}")
    if expected.jkt is not None and found.claims.get("cnf", {}).get("jkt") != expected.jkt:
        raise Wrong("the token is not bound to the caller's key")


def _document(answer: Answer) -> dict[str, Any]:
    if answer.status != 200:
        raise Wrong(f"{answer.status}: {answer.body[:500]!r}")
    document = json.loads(answer.body)
    if not isinstance(document, dict):
        raise Wrong(f"not an object: {answer.body[:500]!r}")
    return document
