"""The globs of a policy: what is wrong with one is a mistake that says how to write it."""

from typing import Final

from authserver.glob import Flaw, Glob, NotAGlob
from authserver.table import Mistake

_SPELLING: Final = 'Write something such as { glob = "refs/heads/release-*" }.'

_MISTAKES: Final = {
    Flaw.NO_STAR: ("is a glob without a *", "Write the value itself, without glob; only * has a meaning in one."),
    Flaw.DOUBLE_STAR: ("has ** in a glob", "Write one * for each part between / or :; none ever crosses them."),
    Flaw.PINS_NOTHING: (
        "is a glob that pins nothing",
        f"{_SPELLING} To admit any value, leave the attribute out.",
    ),
}


def read_glob(pattern: str) -> Glob:
    """Read a pattern of a policy.

    :raises Mistake: it has no ``*``, has two in a row, or pins nothing.
    """
    try:
        return Glob.of(pattern)
    except NotAGlob as error:
        raise Mistake(*_MISTAKES[error.flaw]) from None
