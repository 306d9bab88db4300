"""Patterns whose ``*`` never crosses a separator. Not a regular expression, and never turned into one."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

SEPARATORS: Final = "/:"
"""What ``*`` never matches. Every other character but ``*`` stands for itself."""


class Flaw(StrEnum):
    """Why a text is no glob."""

    NO_STAR = "no_star"
    DOUBLE_STAR = "double_star"
    PINS_NOTHING = "pins_nothing"


class NotAGlob(ValueError):
    """A text that is no glob, or none that can mean what it says."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.value)
        self.flaw = flaw


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern, taken apart: the separators in their order, and between them the literal pieces around each ``*``."""

    pattern: str
    separators: str
    components: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, pattern: str) -> Self:
        """Read a pattern.

        :raises NotAGlob: it has no ``*``, has two in a row, or pins nothing.
        """
        if "*" not in pattern:
            raise NotAGlob(Flaw.NO_STAR)
        if "**" in pattern:
            raise NotAGlob(Flaw.DOUBLE_STAR)
        if not pattern.strip("*" + SEPARATORS):
            raise NotAGlob(Flaw.PINS_NOTHING)
        separators, components = _take_apart(pattern)
        return cls(pattern, separators, tuple(tuple(component.split("*")) for component in components))

    def matches(self, value: str) -> bool:
        """Whether the whole of ``value`` fits, in time linear in its length."""
        separators, components = _take_apart(value)
        return separators == self.separators and all(map(_fits, self.components, components))


def covers(granted: str, needed: str) -> bool:
    """Whether a scope that was granted, which may be a glob, is enough for one that is needed."""
    try:
        return granted == needed or Glob.of(granted).matches(needed)
    except NotAGlob:
        return False


def _take_apart(text: str) -> tuple[str, list[str]]:
    separators = "".join(character for character in text if character in SEPARATORS)
    return separators, text.replace(":", "/").split("/")


def _fits(pieces: tuple[str, ...], text: str) -> bool:
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return text == first
    position, end = len(first), len(text) - len(last)
    if end < position or not text.startswith(first) or not text.endswith(last):
        return False
    # The leftmost place for each piece leaves the most room for those after it.
    for piece in pieces[1:-1]:
        found = text.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return True
