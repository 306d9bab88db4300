"""Where a Redis or Valkey store is: the ``url`` of ``[store]``, read and judged.

The schemes ``redis`` and ``rediss`` are those of the IANA registry (iana.org/assignments/uri-schemes). With
``+sentinel`` and ``+cluster`` a list of hosts stands where one would. A scheme that begins with ``rediss`` speaks TLS.
"""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

from authserver.table import Mistake

SCHEMES: Final = ("redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")

_DEFAULT_PORTS: Final = {"server": 6379, "sentinel": 26379, "cluster": 6379}
_HOST: Final = re.compile(r"(?:([A-Za-z0-9._-]+)|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{1,5}))?")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
_WRITE: Final = (
    'Write "redis://host:6379", "rediss://host:6379", "redis+sentinel://host1:26379,host2:26379/name-of-the-primary"'
    ' or "redis+cluster://host1:6379,host2:6379".'
)


class Topology(Enum):
    """How the servers that hold the store work together."""

    SERVER = "server"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A store's servers. ``hosts`` are the Sentinels where there are some; ``service`` is then the primary's name."""

    topology: Topology
    hosts: tuple[tuple[str, int], ...]
    tls: bool
    database: int = 0
    service: str = ""


@dataclass(frozen=True, slots=True)
class RedisCredentials:
    """Who we are to the servers: an ACL user, the same for Sentinels, and files for TLS. Paths are absolute."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None


@dataclass(frozen=True, slots=True)
class Durability:
    """What must be so before a write counts as done: on the primary's disk, and received by so many replicas."""

    on_disk: bool = True
    replicas: int = 0


def is_redis(url: str) -> bool:
    """Whether a store's url is meant for Redis or Valkey."""
    return url.partition(":")[0] in SCHEMES


def read_address(url: str) -> RedisAddress:
    """Take the url of a Redis store apart.

    :raises Mistake: it is none, or it carries a password.
    """
    parts = urlsplit(url)
    kind = parts.scheme.partition("+")[2] or Topology.SERVER.value
    if "@" in parts.netloc:
        remedy = "Remove what stands before the @, and set store.username and store.password."
        raise Mistake("carries a user name or password", remedy)
    hosts = tuple(_host(each, _DEFAULT_PORTS[kind]) for each in parts.netloc.split(","))
    path = parts.path.removeprefix("/")
    if parts.query or parts.fragment or (kind == "server" and len(hosts) > 1):
        raise Mistake("does not name a store", _WRITE)
    service, database = _service_and_database(kind, path)
    return RedisAddress(Topology(kind), hosts, parts.scheme.startswith("rediss"), database, service)


def _service_and_database(kind: str, path: str) -> tuple[str, int]:
    service, _, database = path.partition("/") if kind == "sentinel" else ("", "", path)
    if kind == "sentinel" and _NAME.fullmatch(service) is None:
        raise Mistake("does not say what the Sentinels call the primary", _WRITE)
    if kind == "cluster" and database:
        raise Mistake("names a database, and a cluster has only one", "Remove what stands after the hosts.")
    if database and not (database.isascii() and database.isdigit() and len(database) <= 5):
        raise Mistake("names a database that is no number", "Write a number after the last slash, or nothing.")
    return service, int(database or 0)


def _host(text: str, default_port: int) -> tuple[str, int]:
    match = _HOST.fullmatch(text)
    if match is None or not 0 < int(match[3] or default_port) <= 65535:
        raise Mistake("does not name a store", _WRITE)
    return match[1] or match[2], int(match[3] or default_port)
