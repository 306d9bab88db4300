"""How the store's keys are spelled at a Redis server, so that nothing else there is ever touched.

What stands in braces decides the slot of a key in a cluster (redis.io/docs/latest/operate/oss_and_stack/reference/
cluster-spec, "Hash tags"): keys with the same words in braces can be changed in one step.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

from authserver.oauth import DEVICE_PREFIX

SHARDS: Final = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
"""The characters that an identifier of a device can go on with after its prefix, in their order."""


_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]*")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one environment, each of which begins with ``prefix`` and a colon."""

    prefix: str

    @property
    def ring(self) -> str:
        """The key ring."""
        return f"{self.prefix}:{{ring}}"

    @property
    def check(self) -> str:
        """What is written to find out whether anything can be; it lives where the ring does."""
        return f"{self.prefix}:{{ring}}:check"

    def used(self, source: str, token_id: str) -> str:
        """Something that was used. What stands before a full stop in ``token_id`` says whose it is."""
        whose, stop, rest = token_id.partition(".")
        return f"{self.prefix}:used:{{{_quoted(whose)}}}:{_quoted(stop + rest)}:{_quoted(source)}"

    def read_used(self, key: str) -> tuple[str, str]:
        """Source and identifier of something that was used."""
        whose, rest, source = key.removeprefix(f"{self.prefix}:used:").split(":")
        return _unquoted(source), _unquoted(whose[1:-1]) + _unquoted(rest)

    def revoked(self, issuer: str, jti: str) -> str:
        """A token that was taken back."""
        return f"{self.prefix}:revoked:{{{_quoted(jti)}}}:{_quoted(issuer)}"

    def read_revoked(self, key: str) -> tuple[str, str]:
        """Issuer and ``jti`` of a token that was taken back."""
        jti, issuer = key.removeprefix(f"{self.prefix}:revoked:").split(":")
        return _unquoted(issuer), _unquoted(jti[1:-1])

    def invitation(self, code_hash: str) -> str:
        """An invitation."""
        return f"{self.prefix}:invitation:{{{code_hash}}}"

    def key(self, thumbprint: str) -> str:
        """A key that is a device's, was one's, or is about to be."""
        return f"{self.prefix}:key:{{{_quoted(thumbprint)}}}"

    def read_key(self, key: str) -> str:
        """The thumbprint of a device's key."""
        return _unquoted(key.removeprefix(f"{self.prefix}:key:")[1:-1])

    def device(self, client_id: str) -> str:
        """A device."""
        return f"{self.prefix}:device:{{{client_id}}}"

    def places(self, source: str, owner: str) -> str:
        """The devices of an owner that are not revoked, each with the key that it was enrolled with."""
        return f"{self.prefix}:owner:{{{_hashed(source, owner)}}}:places"

    def of_owner(self, source: str, owner: str) -> str:
        """Every device of an owner, in order."""
        return f"{self.prefix}:owner:{{{_hashed(source, owner)}}}:devices"

    def of_source(self, source: str, shard: str) -> str:
        """Every device of a source whose identifier goes on with this character, in order."""
        return f"{self.prefix}:source:{{{source}:{shard}}}"


def shard(client_id: str) -> str:
    """Which part of its source's list a device is in, so that no part is ever too long for one server."""
    return client_id.removeprefix(DEVICE_PREFIX)[:1]


def _quoted(text: str) -> str:
    """The text without colons and braces of its own, so that it can be read out of a key again."""
    if _PLAIN.fullmatch(text):
        return text  # as quote would answer, six times for each token, after five times as long
    return quote(text, safe="", errors="surrogatepass")


def _unquoted(text: str) -> str:
    return unquote(text, errors="surrogatepass")


def _hashed(*texts: str) -> str:
    joined = "\0".join(texts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(joined).hexdigest()[:32]
