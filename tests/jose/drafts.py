"""Tokens that a configured issuer might sign, each a good one with something odd about it.

What is odd is there before it is signed wherever that can be, so that the signature never is the reason to refuse.
Each oddity has a name and variants that every reader should treat alike.
"""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from joserfc.jws import JWSRegistry

from tests import oracle

ISSUER: Final = "https://issuer.test"
AUDIENCE: Final = "https://auth.test"
SKEW: Final = 30
NOW: Final = int(time.time())  # PyJWT reads the clock itself, so no time here is near to a bound
EXPIRES: Final = NOW + 10 * 86400

KEYS: Final[Mapping[str, oracle.Key]] = {
    "elliptic": oracle.make_key("ES256", kid="elliptic"),
    "rsa": oracle.make_key("RS256", kid="rsa"),
    "edwards": oracle.make_key("EdDSA", kid="edwards"),
}
STRANGER: Final = oracle.make_key("ES256", kid="elliptic")
JWKS: Final = oracle.jwks(*KEYS.values())
ALGORITHMS: Final = ("ES256", "RS256", "EdDSA")

Members = list[tuple[str, str]]
"""The members of a JSON object in their order, each a name and a value as JSON texts."""


@dataclass
class Draft:
    """A token before it is written. ``header`` and ``claims`` are what it says, the rest is how it is spelled."""

    kid: str = "elliptic"
    header: Members = field(default_factory=list)
    claims: Members = field(default_factory=list)
    encoded: dict[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    segments: dict[str, Callable[[str], str]] = field(default_factory=dict)
    signature: Callable[[bytes], bytes] = bytes
    whole: Callable[[str], str] = str
    signer: oracle.Key | None = None

    def members(self, part: str) -> Members:
        """The members of ``header`` or ``claims``."""
        return self.header if part == "header" else self.claims

    def put(self, part: str, name: str, text: str | None) -> None:
        """Replace or append a member; None takes it away."""
        members = self.members(part)
        members[:] = [member for member in members if json.loads(member[0]) != name]
        if text is not None:
            members.append((json.dumps(name), text))

    def written(self) -> str:
        """The token."""
        header, claims = (self._segment(part) for part in ("header", "claims"))
        key = self.signer or KEYS[self.kid]
        algorithm = str(key.as_dict(private=False)["alg"])
        signed = JWSRegistry.algorithms[algorithm].sign(f"{header}.{claims}".encode("utf-8", "surrogatepass"), key)
        signature = segment(self.signature(signed))
        return self.whole(f"{header}.{claims}.{self.segments.get('signature', str)(signature)}")

    def _segment(self, part: str) -> str:
        text = "{" + ",".join(f"{name}:{value}" for name, value in self.members(part)) + "}"
        encoded = self.encoded.get(part, bytes)(text.encode("utf-8", "surrogatepass"))
        return self.segments.get(part, str)(segment(encoded))


Apply = Callable[[Draft, Any], None]


@dataclass(frozen=True)
class Oddity:
    """Something odd: what it is called in the table of differences, its variants, and how it comes into a draft."""

    name: str
    variants: Sequence[Any]
    apply: Apply = field(repr=False)

    def token(self, variant: Any) -> str:
        """A token that is odd in this alone."""
        draft = good()
        self.apply(draft, variant)
        return draft.written()


def good(kid: str = "elliptic") -> Draft:
    """A token that everybody accepts."""
    header = {"alg": KEYS[kid].as_dict(private=False)["alg"], "typ": "JWT", "kid": kid}
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "somebody", "iat": NOW, "exp": EXPIRES, "jti": "one"}
    return Draft(kid, as_members(header), as_members(claims))


def as_members(value: Mapping[str, Any]) -> Members:
    """An object as its members."""
    return [(json.dumps(name), json.dumps(each)) for name, each in value.items()]


def segment(raw: bytes) -> str:
    """Base64url as it should be."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
