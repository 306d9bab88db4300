"""Which resource server a request is for (RFC 8707 section 2, RFC 8693 section 2.1)."""

from collections.abc import Mapping
from string import ascii_letters, digits
from typing import Final

from authserver.errors import Reason, TargetRefused
from authserver.model import Resource

_SCHEME: Final = frozenset(ascii_letters + digits + "+-.")
_URI: Final = frozenset(ascii_letters + digits + "-._~:/?[]@!$&'()*+,;=%")  # RFC 3986 section 2, without "#"


def is_absolute_uri(text: str) -> bool:
    """Whether ``text`` is an absolute URI without a fragment (RFC 3986 section 4.3)."""
    scheme, _, rest = text.partition(":")
    return scheme[:1].isalpha() and _SCHEME.issuperset(scheme) and bool(rest) and _URI.issuperset(rest)


def target(configured: Mapping[str, Resource], resources: tuple[str, ...], audiences: tuple[str, ...]) -> Resource:
    """The one resource that the ``resource`` and ``audience`` parameters name.

    ``configured`` maps identifiers to resources. Identifiers are compared character by character.

    :raises TargetRefused: ``target_ambiguous``, ``target_missing``, ``target_malformed`` or ``target_unknown``.
    """
    if len(resources) > 1 or len(audiences) > 1:
        raise TargetRefused(Reason.TARGET_AMBIGUOUS)
    if not all(map(is_absolute_uri, resources)):
        raise TargetRefused(Reason.TARGET_MALFORMED)
    named = set(resources + audiences)
    if not named:
        raise TargetRefused(Reason.TARGET_MISSING)
    if not named <= configured.keys():
        raise TargetRefused(Reason.TARGET_UNKNOWN)
    if len(named) > 1:
        raise TargetRefused(Reason.TARGET_AMBIGUOUS)
    return configured[named.pop()]
