"""Connections to one SQLite file, each lent to one thread at a time and never carried across a fork."""

import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final

from authserver.errors import Reason, Unavailable

BUSY_TIMEOUT: Final = 5.0
"""How many seconds a writer waits for another one, unless told otherwise, before the store counts as unavailable."""

PAGE_CACHE: Final = 512
"""How many KiB of the file a connection keeps in memory: the upper levels of the trees, and hardly any leaves.

What is used once is found under a hash, so a leaf that was read is seldom the next to be read. SQLite's own bound is
four times this, and fills once for each thread in whose part of the heap a page was allocated.
"""


class Synchronous(StrEnum):
    """What a commit waits for, as ``PRAGMA synchronous`` has it (sqlite.org/pragma.html#pragma_synchronous)."""

    FULL = "FULL"
    """The disk, so that it survives a loss of power."""
    NORMAL = "NORMAL"
    """The operating system, so that it survives whatever becomes of this process. The file stays whole in any case."""


class _Connection(sqlite3.Connection):
    """A connection that closes when nobody has it any more."""

    def __del__(self) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # it could not be opened in the first place
            self.close()


@dataclass(slots=True)
class _Link:
    """A connection with what its commits wait for, and how often everything had been closed when it was opened."""

    connection: sqlite3.Connection
    synchronous: Synchronous
    generation: int


class SqliteLinks:
    """The way to the file at ``path``, which is never made here.

    Whoever needs a connection is lent one, and who gave one back last decides which is lent next: so there are as many
    as were ever needed at once, and the one whose cache is warm does most of the work. Once it was opened the file must
    stay: one that vanishes or is replaced by another is an error instead of an empty store. ``busy_timeout`` is in
    seconds.
    """

    def __init__(self, path: Path, busy_timeout: float) -> None:
        self._path = path
        self._name = str(path)
        self._busy_timeout = busy_timeout
        self._generation = 0
        # Of each process, because a child finds its parent's after a fork: those are kept referenced, and neither used
        # nor closed. Closing one would take part in the other's locks (sqlite.org/howtocorrupt.html section 2.6).
        # There is no lock: a list gives and takes its last in one step, and a dictionary makes one in one.
        self._idle: dict[int, list[_Link]] = {}
        self._file: tuple[int, int] | None = None

    def __len__(self) -> int:
        """How many connections nobody uses at this moment."""
        return len(self._own())

    def lend(self, synchronous: Synchronous | None = None) -> "Loan":
        """A connection for a ``with`` block, whose commits wait for what ``synchronous`` says; None is for reading.

        Within the block, whatever the database or the file system says becomes ``store_unavailable``.
        """
        return Loan(self, synchronous)

    def close(self) -> None:
        """Close this process's connections. Closing twice is harmless, and a later use opens anew.

        One that another thread uses at this moment is closed when that gives it back: to have it closed under a
        statement could crash the process.
        """
        self._generation += 1
        _close_all(self._own())

    def take(self, synchronous: Synchronous | None) -> _Link:
        """A connection that nobody uses, for one who will give it back.

        :raises OSError: the file is not there, or is another one.
        :raises sqlite3.Error: it cannot be opened.
        """
        self._check_file()
        try:
            link = self._own().pop()
        except IndexError:
            link = self._open()
        if synchronous not in (None, link.synchronous):
            link.connection.execute(f"PRAGMA synchronous = {synchronous}")
            link.synchronous = synchronous
        return link

    def give_back(self, link: _Link) -> None:
        """The connection is not used any more."""
        if link.connection.in_transaction:  # its end has failed
            link.connection.close()
            return
        own = self._own()
        own.append(link)
        if link.generation != self._generation:
            _close_all(own)

    def _own(self) -> list[_Link]:
        return self._idle.setdefault(os.getpid(), [])

    def _check_file(self) -> None:
        status = os.stat(self._name)  # noqa: PTH116 (once for every token, and a Path makes it three times as slow)
        identity = status.st_dev, status.st_ino
        if self._file is None:
            self._file = identity
        if identity != self._file:
            raise OSError(errno.ESTALE, "the store's file was replaced")

    def _open(self) -> _Link:
        address = f"{self._path.as_uri()}?mode=rw"  # never make a file here: one that vanished must not be forgotten
        connection = sqlite3.connect(
            address,
            uri=True,
            timeout=self._busy_timeout,
            isolation_level=None,
            check_same_thread=False,
            factory=_Connection,
        )
        try:
            _patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"))
            connection.execute(f"PRAGMA synchronous = {Synchronous.FULL}")
            connection.execute(f"PRAGMA cache_size = -{PAGE_CACHE}")
        except BaseException:
            connection.close()
            raise
        return _Link(connection, Synchronous.FULL, self._generation)


def _close_all(links: list[_Link]) -> None:
    with contextlib.suppress(IndexError):
        while True:
            links.pop().connection.close()


class Loan:
    """A connection for the length of a ``with`` block; see :meth:`SqliteLinks.lend`.

    It is a class because each token of a device comes through here, and a generator would cost five times as much.
    """

    __slots__ = ("_link", "_links", "_synchronous")

    def __init__(self, links: SqliteLinks, synchronous: Synchronous | None) -> None:
        self._links = links
        self._synchronous = synchronous

    def __enter__(self) -> sqlite3.Connection:
        """:raises Unavailable: ``store_unavailable``."""
        try:
            self._link = link = self._links.take(self._synchronous)
        except (sqlite3.Error, OSError) as error:
            raise _outage(error) from error
        return link.connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """:raises Unavailable: ``store_unavailable``."""
        self._links.give_back(self._link)
        if isinstance(error, (sqlite3.Error, OSError)):
            raise _outage(error) from error


class OutagesTranslated:
    """Within it, what the database or the file system says becomes one error that quotes nothing of what is kept."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """:raises Unavailable: ``store_unavailable``."""
        if isinstance(error, (sqlite3.Error, OSError)):
            raise _outage(error) from error


def _outage(error: sqlite3.Error | OSError) -> Unavailable:
    if isinstance(error, OSError):
        name = errno.errorcode.get(error.errno or 0, type(error).__name__)
    else:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
    return Unavailable(Reason.STORE_UNAVAILABLE, cause=name)


def _patiently(action: Callable[[], object]) -> None:
    """Switching a file to WAL answers "busy" at once while another process does the same; so ask again."""
    for _ in range(int(BUSY_TIMEOUT / 0.05)):
        try:
            action()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(0.05)
        else:
            return
    action()
