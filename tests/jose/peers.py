"""The same question to us, to PyJWT and to joserfc: is this token believed, and what does it say?

Each library is used as its documentation says: with the key of the ``kid``, the algorithms, the issuer, the audience,
the times and the claims that must be there. So what differs is the libraries' reading, not somebody's forgetting.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import jwt
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from authserver.errors import CredentialRejected
from authserver.jose.compact import parse
from authserver.jose.key_set import StaticKeySet
from authserver.jose.verify import verify
from tests.jose.drafts import ALGORITHMS, AUDIENCE, ISSUER, JWKS, NOW, SKEW

Claims = Mapping[str, Any]

_OURS: Final = StaticKeySet(JWKS, ALGORITHMS)
_PYJWT: Final = {str(key.key_id): key for key in jwt.PyJWKSet.from_dict(JWKS).keys}
_JOSERFC: Final = KeySet.import_key_set(JWKS)  # type: ignore[arg-type]
# By default it also refuses headers that it does not know, which RFC 7515 section 4 says must be ignored.
_HEADERS: Final = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
_REGISTRY: Final = joserfc_jwt.JWTClaimsRegistry(
    now=NOW,
    leeway=SKEW,
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    exp={"essential": True},
    sub={"essential": True},
)


def ours(token: str) -> Claims | None:
    """What we believe, or None: with the subject, which every source of identities reads."""
    try:
        verified = verify(
            parse(token),
            keys=_OURS,
            issuer=ISSUER,
            audience=AUDIENCE,
            typ=("jwt", None),
            algorithms=ALGORITHMS,
            now=NOW,
            skew=SKEW,
        )
        verified.text("sub")
    except CredentialRejected:
        return None
    return verified.claims


def pyjwt(token: str) -> Claims | None:
    """What PyJWT believes, or None."""
    try:
        key = _PYJWT[jwt.get_unverified_header(token)["kid"]]
        return jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            issuer=ISSUER,
            audience=AUDIENCE,
            leeway=SKEW,
            options={"require": ["iss", "aud", "exp", "sub"]},
        )
    except Exception:  # it raises more than its own, for what it did not expect
        return None


def joserfc(token: str) -> Claims | None:
    """What joserfc believes, or None."""
    try:
        decoded = joserfc_jwt.decode(token, _JOSERFC, algorithms=ALGORITHMS, registry=_HEADERS)
        _REGISTRY.validate(decoded.claims)
    except Exception:  # as above
        return None
    return decoded.claims


PEERS: Final[Mapping[str, Callable[[str], Claims | None]]] = {"PyJWT": pyjwt, "joserfc": joserfc}
