"""Connections to Redis or Valkey: one server, the primary that Sentinels name, or the primaries of a cluster.

Of redis-py this uses what finds servers and speaks with them: its pools, connections, Sentinel and cluster map. Its own
retries are off, because :mod:`authserver.store.redis_session` decides what may be tried again.
"""

import threading
from typing import Any, Final, Protocol

from redis import Connection, ConnectionPool, RedisCluster, Sentinel, SSLConnection
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.crc import key_slot
from redis.exceptions import RedisClusterException, RedisError
from redis.retry import Retry
from redis.sentinel import SentinelConnectionPool

from authserver.store.redis_address import RedisAddress, RedisCredentials, Topology

CONNECT_TIMEOUT: Final = 0.5
"""Seconds to wait for a connection."""

ANSWER_TIMEOUT: Final = 3.0
"""Seconds to wait for an answer. More than a server may take to confirm a write."""

_NO_RETRIES: Final = Retry(NoBackoff(), 0)


class Links(Protocol):
    """Where the store's keys live."""

    def slot(self, key: str) -> int:
        """What one step can touch together: keys of the same slot."""
        ...  # a protocol has no body

    def pool(self, key: str) -> ConnectionPool:
        """Connections to the primary that has this key."""
        ...  # a protocol has no body

    def pool_at(self, host: str, port: int) -> ConnectionPool:
        """Connections to the server at this address, to which another one has sent us."""
        ...  # a protocol has no body

    def primaries(self) -> list[ConnectionPool]:
        """Connections to every primary."""
        ...  # a protocol has no body

    def look_again(self) -> None:
        """Find out anew where keys live, before the next use."""
        ...  # a protocol has no body

    def close(self) -> None:
        """Let go of every connection that is not in use."""
        ...  # a protocol has no body


class OneServer:
    """Implements :class:`Links`: one server, or the one that Sentinels call the primary, has every key."""

    def __init__(self, pool: ConnectionPool, sentinels: Sentinel | None = None) -> None:
        self._pool = pool
        self._sentinels = sentinels

    def slot(self, key: str) -> int:
        """See :class:`Links`."""
        del key
        return 0

    def pool(self, key: str) -> ConnectionPool:
        """See :class:`Links`."""
        del key
        return self._pool

    def pool_at(self, host: str, port: int) -> ConnectionPool:
        """See :class:`Links`. No server outside a cluster sends anybody elsewhere."""
        raise RedisError(f"sent to {host}:{port} by a server that is in no cluster")

    def primaries(self) -> list[ConnectionPool]:
        """See :class:`Links`."""
        return [self._pool]

    def look_again(self) -> None:
        """See :class:`Links`. A new connection asks the Sentinels."""
        self._pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """See :class:`Links`."""
        self._pool.disconnect(inuse_connections=False)
        if self._sentinels is not None:
            self._sentinels.close()


class Cluster:
    """Implements :class:`Links` for a cluster, found through any of ``hosts``."""

    def __init__(self, hosts: tuple[tuple[str, int], ...], options: dict[str, Any]) -> None:
        self._hosts = hosts
        self._options = options
        self._map: RedisCluster | None = None
        self._is_outdated = False
        self._lock = threading.Lock()

    def slot(self, key: str) -> int:
        """See :class:`Links`."""
        return key_slot(key.encode())

    def pool(self, key: str) -> ConnectionPool:
        """See :class:`Links`."""
        known = self._known()
        return _pool_of(known, known.get_node_from_key(key))

    def pool_at(self, host: str, port: int) -> ConnectionPool:
        """See :class:`Links`."""
        known = self._known()
        return _pool_of(known, known.get_node(host=host, port=port))

    def primaries(self) -> list[ConnectionPool]:
        """See :class:`Links`."""
        known = self._known()
        return [_pool_of(known, node) for node in known.get_primaries()]

    def look_again(self) -> None:
        """See :class:`Links`."""
        self._is_outdated = True

    def close(self) -> None:
        """See :class:`Links`."""
        if self._map is not None:
            self._map.close()
            self._map = None

    def _known(self) -> RedisCluster:
        known = self._map
        if known is not None and not self._is_outdated:
            return known
        with self._lock:  # or every thread would ask
            return self._looked_up()

    def _looked_up(self) -> RedisCluster:
        is_outdated, self._is_outdated = self._is_outdated, False
        if self._map is None:
            nodes = [ClusterNode(host, port) for host, port in self._hosts]
            self._map = RedisCluster(
                startup_nodes=nodes, require_full_coverage=False, retry=_NO_RETRIES, **self._options
            )
        elif is_outdated:
            try:
                self._map.nodes_manager.initialize()
            except (RedisError, RedisClusterException):
                self._map = None  # none of the nodes that we knew answers: begin again with those that are configured
                raise
        return self._map


def open_links(address: RedisAddress, credentials: RedisCredentials) -> Links:
    """The way to a store's servers. Nothing is connected yet."""
    options = _options(credentials.username, credentials.password)
    if address.topology is Topology.CLUSTER:
        return Cluster(address.hosts, {**options, **_cluster_tls(address, credentials)})
    tls = _tls(credentials) if address.tls else {}
    options = {**options, **tls, "db": address.database, "retry": _NO_RETRIES}
    if address.topology is Topology.SENTINEL:
        sentinel_options = {**_options(credentials.sentinel_username, credentials.sentinel_password), **tls}
        if address.tls:
            sentinel_options["ssl"] = True
        sentinels = Sentinel(address.hosts, sentinel_kwargs={**sentinel_options, "retry": _NO_RETRIES})
        return OneServer(SentinelConnectionPool(address.service, sentinels, ssl=address.tls, **options), sentinels)
    host, port = address.hosts[0]
    kind = SSLConnection if address.tls else Connection
    return OneServer(ConnectionPool(kind, host=host, port=port, **options))


def _options(username: str | None, password: str | None) -> dict[str, Any]:
    return {
        "username": username,
        "password": password,
        "decode_responses": True,
        "protocol": 2,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "socket_timeout": ANSWER_TIMEOUT,
        "socket_keepalive": True,
    }


def _cluster_tls(address: RedisAddress, credentials: RedisCredentials) -> dict[str, Any]:
    return {"ssl": True, **_tls(credentials)} if address.tls else {}


def _tls(credentials: RedisCredentials) -> dict[str, Any]:
    return {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_ca_certs": credentials.ca_file,
        "ssl_certfile": credentials.certificate_file,
        "ssl_keyfile": credentials.key_file,
    }


def _pool_of(known: RedisCluster, node: ClusterNode | None) -> ConnectionPool:
    if node is None:
        raise RedisError("the cluster names a node that it does not have")
    return known.get_redis_connection(node).connection_pool
