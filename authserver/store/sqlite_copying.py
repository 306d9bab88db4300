"""The records of a SQLite store, and its backup."""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from authserver.errors import Reason, Unavailable
from authserver.store import sqlite_devices
from authserver.store.copying import Kind, Record
from authserver.store.records import (
    device_document,
    invitation_document,
    read_device_document,
    read_invitation_document,
)
from authserver.store.sqlite import SqliteStore


@dataclass(frozen=True, slots=True)
class _Table:
    """Where a kind is kept: its columns, of which the first few are its key."""

    name: str
    columns: tuple[str, ...]
    key: int = 1


_TABLES: Final[Mapping[Kind, _Table]] = {
    Kind.RING: _Table("ring", ("one", "version", "document")),
    Kind.USED: _Table("used", ("source", "token_id", "expires_at"), 2),
    Kind.REVOKED: _Table("revoked", ("issuer", "jti", "expires_at"), 2),
    Kind.INVITATION: _Table("invitations", tuple(sqlite_devices.INVITATION.split(", "))),
    Kind.DEVICE: _Table("devices", tuple(sqlite_devices.DEVICE.split(", "))),
    Kind.KEY: _Table("device_keys", ("thumbprint", "client_id")),
}


class SqliteRecords:
    """Implements :class:`~authserver.store.copying.Portable` for a SQLite store at ``path``, made if need be.

    :raises ConfigurationError: the file was written by a newer release.
    :raises Unavailable: ``store_unavailable``.
    """

    def __init__(self, path: Path) -> None:
        SqliteStore(path).close()  # makes it, or brings it to this release's schema
        self._path = path

    def records(self, kind: Kind) -> Iterator[Record]:
        """See :class:`~authserver.store.copying.Portable`."""
        table = _TABLES[kind]
        with _connected(self._path) as connection:
            for row in connection.execute(f"SELECT {', '.join(table.columns)} FROM {table.name}"):  # noqa: S608
                yield _record(kind, row)

    def same(self, kind: Kind, records: Sequence[Record]) -> list[Record | None]:
        """See :class:`~authserver.store.copying.Portable`."""
        table = _TABLES[kind]
        columns = ", ".join(table.columns)
        where = " AND ".join(f"{column} = ?" for column in table.columns[: table.key])
        with _connected(self._path) as connection:
            found = (
                connection.execute(f"SELECT {columns} FROM {table.name} WHERE {where}", _row(record)[: table.key])  # noqa: S608
                for record in records
            )
            rows = [cursor.fetchone() for cursor in found]
        return [None if row is None else _record(kind, row) for row in rows]

    def write(self, kind: Kind, records: Sequence[Record]) -> None:
        """See :class:`~authserver.store.copying.Portable`."""
        table = _TABLES[kind]
        places = ", ".join("?" * len(table.columns))
        statement = f"INSERT OR REPLACE INTO {table.name} ({', '.join(table.columns)}) VALUES ({places})"  # noqa: S608
        with _connected(self._path) as connection, connection:
            connection.executemany(statement, [_row(record) for record in records])


def backup(store: Path, file: Path) -> None:
    """Copy a SQLite store as it is at one moment, while servers work with it, into a new file of mode 0600.

    :raises FileExistsError: there is something at ``file`` already.
    :raises OSError: the file cannot be made.
    :raises Unavailable: ``store_unavailable``.
    """
    os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    try:
        with _connected(store) as source, _connected(file) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
    except BaseException:
        file.unlink()
        raise


def is_sound(file: Path) -> bool:
    """Whether a file is a store, and SQLite finds nothing wrong with it.

    :raises Unavailable: ``store_unavailable``, it is no database at all.
    """
    with _connected(file) as connection:
        return bool(
            connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            and connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'ring'").fetchone()
        )


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            yield connection
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        raise Unavailable(Reason.STORE_UNAVAILABLE, cause=name) from error


def _record(kind: Kind, row: tuple[Any, ...]) -> Record:
    if kind is Kind.DEVICE:
        return Record(kind, device_document(sqlite_devices.device_of(row)))
    if kind is Kind.INVITATION:
        return Record(kind, invitation_document(sqlite_devices.invitation_of(row)))
    return Record.of(
        kind, {name: value for name, value in zip(_TABLES[kind].columns, row, strict=True) if name != "one"}
    )


def _row(record: Record) -> tuple[Any, ...]:
    if record.kind is Kind.DEVICE:
        return sqlite_devices.device_row(read_device_document(record.content))
    if record.kind is Kind.INVITATION:
        return sqlite_devices.invitation_row(read_invitation_document(record.content))
    members = {"one": 1, **record.members}
    return tuple(members[column] for column in _TABLES[record.kind].columns)
