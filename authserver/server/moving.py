"""Copying the store of one configuration to that of another, and backing a store up."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from authserver.errors import AuthServerError, ConfigurationError, Problem
from authserver.server.stores import open_records
from authserver.settings import Settings
from authserver.store.copying import Copied, TargetInUse, copy
from authserver.store.redis_address import is_redis
from authserver.store.sqlite_copying import backup, is_sound

__all__ = ["BackupUnsound", "Copied", "TargetInUse", "back_up", "copy_store", "restore"]


class BackupUnsound(AuthServerError):
    """What should be restored is no store, or a damaged one."""


def copy_store(source: Settings, target: Settings, *, clock: Callable[[], float] = time.time) -> Iterator[Copied]:
    """Copy everything from the store of one configuration to that of another, kind by kind.

    :raises ConfigurationError: one of them is of a newer release, or what it needs is not there.
    :raises TargetInUse: the target has another key ring, or has changed since everything was copied.
    :raises Unavailable: one of them cannot be used.
    """
    return copy(open_records(source), open_records(target), clock=clock)


def back_up(settings: Settings, file: Path) -> None:
    """Write a copy of the SQLite store as it is at this moment; servers may go on working with it.

    :raises ConfigurationError: the store is no SQLite store.
    :raises FileExistsError: there is something at ``file`` already.
    :raises OSError: the file cannot be made.
    :raises Unavailable: the store cannot be used.
    """
    _only_sqlite(settings)
    backup(settings.store_path, file)


def restore(settings: Settings, file: Path) -> None:
    """Put a backup in the place of the SQLite store, where there must be none. No server may run.

    :raises BackupUnsound: it is no store, or a damaged one.
    :raises ConfigurationError: the store is no SQLite store.
    :raises FileExistsError: there is a store already.
    :raises OSError: the file cannot be read, or the store not be made.
    :raises Unavailable: the file is no database.
    """
    _only_sqlite(settings)
    store = settings.store_path
    if any(Path(f"{store}{ending}").exists() for ending in ("", "-wal", "-shm")):
        raise FileExistsError(str(store))
    with file.open("rb") as backed_up, _new_file_beside(store) as target:
        made = Path(target.name)
        shutil.copyfileobj(backed_up, target)
        target.flush()
        os.fsync(target.fileno())
        if not is_sound(made):
            raise BackupUnsound(f"{file} is no sound store")
        made.rename(store)


@contextmanager
def _new_file_beside(store: Path) -> Iterator[IO[bytes]]:
    """A file in the store's folder that nobody but its owner can read at any time; gone in the end, unless renamed."""
    with NamedTemporaryFile(dir=store.parent, suffix=".restoring", delete=False) as made:
        try:
            yield made
        finally:
            Path(made.name).unlink(missing_ok=True)


def _only_sqlite(settings: Settings) -> None:
    if is_redis(settings.store.url):
        remedy = "Back it up with its own means: docs/how-to/run-on-redis-or-valkey.md says how"
        raise ConfigurationError([Problem(str(settings.file), "store.url", "names no SQLite store", remedy)])
