"""Redis stores as the tests of the contract open them."""

from collections.abc import Callable, Iterator
from typing import Any

from redis import Redis

from authserver.store.redis import RedisStore
from authserver.store.redis_address import Durability, RedisCredentials, read_address
from authserver.store.redis_client import RedisClient
from authserver.store.redis_keys import Keys
from tests.store.contract import NOW

WEAK = Durability(on_disk=False, replicas=0)


class AgingStore(RedisStore):
    """A store whose time can pass.

    The server forgets by its own clock, which no test can wait for. What it would do at ``now`` this does when it is
    swept, and only with what the server was told to forget at all.
    """

    def __init__(
        self, client: RedisClient, prefix: str, servers: Callable[[], Iterator["Redis"]], **other: Any
    ) -> None:
        super().__init__(client, prefix, **{"clock": lambda: NOW, **other})
        self.keys = Keys(prefix)
        self._servers = servers

    def sweep(self, now: float) -> None:
        """See :class:`~authserver.store.ports.Store`."""
        for server in self._servers():
            for kind in ("used", "revoked", "invitation"):
                for key in server.scan_iter(f"{self.keys.prefix}:{kind}:*", count=5000):
                    expires_at = server.hget(key, "expires_at") if kind == "invitation" else server.get(key)
                    if expires_at is not None and float(str(expires_at).split()[0]) <= now and server.pttl(key) > 0:
                        server.delete(key)


def opened(url: str, prefix: str, *, durability: Durability = WEAK, **other: Any) -> RedisStore:
    """A store at ``url``."""
    options = {name: other.pop(name) for name in ("trip", "timer") if name in other}
    credentials = other.pop("credentials", RedisCredentials())
    return RedisStore(RedisClient(read_address(url), credentials, durability, **options), prefix, **other)


def aging(url: str, prefix: str, servers: Callable[[], Iterator["Redis"]], durability: Durability = WEAK) -> AgingStore:
    """A store at ``url``, as the contract needs it."""
    return AgingStore(RedisClient(read_address(url), RedisCredentials(), durability), prefix, servers)
