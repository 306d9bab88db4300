"""Public keys that come with every request of their owner, and are the same each time: imported once."""

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from authserver.jose.jwk import VerificationKey, import_public, public_members, thumbprint

MOST_KEPT: Final = 4096
"""How many imported keys are kept in a process, each with some 2,500 bytes."""

LONGEST_KEPT: Final = 512
"""How many characters a JWK may have that is kept. Anybody can send one before a signature is looked at."""


class ImportedKey(NamedTuple):
    """A key, the members of its JWK that its thumbprint is made of, and that thumbprint (RFC 7638)."""

    key: VerificationKey
    jwk: Mapping[str, str]
    thumbprint: str


def imported(jwk: Mapping[str, Any], algorithm: str) -> ImportedKey:
    """The key of a public JWK, as :func:`authserver.jose.jwk.import_public` makes it for this one algorithm.

    To check that a point is on its curve and to hash the thumbprint takes half as long as to verify a signature.

    :raises ValueError: as there.
    """
    members = tuple(sorted(jwk.items()))
    return (_kept if _is_short(members) else _imported)(algorithm, members)


def _is_short(members: tuple[tuple[str, Any], ...]) -> bool:
    size = 0
    for name, value in members:
        if type(value) is not str:
            return False
        size += len(name) + len(value)
    return size <= LONGEST_KEPT


def _imported(algorithm: str, members: tuple[tuple[str, Any], ...]) -> ImportedKey:
    jwk = dict(members)
    key, public = import_public(jwk, (algorithm,)), public_members(jwk)
    return ImportedKey(key, MappingProxyType(public), thumbprint(public))


# What comes out depends on nothing but what goes in, and a key that is refused is not kept.
_kept = lru_cache(MOST_KEPT)(_imported)
