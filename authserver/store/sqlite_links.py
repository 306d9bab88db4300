"""Connections to one SQLite file, each of one thread of one process and never carried across a fork."""

import contextlib
import errno
import os
import sqlite3
import threading
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
    """A connection with what it is bound to, its process and its thread, and what its commits wait for."""

    connection: sqlite3.Connection
    process: int
    thread: threading.Thread
    synchronous: Synchronous


class SqliteLinks:
    """The way to the file at ``path``, which is never made here.

    Once it was opened the file must stay: one that vanishes or is replaced by another is an error instead of an empty
    store. ``busy_timeout`` is in seconds.
    """

    def __init__(self, path: Path, busy_timeout: float) -> None:
        self._path = path
        self._name = str(path)
        self._busy_timeout = busy_timeout
        self._local = threading.local()
        self._links: list[_Link] = []
        self._lock = threading.Lock()
        self._file: tuple[int, int] | None = None

    def __len__(self) -> int:
        """How many connections there are."""
        return len(self._links)

    def connection(self, synchronous: Synchronous | None = None) -> sqlite3.Connection:
        """The connection of this thread, whose next commit waits for what ``synchronous`` says; None is for reading.

        :raises OSError: the file is not there, or is another one.
        :raises sqlite3.Error: it cannot be opened.
        """
        self._check_file()
        link: _Link | None = getattr(self._local, "link", None)
        if link is None or link.process != os.getpid():
            link = self._local.link = self._open()
        if synchronous not in (None, link.synchronous):
            link.connection.execute(f"PRAGMA synchronous = {synchronous}")
            link.synchronous = synchronous
        return link.connection

    def close(self) -> None:
        """Close this process's connections. Closing twice is harmless, and a later use opens anew.

        One that another thread may be using at this moment closes when that is done with it: to have it closed under a
        statement could crash the process.
        """
        with self._lock:
            for link in self._own():
                if link.thread is threading.current_thread() or not link.thread.is_alive():
                    link.connection.close()
                self._links.remove(link)
            self._local = threading.local()

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
        except BaseException:
            connection.close()
            raise
        link = _Link(connection, os.getpid(), threading.current_thread(), Synchronous.FULL)
        with self._lock:
            self._close_dead_threads()
            self._links.append(link)
        return link

    def _own(self) -> list[_Link]:
        # What another process opened is kept referenced and never closed: closing it here, after a fork, would take
        # part in the other's locks (sqlite.org/howtocorrupt.html section 2.6).
        return [link for link in self._links if link.process == os.getpid()]

    def _close_dead_threads(self) -> None:
        for link in self._own():
            if not link.thread.is_alive():
                link.connection.close()
                self._links.remove(link)


class OutagesTranslated:
    """Within it, whatever the database or the file system says becomes one error that quotes nothing that was stored.

    It is a class because each token comes through here, and a generator would cost five times as much.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """:raises Unavailable: ``store_unavailable``."""
        if isinstance(error, sqlite3.Error):
            name = getattr(error, "sqlite_errorname", type(error).__name__)
            raise Unavailable(Reason.STORE_UNAVAILABLE, cause=name) from error
        if isinstance(error, OSError):
            name = errno.errorcode.get(error.errno or 0, type(error).__name__)
            raise Unavailable(Reason.STORE_UNAVAILABLE, cause=name) from error


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
