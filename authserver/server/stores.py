"""Which store a configuration names: the only module that picks one."""

from authserver.settings import Settings
from authserver.store.copying import Portable
from authserver.store.onlooker import SqliteOnlooker
from authserver.store.ports import Onlooker, Store
from authserver.store.redis_address import is_redis
from authserver.store.sqlite import SqliteStore
from authserver.store.sqlite_copying import SqliteRecords


def begin_store(settings: Settings) -> tuple[Store, bool]:
    """The store, begun if it can be made here, and whether a master key may be made for it.

    That is so for a SQLite store that nothing was ever kept in. Other hosts may use a Redis store, and have their key.
    What could be lost at such a store is logged.

    :raises ConfigurationError: the store is of a newer release, or what it needs is not there.
    :raises Unavailable: the store cannot be used.
    """
    if not is_redis(settings.store.url):
        sqlite = SqliteStore(settings.store_path)
        return sqlite, sqlite.is_empty()
    from authserver.server import redis_stores  # a large library, which SQLite does without

    redis_stores.warn_of_risks(settings)
    return redis_stores.open_redis(settings), False


def open_store(settings: Settings) -> Store:
    """The store that the configuration names. It is never begun here, and not touched before it is needed.

    :raises ConfigurationError: a secret or a file for it is not there.
    """
    if not is_redis(settings.store.url):
        return SqliteStore(settings.store_path, create=False)
    from authserver.server import redis_stores  # as above

    return redis_stores.open_redis(settings)


def open_onlooker(settings: Settings) -> Onlooker:
    """What the store remembers, for who must change nothing in it.

    :raises ConfigurationError: a secret or a file for it is not there.
    """
    if not is_redis(settings.store.url):
        return SqliteOnlooker(settings.store_path)
    from authserver.server import redis_stores  # as above

    return redis_stores.open_redis_onlooker(settings)


def open_records(settings: Settings) -> Portable:
    """The records of the store that the configuration names, which is begun if it can be made here.

    :raises ConfigurationError: the store is of a newer release, or what it needs is not there.
    :raises Unavailable: the store cannot be used.
    """
    if not is_redis(settings.store.url):
        return SqliteRecords(settings.store_path)
    from authserver.server import redis_stores  # as above

    return redis_stores.open_redis_records(settings)


def has_store(settings: Settings) -> bool:
    """Whether there may be a store: a file that is not there is none, and of a server only asking it tells."""
    return is_redis(settings.store.url) or settings.store_path.exists()
