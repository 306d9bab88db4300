"""The schema of the SQLite store, version by version, and how a store of an older release gets the newest one."""

import sqlite3
from typing import Final

from authserver.errors import AuthServerError

_MIGRATIONS: Final = (
    """
    CREATE TABLE schema (version INTEGER NOT NULL);
    INSERT INTO schema VALUES (0);
    CREATE TABLE ring (
        one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, document TEXT NOT NULL
    );
    CREATE TABLE used (
        source TEXT NOT NULL, token_id TEXT NOT NULL, expires_at REAL NOT NULL, PRIMARY KEY (source, token_id)
    ) WITHOUT ROWID;
    CREATE INDEX used_by_expiry ON used (expires_at)
    """,
    """
    CREATE TABLE revoked (
        issuer TEXT NOT NULL, jti TEXT NOT NULL, expires_at REAL NOT NULL, PRIMARY KEY (issuer, jti)
    ) WITHOUT ROWID;
    CREATE INDEX revoked_by_expiry ON revoked (expires_at)
    """,
    """
    CREATE TABLE invitations (
        code_hash TEXT PRIMARY KEY, source TEXT NOT NULL, owner TEXT, platform TEXT, attributes TEXT NOT NULL,
        created_at REAL NOT NULL, expires_at REAL NOT NULL, used_by TEXT
    ) WITHOUT ROWID;
    CREATE INDEX invitations_by_expiry ON invitations (expires_at);
    CREATE TABLE devices (
        client_id TEXT PRIMARY KEY, source TEXT NOT NULL, sub TEXT NOT NULL, owner TEXT, thumbprint TEXT NOT NULL,
        created_at REAL NOT NULL, revoked_at REAL, document TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX devices_by_source ON devices (source, client_id);
    CREATE INDEX devices_by_owner ON devices (source, owner, client_id);
    CREATE TABLE device_keys (thumbprint TEXT PRIMARY KEY, client_id TEXT NOT NULL) WITHOUT ROWID
    """,
)
"""What makes each version from the one before it. Never changed once it was released: there are stores that have it."""

SCHEMA_VERSION: Final = len(_MIGRATIONS)


class SchemaUnknown(AuthServerError):
    """The store is of a newer release, whose schema this one does not know."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the store has schema {version}, and this release knows {SCHEMA_VERSION}")


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether the store has the newest schema.

    :raises SchemaUnknown: it has a newer one.
    """
    return _version(connection) == SCHEMA_VERSION


def upgrade(connection: sqlite3.Connection) -> None:
    """Give the store the newest schema, within the transaction of the caller; one that has it is left alone.

    :raises SchemaUnknown: it has a newer one.
    """
    for migration in _MIGRATIONS[_version(connection) :]:
        for statement in migration.split(";"):
            connection.execute(statement)
    connection.execute("UPDATE schema SET version = ?", (SCHEMA_VERSION,))


def _version(connection: sqlite3.Connection) -> int:
    """0 for an empty file."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schema'").fetchone() is None:
        return 0
    version: int
    (version,) = connection.execute("SELECT version FROM schema").fetchone()
    if version > SCHEMA_VERSION:
        raise SchemaUnknown(version)
    return version
