"""A key set as it is at one moment: which of its keys can be used, and by what name."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from authserver.errors import CredentialRejected, Reason
from authserver.jose.jwk import MAX_KEY_ID, VerificationKey, import_public

MAX_KEYS: Final = 100
"""A set with more keys than this is refused as a whole."""


def hash_key_id(kid: str) -> str:
    """A ``kid`` for logs: short, and nothing that anybody could have written into it."""
    return hashlib.sha256(kid.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class KnownKeys:
    """Keys that never change, each by its name."""

    def __init__(self, by_id: Mapping[str, VerificationKey]) -> None:
        self.by_id: Final = by_id

    def find(self, kid: str, algorithm: str, _now: float) -> VerificationKey:
        """See :class:`authserver.jose.verify.Keys`."""
        key = self.by_id.get(kid)
        if key is None:
            raise CredentialRejected(Reason.KEY_UNKNOWN, unverified_kid_sha256=hash_key_id(kid))
        if key.algorithm != algorithm:
            raise CredentialRejected(Reason.ALGORITHM_NOT_ALLOWED, bound_to=key.algorithm)
        return key


class StaticKeySet(KnownKeys):
    """A key set that never changes: from a file, or one answer of an issuer."""

    def __init__(self, document: Mapping[str, Any], algorithms: Sequence[str]) -> None:
        """Keep the keys that are usable with one of ``algorithms``; others are ignored (RFC 7517 section 5).

        :raises ValueError: it is not a JWK set, has too many keys, or none that is usable.
        """
        super().__init__(usable_keys(entries_of(document), algorithms))
        if not self.by_id:
            raise ValueError("no usable key")


def entries_of(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The JWKs of a JWK set (RFC 7517 section 5). What is no object is left out.

    :raises ValueError: it is not a JWK set, or has too many keys.
    """
    entries = document.get("keys")
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise ValueError("not a JWK set of a reasonable size")
    return [entry for entry in entries if isinstance(entry, dict)]


def usable_keys(entries: Sequence[Mapping[str, Any]], algorithms: Sequence[str]) -> dict[str, VerificationKey]:
    """Those of the JWKs that have a name of their own and are usable with one of ``algorithms``, by that name."""
    named = [(entry["kid"], entry) for entry in entries if _is_key_id(entry.get("kid"))]
    times = Counter(kid for kid, _ in named)
    keys = {}
    for kid, entry in named:
        key = _import(entry, algorithms)
        if key is not None and times[kid] == 1:  # a name that two keys share says which of them for neither
            keys[kid] = key
    return keys


def _is_key_id(kid: object) -> bool:
    return isinstance(kid, str) and 0 < len(kid) <= MAX_KEY_ID


def _import(jwk: Mapping[str, Any], algorithms: Sequence[str]) -> VerificationKey | None:
    try:
        return import_public(jwk, algorithms)
    except ValueError:
        return None
