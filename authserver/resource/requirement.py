"""What a view demands of the token of a request.

A view declares :class:`Needs` once. For each request they come down to a :class:`Requirement`, which holds scopes and
nothing else, so that a challenge says exactly what was missing.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from authserver.errors import ScopeInsufficient
from authserver.glob import covers
from authserver.resource.token import VerifiedToken

Need: TypeAlias = str | Callable[[Any], str | Iterable[str]]
"""A scope, or what gets the framework's own request object and returns a scope or several.

It is asked before the token is looked at, and on an event loop where the adapter is asynchronous: it must neither block
nor tell what only some may know.
"""

_SCOPE_TOKEN = re.compile(r"[!#-\[\]-~]+")  # RFC 6749 section 3.3


@dataclass(frozen=True, slots=True)
class Requirement:
    """The scope that a token must have: ``all_of`` these, and one of ``any_of`` where that is not empty.

    For those that are also in ``covered`` a granted scope with a ``*`` will do, by the rules of
    :mod:`authserver.glob`; all others are compared as they are. Without ``satisfiable`` no token will do. ``optional``
    lets requests without credentials pass.

    :raises ValueError: a scope is not spelled as RFC 6749 section 3.3 has it.
    :raises TypeError: ``all_of`` or ``any_of`` is a single string.
    """

    all_of: Sequence[str] = ()
    any_of: Sequence[str] = ()
    covered: frozenset[str] = frozenset()
    satisfiable: bool = True
    optional: bool = False

    def __post_init__(self) -> None:
        """Refuse what could never be satisfied, or not as it was meant."""
        if isinstance(self.all_of, str) or isinstance(self.any_of, str):
            raise TypeError("scopes must be a sequence of strings, not one string")
        for scope in (*self.all_of, *self.any_of):
            if _SCOPE_TOKEN.fullmatch(scope) is None:
                raise ValueError(f"not a scope: {scope!r}")

    @property
    def sufficient(self) -> tuple[str, ...]:
        """A smallest scope that satisfies this. Of alternatives it names the first, so put the usual one there."""
        return (*self.all_of, *self.any_of[:1])

    def check(self, token: VerifiedToken) -> None:
        """:raises ScopeInsufficient: the token's scope does not satisfy this."""
        granted = token.scope
        if self.covered:
            granted = granted | {needed for needed in self.covered if any(covers(scope, needed) for scope in granted)}
        enough = granted.issuperset(self.all_of) and not (self.any_of and granted.isdisjoint(self.any_of))
        if not (enough and self.satisfiable):
            raise ScopeInsufficient(self.sufficient)


class Needs:
    """What a view declares: ``all_of`` these, one of ``any_of`` if there are any; see :data:`Need`.

    Of a callable among ``all_of`` every scope is needed that it returns, and one among ``any_of`` adds alternatives.
    What it returns is compared separator-aware: ``images:read:*`` in a token covers ``images:read:cats``. If it returns
    none, or one that is empty, has a ``*`` or could not be in a token, no token will do: so what a caller wrote into a
    path can only ever make it need more.

    With ``optional`` a request without credentials passes. Bad ones are refused as always.

    :raises ValueError: a scope is malformed.
    :raises TypeError: a need is neither a string nor callable, or ``any_of`` is a single string.
    """

    def __init__(self, *all_of: Need, any_of: Sequence[Need] = (), optional: bool = False) -> None:
        if isinstance(any_of, str):
            raise TypeError("any_of must be a sequence of scopes, not one string")
        for need in (*all_of, *any_of):
            if not isinstance(need, str) and not callable(need):
                raise TypeError(f"a need must be a scope or a callable, not {type(need).__name__}")
        self._all_of = all_of
        self._any_of = tuple(any_of)
        self._optional = optional
        spelled = Requirement(_spelled(all_of), _spelled(any_of), optional=optional)
        self._constant = spelled if all(isinstance(need, str) for need in (*all_of, *any_of)) else None

    def of(self, request: object) -> Requirement:
        """What the framework's own ``request`` needs."""
        if self._constant is not None:
            return self._constant
        wanted, hopeless = _asked(self._all_of, request)
        alternatives, _ = _asked(self._any_of, request)
        derived = frozenset((*wanted, *alternatives)).difference(_spelled(self._all_of), _spelled(self._any_of))
        satisfiable = not hopeless and bool(alternatives or not self._any_of)
        return Requirement(wanted, alternatives, derived, satisfiable, self._optional)


def _spelled(needs: Iterable[Need]) -> tuple[str, ...]:
    return tuple(need for need in needs if isinstance(need, str))


def _asked(needs: Iterable[Need], request: object) -> tuple[tuple[str, ...], bool]:
    """The scopes that these needs come to, and whether there were others that no token can have."""
    scopes: dict[str, None] = {}
    hopeless = False
    for need in needs:
        if isinstance(need, str):
            scopes[need] = None
            continue
        returned = need(request)
        named = (returned,) if isinstance(returned, str) else tuple(returned or ())  # None is nothing, too
        usable = [scope for scope in named if _can_be_derived(scope)]
        scopes.update(dict.fromkeys(usable))
        hopeless = hopeless or not named or len(usable) < len(named)
    return tuple(scopes), hopeless


def _can_be_derived(scope: str) -> bool:
    return "*" not in scope and _SCOPE_TOKEN.fullmatch(scope) is not None
