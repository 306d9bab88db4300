"""Scopes: a set of tokens, and a space-separated string only on the wire (RFC 6749 section 3.3)."""

from typing import Final

from authserver.errors import Reason, ScopeRefused
from authserver.model import Resource

# RFC 6749 section 3.3: %x21 / %x23-5B / %x5D-7E, which is printable ASCII without space, quotation mark and backslash.
_CHARACTERS: Final = frozenset(map(chr, range(0x21, 0x7F))) - {'"', "\\"}


def is_scope_token(text: str) -> bool:
    """Whether ``text`` is one scope token (RFC 6749 section 3.3)."""
    return bool(text) and _CHARACTERS.issuperset(text)


def requested(scope: str | None, resource: Resource) -> tuple[str, ...]:
    """The scope tokens that a request asks for, in its order and each once.

    A request that names none asks for the resource's default scopes.

    :raises ScopeRefused: ``scope_malformed``, ``scope_missing`` or ``scope_unknown``.
    """
    if not scope:
        if not resource.default_scopes:
            raise ScopeRefused(Reason.SCOPE_MISSING)
        return resource.default_scopes
    tokens = tuple(dict.fromkeys(scope.split(" ")))
    if not resource.scopes.issuperset(tokens):
        raise _refused(tokens, resource)
    return tokens


def _refused(tokens: tuple[str, ...], resource: Resource) -> ScopeRefused:
    # The scopes of a resource are well formed: that was looked at with the configuration.
    unknown = tuple(token for token in tokens if token not in resource.scopes)
    if not all(map(is_scope_token, unknown)):
        return ScopeRefused(Reason.SCOPE_MALFORMED)
    return ScopeRefused(Reason.SCOPE_UNKNOWN, unknown=unknown)


def refuse_beyond(wanted: tuple[str, ...], granted: frozenset[str]) -> None:
    """:raises ScopeRefused: ``scope_not_allowed``; not everything that is wanted is among what is granted."""
    if not granted.issuperset(wanted):
        refused = tuple(token for token in wanted if token not in granted)
        raise ScopeRefused(Reason.SCOPE_NOT_ALLOWED, refused=refused, allowed=tuple(sorted(granted)))
