"""A look into the memory of what may be used only once, which changes nothing that is kept in it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from authserver.errors import CredentialRejected, Reason, Unavailable


class SqliteOnlooker:
    """Implements :class:`~authserver.store.ports.ReplayStore` over the SQLite store at ``path``, and only looks.

    It refuses what was used and remembers nothing: the file is opened so that it cannot be written, and one that does
    not exist is not made, for then nothing was used. SQLite may put the files beside it that readers share with
    writers (``-shm`` and ``-wal``).
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def use_once(self, source: str, token_id: str, *, expires_at: float, now: float) -> None:
        """See :class:`~authserver.store.ports.ReplayStore`."""
        del expires_at
        if self._path.exists() and self._used(source, token_id, now):
            raise CredentialRejected(Reason.USED_TWICE)

    def _used(self, source: str, token_id: str, now: float) -> bool:
        statement = "SELECT EXISTS (SELECT 1 FROM used WHERE source = ? AND token_id = ? AND expires_at > ?)"
        try:
            with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as connection:
                (used,) = connection.execute(statement, (source, token_id, now)).fetchone()
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", type(error).__name__)
            raise Unavailable(Reason.STORE_UNAVAILABLE, cause=name) from error
        return bool(used)
