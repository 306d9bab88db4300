"""Everything moves from one store to another, and back, and nothing is lost on the way."""

import multiprocessing
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from authserver.errors import Conflict, CredentialRejected, Reason
from authserver.store import sqlite_devices
from authserver.store.copying import Kind, Portable, Record, Tally, TargetInUse, copy, tally
from authserver.store.ports import Store
from authserver.store.redis import RedisStore
from authserver.store.redis_copying import RedisRecords
from authserver.store.redis_session import Session
from authserver.store.sqlite import SqliteStore
from authserver.store.sqlite_copying import SqliteRecords
from tests.store.contract import NOW, token_id
from tests.store.device_contract import client_id, device, enroll, enrolled, invitation, rekey, why_not
from tests.store.redis.opened import opened

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def redis_records(url: str, prefix: str) -> RedisRecords:
    return RedisRecords(opened(url, prefix)._client, prefix, lambda: NOW)


def fill(store: Store) -> None:
    """Put everything there that there can be."""
    record = store.replace_ring("first", expected=None)
    store.replace_ring('{"keys": "\u00fc"}', expected=record.version)
    for number in range(3):
        store.use_once("source", f"whose.{token_id(number)}", expires_at=NOW + 60 * number, now=NOW - 1)
        store.revoke("issuer", f"jti {number}", expires_at=NOW + 60 * number)
        store.invite(invitation(f"{number:064x}", expires_at=NOW + 600 * number))
    enroll(store, device(1, key_id="mine", attributes={"b": "2", "a": "1"}), code_hash=f"{2:064x}")
    for number in (2, 3):
        enroll(store, device(number, owner=None if number == 3 else "alice"))
    rekey(store, 2, expected=2, new=9)
    store.revoke_device(client_id(1), NOW)


def check(store: Store) -> None:
    """Find everything there that must be."""
    ring = store.read_ring()
    assert ring is not None
    assert (ring.version, ring.document) == (2, '{"keys": "\u00fc"}')
    for number, expected in enumerate((False, True, True)):
        assert store.is_revoked("issuer", f"jti {number}", NOW) == expected
        assert (store.read_invitation(f"{number:064x}") is not None) == expected
    with pytest.raises(CredentialRejected):
        store.use_once("source", f"whose.{token_id(1)}", expires_at=NOW + 60, now=NOW)
    assert why_not(store, device(7), code_hash=f"{2:064x}") is Reason.CODE_USED
    revoked = device(1, key_id="mine", attributes={"b": "2", "a": "1"}, revoked_at=NOW)
    changed = device(2, thumbprint=device(9).thumbprint, jwk=device(9).jwk)
    assert list(store.list_devices(["phones"])) == [revoked, changed, device(3, owner=None)]
    assert list(store.list_devices(["phones"], owner="alice")) == [revoked, changed]
    for key in (1, 2, 9):
        again = device(8, thumbprint=device(key).thumbprint, source="laptops")
        assert why_not(store, again) is Reason.KEY_ENROLLED_BEFORE
    assert why_not(store, device(5), max_per_owner=1) is Reason.TOO_MANY_DEVICES
    assert enrolled(store, device(5), max_per_owner=2)
    with pytest.raises(Conflict):
        store.replace_ring("third", expected=1)


def copied(source: Portable, target: Portable) -> dict[Kind, int]:
    """Copy, and tell how many of each kind were written."""
    results = list(copy(source, target, clock=lambda: NOW))
    assert [each.kind for each in results] == list(Kind)
    assert all(each.is_equal for each in results)
    return {each.kind: each.written for each in results}


def test_from_sqlite_to_redis_and_on_to_sqlite(
    path: Path, redis_records: RedisRecords, open_store: Callable[[], RedisStore], tmp_path: Path
) -> None:
    store = SqliteStore(path)
    fill(store)
    expected = {Kind.INVITATION: 2, Kind.DEVICE: 3, Kind.KEY: 4, Kind.REVOKED: 2, Kind.USED: 2, Kind.RING: 1}
    assert copied(SqliteRecords(path), redis_records) == expected
    assert copied(SqliteRecords(path), redis_records) == dict.fromkeys(Kind, 0), "what is there is written again"
    assert copied(redis_records, SqliteRecords(tmp_path / "back.db")) == expected
    check(open_store())
    back = SqliteStore(tmp_path / "back.db")
    check(back)
    back.close()
    store.close()


def test_from_one_redis_to_another(
    url: str, prefix: str, redis_records: RedisRecords, open_store: Callable[[], RedisStore]
) -> None:
    other = opened(url, f"{prefix}-other", clock=lambda: NOW)
    fill(other)
    source = RedisRecords(other._client, f"{prefix}-other", lambda: NOW)
    copied(source, redis_records)
    check(open_store())


def test_a_store_with_a_ring_of_its_own_is_left_alone(
    path: Path, redis_records: RedisRecords, open_store: Callable[[], RedisStore]
) -> None:
    fill(SqliteStore(path))
    open_store().replace_ring("another", expected=None)
    with pytest.raises(TargetInUse):
        list(copy(SqliteRecords(path), redis_records, clock=lambda: NOW))
    assert list(redis_records.records(Kind.DEVICE)) == []


def test_what_changed_since_an_interrupted_copy_is_written_again(path: Path, redis_records: RedisRecords) -> None:
    store = SqliteStore(path)
    fill(store)
    steps = copy(SqliteRecords(path), redis_records, clock=lambda: NOW)
    assert [next(steps).kind, next(steps).kind] == [Kind.INVITATION, Kind.DEVICE]
    del steps
    store.revoke_device(client_id(2), NOW)
    written = copied(SqliteRecords(path), redis_records)
    assert (written[Kind.INVITATION], written[Kind.DEVICE], written[Kind.KEY]) == (0, 1, 4)
    store.close()


def test_a_copy_that_is_done_undoes_nothing_that_a_server_has_changed_since(
    path: Path, redis_records: RedisRecords, open_store: Callable[[], RedisStore]
) -> None:
    fill(SqliteStore(path))
    copied(SqliteRecords(path), redis_records)
    open_store().revoke_device(client_id(2), NOW)
    with pytest.raises(TargetInUse):
        list(copy(SqliteRecords(path), redis_records, clock=lambda: NOW))
    kept = open_store().read_device(client_id(2))
    assert kept is not None
    assert kept.revoked_at == NOW


def test_a_device_is_listed_before_it_is_there_so_that_an_interrupted_copy_leaves_none_unlisted(
    path: Path, redis_records: RedisRecords, open_store: Callable[[], RedisStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(path)
    enroll(store, device(1))

    def interrupted(_: Session) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Session, "confirm", interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(copy(SqliteRecords(path), redis_records, clock=lambda: NOW))
    assert open_store().read_device(client_id(1)) is None, "what is there is not written again"
    copied(SqliteRecords(path), redis_records)
    assert list(open_store().list_devices(["phones"], owner="alice")) == [device(1)]
    store.close()


def test_stores_that_are_not_equal_get_no_ring(path: Path, redis_records: RedisRecords, url: str) -> None:
    fill(SqliteStore(path))
    store = opened(url, redis_records._keys.prefix)
    enroll(store, device(50))
    results = list(copy(SqliteRecords(path), redis_records, clock=lambda: NOW))
    assert [each.is_equal for each in results] == [True, False]
    assert store.read_ring() is None


def test_a_digest_tells_every_difference_and_does_not_depend_on_the_order() -> None:
    records = [Record.of(Kind.KEY, {"thumbprint": str(n), "client_id": "x"}) for n in range(4)]

    def digest(some: list[Record]) -> Tally:
        total = Tally()
        for record in some:
            total = total.with_(record)
        return total

    assert digest(records) == digest(records[::-1])
    assert len({digest(records[:n]) for n in range(5)}) == 5
    assert digest([replace(records[0], kind=Kind.USED), *records[1:]]) != digest(records)


class Slow:
    """A store that says after each batch how much it has, in another process."""

    def __init__(self, records: RedisRecords, told: Callable[[int], object]) -> None:
        self._records = records
        self._told = told
        self.records, self.same = records.records, records.same

    def write(self, kind: Kind, records: list[Record]) -> None:
        """See Portable."""
        self._records.write(kind, records)
        self._told(len(records))


def copy_in_a_process(path: Path, url: str, prefix: str, told: "multiprocessing.connection.Connection") -> None:
    """Copy to Redis, telling of each batch."""
    target = Slow(RedisRecords(opened(url, prefix)._client, prefix, lambda: NOW), told.send)
    list(copy(SqliteRecords(path), target, clock=lambda: NOW))  # type: ignore[arg-type]


def many_devices(path: Path, count: int) -> None:
    """A store with so many devices, made quickly."""
    SqliteStore(path).close()
    connection = sqlite3.connect(path)
    with connection:
        for number in range(count):
            one = device(number, owner=f"owner {number // 3}")
            sqlite_devices._add(connection, one)
    connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=pytest.mark.redis)])
def test_a_copy_that_is_killed_half_way_is_taken_up_again(
    count: int, path: Path, url: str, prefix: str, redis_records: RedisRecords
) -> None:
    many_devices(path, count)
    SqliteStore(path).replace_ring("ring", expected=None)
    mine, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=copy_in_a_process, args=(path, url, prefix, theirs))
    process.start()
    before = 0
    while before < count // 2:
        assert mine.poll(60)
        before += mine.recv()
    process.kill()
    process.join()
    there = tally(redis_records, Kind.DEVICE, NOW).count
    assert count // 2 <= there < count, "it was not killed half-way"
    written = copied(SqliteRecords(path), redis_records)
    assert written[Kind.DEVICE] == count - there
    assert tally(redis_records, Kind.DEVICE, NOW) == tally(SqliteRecords(path), Kind.DEVICE, NOW)
