"""The contract on Debian's Redis 7: one server, Sentinels and a cluster, with servers that die under the traffic."""

import contextlib
import itertools
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from authserver.errors import Conflict, CredentialRejected, MetadataRefused, Unavailable
from authserver.store.redis import RedisStore
from authserver.store.redis_address import Durability, RedisCredentials
from authserver.store.redis_risks import risks
from tests.store.contract import NOW, StoreContract, token_id
from tests.store.device_contract import DeviceStoreContract, client_id, device, enroll, invitation
from tests.store.redis.opened import aging, opened
from tests.store.redis.servers import Sentinels, Server, has_replicas, join, make_cluster, running, wait_until
from tests.store.redis.tls import make_certificates

pytestmark = [pytest.mark.redis, pytest.mark.slow]

REDIS = shutil.which("redis-server") or "redis-server"
STRONG = Durability(on_disk=True, replicas=1)
WEAK = Durability(on_disk=False, replicas=0)
PERSISTENT = ("appendonly yes", "appendfsync always", "repl-diskless-sync-delay 0")
OpenStore = Callable[[], RedisStore]
Make = Callable[[], contextlib.AbstractContextManager["World"]]


class World:
    """Servers, a store at them, and how one of them can be lost."""

    def __init__(self, url: str, servers: list[Server], primary: Callable[[], Server], durability: Durability) -> None:
        self.url = url
        self.servers = servers
        self.primary = primary
        self.durability = durability


@pytest.fixture(scope="module")
def alone() -> Iterator[World]:
    with running(Server(REDIS, *PERSISTENT)) as (server,):
        yield World(f"redis://127.0.0.1:{server.port}", [server], lambda: server, Durability(True, 0))


@contextlib.contextmanager
def watched() -> Iterator[World]:
    primary = Server(REDIS, *PERSISTENT)
    replicas = [Server(REDIS, *PERSISTENT, f"replicaof 127.0.0.1 {primary.port}") for _ in range(2)]
    watching = Sentinels(REDIS, primary)
    with running(primary, *replicas), running(*watching.servers):
        wait_until(lambda: has_replicas(primary, 2) and watching.know(2))
        servers = [primary, *replicas]
        by_port = {server.port: server for server in servers}
        yield World(watching.url, servers, lambda: by_port[watching.primary_port()], STRONG)


@contextlib.contextmanager
def clustered() -> Iterator[World]:
    nodes = make_cluster(REDIS, 3, *PERSISTENT, replicas=1)
    with running(*nodes):
        join(nodes, 3)
        url = f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in nodes[:3])}"
        yield World(url, nodes, lambda: nodes[0], STRONG)


@pytest.fixture(scope="module")
def behind_sentinels() -> Iterator[World]:
    with watched() as world:
        yield world


@pytest.fixture(scope="module")
def in_cluster() -> Iterator[World]:
    with clustered() as world:
        yield world


class TestContract(StoreContract, DeviceStoreContract):
    """The contract, on each of them."""

    @pytest.fixture(params=["alone", "behind_sentinels", "in_cluster"])
    def open_store(self, request: pytest.FixtureRequest, prefix: str) -> Iterator[OpenStore]:
        """Open the same store once more at each call."""
        world: World = request.getfixturevalue(request.param)
        clients = [server.client() for server in world.servers]
        opened: list[RedisStore] = []

        def primaries() -> Iterator[Redis]:
            return (client for client in clients if client.info("replication")["role"] == "master")

        def open_one() -> RedisStore:
            opened.append(aging(world.url, prefix, primaries, world.durability))
            return opened[-1]

        yield open_one
        for store in opened:
            store.close()
        for client in clients:
            client.close()


class Traffic:
    """Clients that use tokens and enrol devices all the while, and note what they were told."""

    def __init__(self, store: RedisStore) -> None:
        self.store = store
        self.accepted: list[int] = []
        self.enrolled: list[tuple[str, str]] = []
        self.unavailable = 0
        self._numbers = itertools.count()
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._go_on, args=(each,)) for each in (self.use, self.enroll) * 3]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, do: Callable[[int], None]) -> None:
        while not self._ends.is_set():
            try:
                do(next(self._numbers))
            except Unavailable:
                self.unavailable += 1
                time.sleep(0.01)

    def use(self, number: int) -> None:
        """Use a token."""
        self.store.use_once("source", token_id(number), expires_at=NOW + 3600, now=NOW)
        self.accepted.append(number)

    def use_another(self) -> None:
        """Use a token that nobody has used."""
        self.use(next(self._numbers))

    def enroll(self, number: int) -> None:
        """Enrol a device with a code."""
        code = f"{number:064x}"
        self.store.invite(invitation(code, owner=f"owner {number}"))
        given = enroll(self.store, device(number, owner=f"owner {number}"), code_hash=code, max_per_owner=1)
        self.enrolled.append((code, given.client_id))

    def is_beyond(self, uses: int, devices: int) -> bool:
        """Whether more than so many tokens were accepted, and more than so many devices enrolled."""
        return len(self.accepted) > uses and len(self.enrolled) > devices

    def replays(self) -> list[int]:
        """The tokens that were accepted, and are again."""
        return [number for number in self.accepted if self.accepts(number)]

    def lost(self) -> list[str]:
        """The devices that somebody was told of, and that are not there, or whose code can be used again."""
        return [client_id for code, client_id in self.enrolled if self._is_lost(code, client_id)]

    def accepts(self, number: int) -> bool:
        """Whether a token is accepted now."""
        try:
            self.store.use_once("source", token_id(number), expires_at=NOW + 3600, now=NOW)
        except CredentialRejected:
            return False
        return True

    def _is_lost(self, code: str, client_id: str) -> bool:
        if self.store.read_device(client_id) is None:
            return True
        try:
            enroll(self.store, device(10**9, owner="thief"), code_hash=code)
        except (CredentialRejected, MetadataRefused):
            return False
        return True


@pytest.mark.parametrize("make", [watched, clustered], ids=["sentinel", "cluster"])
def test_a_primary_that_dies_under_the_traffic_loses_nothing_that_was_told(make: Make, prefix: str) -> None:
    """R37"""
    with make() as world:
        store, primary = opened(world.url, prefix, durability=STRONG, clock=lambda: NOW), world.primary()
        with Traffic(store) as traffic:
            wait_until(lambda: traffic.is_beyond(200, 30))
            primary.kill()
            uses, devices = len(traffic.accepted), len(traffic.enrolled)
            wait_until(lambda: traffic.is_beyond(uses + 200, devices + 5))
        assert traffic.unavailable > 0, "nobody noticed"
        primary.start()
        wait_until(lambda: all(_is_answered(traffic.use_another) for _ in range(50)))
        assert traffic.replays() == []
        assert traffic.lost() == []
        store.close()


@pytest.mark.parametrize(("durability", "is_safe"), [(STRONG, True), (WEAK, False)], ids=["strong", "weak"])
def test_what_no_replica_has_is_lost_with_the_primary_but_nobody_was_told_that_it_is_done(
    durability: Durability, is_safe: bool, prefix: str
) -> None:
    """So the test above can fail: with the settings weakened on purpose it finds the loss."""
    with watched() as world:
        store, primary = opened(world.url, prefix, durability=durability, clock=lambda: NOW), world.primary()
        replicas = [server for server in world.servers if server is not primary]
        for replica in replicas:
            replica.kill()
        traffic = Traffic(store)
        done = [_is_answered(lambda: traffic.use(1)), _is_answered(lambda: traffic.enroll(2))]
        assert done == ([False, False] if is_safe else [True, True])
        primary.kill()
        for replica in replicas:
            replica.start()
        wait_until(lambda: world.primary() is not primary and _is_answered(store.check))
        assert traffic.replays() == ([] if is_safe else [1])
        assert traffic.lost() == ([] if is_safe else [client_id(2)])
        store.close()


def test_an_old_redis_that_cannot_confirm_its_disk_is_believed(alone: World, prefix: str) -> None:
    store = opened(alone.url, prefix, durability=Durability(True, 0))
    assert [risk for risk in risks(store._client, Durability(True, 0)) if "before 7.2" in risk]
    written = store.replace_ring("ring", expected=None)
    assert store.read_ring() == written
    with pytest.raises(Conflict):
        store.replace_ring("ring", expected=None)
    store.close()


def test_a_server_that_asks_for_a_certificate_over_tls_gets_ours(tmp_path: Path, prefix: str) -> None:
    files = make_certificates(tmp_path)
    tls = (
        f"tls-cert-file {files.server_certificate}",
        f"tls-key-file {files.server_key}",
        f"tls-ca-cert-file {files.ca}",
        "tls-auth-clients yes",
    )
    server = Server(REDIS, *tls)
    tls_port = server.also_listen("tls-port")
    with running(server):
        ours = RedisCredentials(
            ca_file=str(files.ca), certificate_file=str(files.client_certificate), key_file=str(files.client_key)
        )
        url = f"rediss://localhost:{tls_port}"
        store = opened(url, prefix, credentials=ours)
        store.check()
        store.close()
        for wrong, address in (
            (RedisCredentials(ca_file=str(files.ca)), url),
            (RedisCredentials(ca_file=None, certificate_file=ours.certificate_file, key_file=ours.key_file), url),
            (ours, f"rediss://127.0.0.2:{tls_port}"),
        ):
            with pytest.raises(Unavailable):
                opened(address, prefix, credentials=wrong).check()


def _is_answered(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except Unavailable:
        return False
    return True
