"""A file that somebody else replaces while the server runs."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

LARGEST: Final = 4 * 1024 * 1024
"""The longest file that is read, in bytes."""

T = TypeVar("T")


class WatchedFile(Generic[T]):
    """What ``read`` makes of the content of a file, made anew when the file is another one or was written to.

    Threads may share it: what they have is one value, and at worst two of them read the same file.
    """

    def __init__(self, path: Path, read: Callable[[bytes], T]) -> None:
        self._path = path
        self._read = read
        self._known: tuple[tuple[int, ...], T] | None = None

    def current(self) -> T:
        """What the file says now. What it said before is no answer: somebody has taken it away.

        :raises OSError: it cannot be read.
        :raises ValueError: it is too long, or ``read`` finds nothing in it that it can use.
        """
        known = self._known
        if known is not None and known[0] == _state(self._path.stat()):
            return known[1]
        with self._path.open("rb") as file:
            state = _state(os.fstat(file.fileno()))  # before it is read, so that a later change shows
            raw = file.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise ValueError("too long")
        value = self._read(raw)
        self._known = state, value
        return value


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
