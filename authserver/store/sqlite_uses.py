"""What was used once, in the SQLite store."""

import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Final

from authserver.errors import Conflict
from authserver.model import DeviceRecord, Use
from authserver.store import sqlite_devices

_USED: Final = "SELECT EXISTS (SELECT 1 FROM used WHERE source = ? AND token_id = ? AND expires_at > ?)"
_IS_STILL: Final = f"SELECT 1 FROM devices WHERE client_id = ? AND ({sqlite_devices.VERSION}) IS (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 (constants)


def is_used(connection: sqlite3.Connection, use: Use, now: float) -> bool:
    """Whether something was used before, and this is still remembered at ``now``."""
    return bool(connection.execute(_USED, (use.source, use.token_id, now)).fetchone()[0])


def use_together(connection: sqlite3.Connection, uses: Sequence[Use], now: float) -> Use | None:
    """See :meth:`authserver.store.ports.ReplayStore.use_together`; within the transaction of the caller."""
    for use in uses:
        if is_used(connection, use, now):
            return use
    for use in uses:
        row = (use.source, use.token_id, use.expires_at)
        connection.execute("INSERT OR REPLACE INTO used VALUES (?, ?, ?)", row)
    return None


def use_at_once(connection: sqlite3.Connection, record: DeviceRecord, uses: Sequence[Use]) -> bool:
    """Remember these uses in one statement, which is a transaction of its own, if nothing is in the way.

    False says that something is, and that nothing was remembered: the device has changed, or one of the uses is known
    already, expired or not. One statement in the place of five costs half of what they do.
    """
    rows = [value for use in uses for value in (use.source, use.token_id, use.expires_at)]
    try:
        cursor = connection.execute(_insert(len(uses)), (*rows, record.device.client_id, *record.version))
    except sqlite3.IntegrityError:
        return False
    return cursor.rowcount == len(uses)


def use_while(connection: sqlite3.Connection, record: DeviceRecord, uses: Sequence[Use], now: float) -> Use | None:
    """See :meth:`authserver.store.ports.DeviceReplayStore.use_while`; within the transaction of the caller."""
    if connection.execute(_IS_STILL, (record.device.client_id, *record.version)).fetchone() is None:
        raise Conflict("the device has changed")
    return use_together(connection, uses, now)


@cache  # there are never more than two uses at once
def _insert(count: int) -> str:
    rows = ", ".join(["(?, ?, ?)"] * count)
    return f"INSERT INTO used SELECT * FROM (VALUES {rows}) WHERE EXISTS ({_IS_STILL})"  # noqa: S608 (constants)
