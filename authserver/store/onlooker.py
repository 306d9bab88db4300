"""A look into the embedded store, which changes nothing that is kept in it."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from authserver.errors import CredentialRejected, Reason
from authserver.model import Device, DeviceRecord, Use
from authserver.store import sqlite_devices, sqlite_uses
from authserver.store.sqlite_links import OutagesTranslated


class SqliteOnlooker:
    """Implements :class:`~authserver.store.ports.Onlooker` over the SQLite store at ``path``.

    It refuses what was used and remembers nothing: the file is opened so that it cannot be written, and one that does
    not exist is not made, for then nothing was used and nobody enrolled. SQLite may put the files beside it that
    readers share with writers (``-shm`` and ``-wal``).
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def use_once(self, source: str, token_id: str, *, expires_at: float, now: float) -> None:
        """See :class:`~authserver.store.ports.ReplayStore`."""
        if self.use_together([Use(source, token_id, expires_at)], now) is not None:
            raise CredentialRejected(Reason.USED_TWICE)

    def use_together(self, uses: Sequence[Use], now: float) -> Use | None:
        """See :class:`~authserver.store.ports.ReplayStore`."""
        if not self._path.exists():
            return None
        return next((use for use in uses if self._is_used(use, now)), None)

    def read_device(self, client_id: str) -> Device | None:
        """See :class:`~authserver.store.ports.DeviceReader`."""
        record = self.read_record(client_id)
        return None if record is None else record.device

    def read_record(self, client_id: str) -> DeviceRecord | None:
        """See :class:`~authserver.store.ports.DeviceReader`."""
        if not self._path.exists():
            return None
        with self._reading() as connection:
            # A store that the server has not upgraded yet knows no devices.
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'devices'").fetchone() is None:
                return None
            return sqlite_devices.read_record(connection, client_id)

    def _is_used(self, use: Use, now: float) -> bool:
        with self._reading() as connection:
            return sqlite_uses.is_used(connection, use, now)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with OutagesTranslated(), closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as connection:
            yield connection
