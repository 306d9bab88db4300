"""Patterns whose ``*`` never crosses a separator. Not a regular expression, and never turned into one."""

from dataclasses import dataclass
from typing import Final

from authserver.table import Mistake

SEPARATORS: Final = "/:"
"""What ``*`` never matches. Every other character but ``*`` stands for itself."""

_SPELLING: Final = 'Write something such as { glob = "refs/heads/release-*" }.'


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern, taken apart: the separators in their order, and between them the literal pieces around each ``*``."""

    pattern: str
    separators: str
    components: tuple[tuple[str, ...], ...]

    @classmethod
    def compile(cls, pattern: str) -> "Glob":
        """Read a pattern.

        :raises Mistake: it has no ``*``, has two in a row, or pins nothing.
        """
        if "*" not in pattern:
            raise Mistake("is a glob without a *", "Write the value itself, without glob; only * has a meaning in one.")
        if "**" in pattern:
            raise Mistake("has ** in a glob", "Write one * for each part between / or :; none ever crosses them.")
        if not pattern.strip("*" + SEPARATORS):
            raise Mistake("is a glob that pins nothing", f"{_SPELLING} To admit any value, leave the attribute out.")
        separators, components = _take_apart(pattern)
        return cls(pattern, separators, tuple(tuple(component.split("*")) for component in components))

    def matches(self, value: str) -> bool:
        """Whether the whole of ``value`` fits, in time linear in its length."""
        separators, components = _take_apart(value)
        return separators == self.separators and all(map(_fits, self.components, components))


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
