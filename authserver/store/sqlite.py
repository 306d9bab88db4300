"""The embedded store: one SQLite file, one host, any number of processes and threads.

Write-ahead logging lets readers go on while somebody writes, ``synchronous=FULL`` makes a commit survive a loss of
power, and every write begins as one so that no transaction has to be upgraded half-way. A connection is lent to one
thread at a time and is never carried across a fork.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from authserver.errors import ConfigurationError, Conflict, CredentialRejected, Problem, Reason
from authserver.model import Device, DeviceRecord, Invitation, Use
from authserver.store import sqlite_devices, sqlite_schema, sqlite_uses
from authserver.store.ports import RingRecord
from authserver.store.sqlite_links import BUSY_TIMEOUT, OutagesTranslated, SqliteLinks, Synchronous

SWEEP_BATCH: Final = 500
"""How many expired rows one transaction deletes at most, so that a sweep never holds up a token for long."""


class SqliteStore:
    """Implements :class:`~authserver.store.ports.Store` in the file at ``path``.

    With ``create`` the file is made, readable by its owner alone, when it does not exist yet, and brought to this
    release's schema. Without, nothing is touched until it is needed, and a file that is not there is an outage: who
    only works with the store must never begin an empty one in its place. Once opened the file must stay: one that
    vanishes or is replaced by another while the process runs makes the store unavailable instead of forgetful.

    :raises Unavailable: ``store_unavailable``, when the file cannot be made or opened.
    :raises ConfigurationError: the file was written by a newer release.
    """

    def __init__(self, path: Path | str, *, create: bool = True, busy_timeout: float = BUSY_TIMEOUT) -> None:
        self._path = Path(path).absolute()
        self._links = SqliteLinks(self._path, busy_timeout)
        if create:
            with OutagesTranslated():
                _create(self._path)
            self._migrate()

    def read_ring(self) -> RingRecord | None:
        """The current record, or None while there has never been one."""
        with self._links.lend() as connection:
            row = connection.execute("SELECT version, document FROM ring").fetchone()
        return None if row is None else RingRecord(*row)

    def replace_ring(self, document: str, *, expected: int | None) -> RingRecord:
        """Replace the record whose version is ``expected``; None means that there must be none yet.

        :raises Conflict: somebody else was first.
        """
        with self._writing() as connection:
            if expected is None:
                cursor = connection.execute("INSERT OR IGNORE INTO ring VALUES (1, 1, ?)", (document,))
            else:
                cursor = connection.execute(
                    "UPDATE ring SET version = version + 1, document = ? WHERE version = ?", (document, expected)
                )
            if cursor.rowcount != 1:
                raise Conflict("the key ring was changed by somebody else")
        return RingRecord(1 if expected is None else expected + 1, document)

    def use_once(self, source: str, token_id: str, *, expires_at: float, now: float) -> None:
        """Remember that ``token_id`` of ``source`` has been used, until ``expires_at``.

        :raises CredentialRejected: ``used_twice``.
        """
        if self.use_together([Use(source, token_id, expires_at)], now) is not None:
            raise CredentialRejected(Reason.USED_TWICE)

    def use_together(self, uses: Sequence[Use], now: float) -> Use | None:
        """See :meth:`authserver.store.ports.ReplayStore.use_together`."""
        with self._writing() as connection:
            return sqlite_uses.use_together(connection, uses, now)

    def use_while(self, record: DeviceRecord, uses: Sequence[Use], now: float) -> Use | None:
        """See :meth:`authserver.store.ports.DeviceReplayStore.use_while`.

        The disk is not waited for here: docs/explanation/store.md says why.
        """
        with self._links.lend(Synchronous.NORMAL) as connection:
            if sqlite_uses.use_at_once(connection, record, uses):
                return None
        with self._writing(Synchronous.NORMAL) as connection:
            return sqlite_uses.use_while(connection, record, uses, now)

    def revoke(self, issuer: str, jti: str, *, expires_at: float) -> None:
        """Remember that the token ``jti`` of ``issuer`` was revoked, until ``expires_at``."""
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO revoked VALUES (?, ?, ?)", (issuer, jti, expires_at))

    def is_revoked(self, issuer: str, jti: str, now: float) -> bool:
        """Whether that token was revoked, and this is still remembered at ``now``."""
        statement = "SELECT EXISTS (SELECT 1 FROM revoked WHERE issuer = ? AND jti = ? AND expires_at > ?)"
        with self._links.lend() as connection:
            (revoked,) = connection.execute(statement, (issuer, jti, now)).fetchone()
        return bool(revoked)

    def invite(self, invitation: Invitation) -> None:
        """Remember an invitation until it expires."""
        with self._writing() as connection:
            sqlite_devices.invite(connection, invitation)

    def read_invitation(self, code_hash: str) -> Invitation | None:
        """The invitation with this code, used or not; None if there is none, or none any more."""
        with self._links.lend() as connection:
            return sqlite_devices.read_invitation(connection, code_hash)

    def enroll(self, device: Device, *, code_hash: str | None, max_per_owner: int | None, now: float) -> Device:
        """See :meth:`authserver.store.ports.DeviceStore.enroll`."""
        with self._writing() as connection:
            return sqlite_devices.enroll(connection, device, code_hash=code_hash, max_per_owner=max_per_owner, now=now)

    def read_device(self, client_id: str) -> Device | None:
        """The device, revoked or not."""
        with self._links.lend() as connection:
            return sqlite_devices.read_device(connection, client_id)

    def read_record(self, client_id: str) -> DeviceRecord | None:
        """The device with what is kept of it."""
        with self._links.lend() as connection:
            return sqlite_devices.read_record(connection, client_id)

    def list_devices(
        self, sources: Sequence[str], *, owner: str | None = None, after: str = "", limit: int = 100
    ) -> Sequence[Device]:
        """See :meth:`authserver.store.ports.DeviceStore.list_devices`."""
        with self._links.lend() as connection:
            return sqlite_devices.list_devices(connection, sources, owner=owner, after=after, limit=limit)

    def replace_key(
        self, client_id: str, *, expected: str, jwk: Mapping[str, str], thumbprint: str, key_id: str | None
    ) -> Device:
        """See :meth:`authserver.store.ports.DeviceStore.replace_key`."""
        with self._writing() as connection:
            return sqlite_devices.replace_key(
                connection, client_id, expected=expected, jwk=jwk, thumbprint=thumbprint, key_id=key_id
            )

    def revoke_device(self, client_id: str, now: float) -> Device | None:
        """See :meth:`authserver.store.ports.DeviceStore.revoke_device`."""
        with self._writing() as connection:
            return sqlite_devices.revoke_device(connection, client_id, now)

    def check(self) -> None:
        """Return if a write could begin. Then everything that was written before, by whatever process, is on the disk.

        A checkpoint waits for nobody, and does nothing where nothing was written since the last.
        """
        with self._writing():
            pass
        with self._links.lend() as connection:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def sweep(self, now: float) -> None:
        """Forget what has expired, a bounded batch at a time."""
        self._sweep(now, "used", "source, token_id")
        self._sweep(now, "revoked", "issuer, jti")
        self._sweep(now, "invitations", "code_hash")

    def _sweep(self, now: float, table: str, key: str) -> None:
        batch = f"SELECT {key} FROM {table} WHERE expires_at <= ? LIMIT ?"  # noqa: S608 (constants)
        statement = f"DELETE FROM {table} WHERE ({key}) IN ({batch})"  # noqa: S608 (constants)
        deleted = SWEEP_BATCH
        while deleted == SWEEP_BATCH:
            with self._writing() as connection:
                deleted = connection.execute(statement, (now, SWEEP_BATCH)).rowcount

    def is_empty(self) -> bool:
        """Whether nothing was ever kept here, so that a new master key would strand nothing."""
        statement = (
            "SELECT EXISTS (SELECT 1 FROM ring) OR EXISTS (SELECT 1 FROM used) OR EXISTS (SELECT 1 FROM revoked)"
            " OR EXISTS (SELECT 1 FROM invitations) OR EXISTS (SELECT 1 FROM devices)"
        )
        with self._links.lend() as connection:
            (filled,) = connection.execute(statement).fetchone()
        return not filled

    def close(self) -> None:
        """Close this process's connections. Closing twice is harmless, and a later use opens anew."""
        with OutagesTranslated():
            self._links.close()

    @contextmanager
    def _writing(self, synchronous: Synchronous = Synchronous.FULL) -> Iterator[sqlite3.Connection]:
        with self._links.lend(synchronous) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _migrate(self) -> None:
        try:
            with self._links.lend() as connection:
                current = sqlite_schema.is_current(connection)
            if not current:
                with self._writing() as connection:  # where it is looked at again: another process may have been first
                    sqlite_schema.upgrade(connection)
        except sqlite_schema.SchemaUnknown as unknown:
            problem = Problem(str(self._path), "schema", str(unknown), "Run the release that wrote it, or a newer one")
            raise ConfigurationError([problem]) from unknown


def _create(path: Path) -> None:
    """Make an empty file of mode 0600, unless there is one: SQLite would make it readable to whom the umask lets."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
