"""The Redis store that a configuration names. Imported only where there is one, because its client library is large."""

import logging
import time
from typing import Final

from authserver.errors import ConfigurationError, Problem
from authserver.keys.secrets import resolve
from authserver.settings import Settings
from authserver.store.redis import RedisStore
from authserver.store.redis_address import Durability, RedisAddress, RedisCredentials, Topology, read_address
from authserver.store.redis_client import RedisClient
from authserver.store.redis_copying import RedisRecords
from authserver.store.redis_onlooker import RedisOnlooker
from authserver.store.redis_risks import risks
from authserver.table import SecretReference

_FAILING_OVER: Final = (Topology.SENTINEL, Topology.CLUSTER)

_log = logging.getLogger("authserver")


def open_redis(settings: Settings) -> RedisStore:
    """The store, not touched before it is needed.

    :raises ConfigurationError: a secret or a file for it is not there.
    """
    return RedisStore(_client(settings), settings.store_prefix)


def open_redis_onlooker(settings: Settings) -> RedisOnlooker:
    """What the store remembers, for who must change nothing in it.

    :raises ConfigurationError: a secret or a file for it is not there.
    """
    return RedisOnlooker(_client(settings), settings.store_prefix)


def open_redis_records(settings: Settings) -> RedisRecords:
    """The store's records, not touched before they are needed.

    :raises ConfigurationError: a secret or a file for it is not there.
    """
    return RedisRecords(_client(settings), settings.store_prefix, time.time)


def warn_of_risks(settings: Settings) -> None:
    """Log what could be lost at the store.

    :raises ConfigurationError: a secret or a file for it is not there.
    :raises Unavailable: ``store_unavailable``.
    """
    client = _client(settings)
    try:
        for risk in risks(client, _durability(settings, read_address(settings.store.url))):
            _log.warning("%s", risk)
    finally:
        client.close()


def _client(settings: Settings) -> RedisClient:
    address = read_address(settings.store.url)
    return RedisClient(address, _credentials(settings), _durability(settings, address))


def _durability(settings: Settings, address: RedisAddress) -> Durability:
    """What has to be confirmed. Where a replica can take over, one must have what is not to be lost."""
    replicas = settings.store.confirm_replicas
    if replicas is None:
        replicas = 1 if address.topology in _FAILING_OVER else 0
    return Durability(settings.store.confirm_on_disk, replicas)


def _credentials(settings: Settings) -> RedisCredentials:
    store = settings.store
    return RedisCredentials(
        username=store.username,
        password=_secret(settings, store.password, "store.password"),
        sentinel_username=store.sentinel_username,
        sentinel_password=_secret(settings, store.sentinel_password, "store.sentinel_password"),
        ca_file=_path(settings, store.ca_file, "store.ca_file"),
        certificate_file=_path(settings, store.certificate_file, "store.certificate_file"),
        key_file=_path(settings, store.key_file, "store.key_file"),
    )


def _secret(settings: Settings, reference: SecretReference | None, where: str) -> str | None:
    if reference is None:
        return None
    return resolve(reference, config=settings.file, where=where).decode("utf-8", "surrogateescape").strip("\r\n")


def _path(settings: Settings, file: str | None, where: str) -> str | None:
    if file is None:
        return None
    path = settings.base / file
    if not path.is_file():
        problem = Problem(str(settings.file), where, f"the file {path} does not exist", "Put it there, or correct it")
        raise ConfigurationError([problem])
    return str(path)
