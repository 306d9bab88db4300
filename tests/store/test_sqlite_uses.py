"""What devices use, in the SQLite store: the contract, and what is written to the disk when."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from authserver.errors import Conflict, Unavailable
from authserver.store.sqlite import SqliteStore
from tests.store.contract import NOW, token_id
from tests.store.device_contract import CODE, client_id, device, enroll, invitation, rekey
from tests.store.processes import its_connection
from tests.store.use_contract import DeviceUseContract, enrolled, uses

OpenSqlite = Callable[[], SqliteStore]
FULL, NORMAL = 2, 1

WRITES: dict[str, Callable[[SqliteStore], object]] = {
    "use_together": lambda store: store.use_together(uses(8), NOW),
    "revoke": lambda store: store.revoke("issuer", "jti", expires_at=NOW + 60),
    "invite": lambda store: store.invite(invitation("d" * 64)),
    "enroll": lambda store: enroll(store, device(3), code_hash=CODE),
    "replace_key": lambda store: rekey(store, 1, expected=1, new=2),
    "revoke_device": lambda store: store.revoke_device(client_id(1), NOW),
    "replace_ring": lambda store: store.replace_ring("ring", expected=None),
    "sweep": lambda store: store.sweep(NOW),
}


class TestContract(DeviceUseContract):
    """The contract, on SQLite."""


def synchronous(store: SqliteStore) -> int:
    """What the last commit waited for."""
    (level,) = its_connection(store).execute("PRAGMA synchronous").fetchone()
    return int(level)


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_whatever_a_device_does_not_use_waits_for_the_disk(
    open_store: OpenSqlite, write: Callable[[SqliteStore], object]
) -> None:
    store = open_store()
    store.invite(invitation())
    record = enrolled(store)
    assert store.use_while(record, uses(1), NOW) is None
    assert synchronous(store) == NORMAL
    write(store)
    assert synchronous(store) == FULL


def test_what_a_device_used_is_on_the_disk_after_the_next_check_of_any_process(
    open_store: OpenSqlite, path: Path, tmp_path: Path
) -> None:
    """What is only in the log beside the file may be lost with the power, unless the log itself was synchronized."""
    store, other = open_store(), open_store()
    assert store.use_while(enrolled(store), uses(1), NOW) is None
    other.check()
    alone = tmp_path / "alone.db"
    shutil.copy(path, alone)
    copy = SqliteStore(alone)
    assert copy.use_together(uses(1), NOW) == uses(1)[0]
    copy.close()


def test_devices_that_use_something_are_found_by_an_index(open_store: OpenSqlite) -> None:
    store, statements = open_store(), set[str]()
    record, connection = enrolled(store), its_connection(store)
    connection.set_trace_callback(statements.add)
    store.use_while(record, uses(1), NOW)
    store.use_while(record, uses(1), NOW)
    connection.set_trace_callback(None)
    about = [each for each in statements if "devices" in each]
    assert len(about) == 2
    for statement in about:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        assert [step for step in plan if "devices" in step] == ["SEARCH devices USING PRIMARY KEY (client_id=?)"], plan


def test_one_use_alone_is_a_use_too(open_store: OpenSqlite) -> None:
    store = open_store()
    record = enrolled(store)
    assert store.use_while(record, uses(1)[:1], NOW) is None
    assert store.use_while(record, uses(1), NOW) == uses(1)[0]


def test_a_use_that_is_refused_leaves_no_transaction_behind(open_store: OpenSqlite) -> None:
    store, other = open_store(), open_store()
    record = enrolled(store)
    store.use_while(record, uses(1), NOW)
    store.use_while(record, uses(1), NOW)
    store.revoke_device(client_id(1), NOW)
    with pytest.raises(Conflict):
        store.use_while(record, uses(2), NOW)
    other.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)


def test_a_file_that_vanished_is_an_outage_for_devices_too(open_store: OpenSqlite, path: Path) -> None:
    store = open_store()
    record = enrolled(store)
    path.parent.rename(path.parent.with_name("elsewhere"))
    for call in (lambda: store.use_while(record, uses(1), NOW), lambda: store.read_record(client_id(1))):
        with pytest.raises(Unavailable):
            call()
