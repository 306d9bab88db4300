"""The SQLite store: the contract, and what is true of one file on one host."""

import hashlib
import multiprocessing
import os
import random
import shutil
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from authserver.errors import ConfigurationError, CredentialRejected, Reason, Unavailable
from authserver.store.ports import RingRecord
from authserver.store.sqlite import SqliteStore
from authserver.store.sqlite_schema import SCHEMA_VERSION
from tests.store import processes
from tests.store.contract import NOW, StoreContract, token_id
from tests.store.processes import DEADLINE, SPAWN, answer_of, its_connection


class TestContract(StoreContract):
    """The contract, on SQLite."""


def test_of_fifty_uses_over_two_processes_exactly_one_succeeds(
    open_store: Callable[[], SqliteStore], path: Path
) -> None:
    """R37"""
    open_store()
    together = SPAWN.Barrier(2)
    started = []
    for _ in range(2):
        mine, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=processes.use_in_threads, args=(path, together, 25, theirs))
        process.start()
        started.append((process, mine))
    assert sum(answer_of(*each) for each in started) == 1  # type: ignore[misc]


def test_processes_that_open_a_new_store_at_once_agree_on_who_was_first(path: Path) -> None:
    path.parent.mkdir()
    together = SPAWN.Barrier(4)
    started = []
    for _ in range(4):
        mine, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=processes.open_at_once, args=(path, together, theirs))
        process.start()
        started.append((process, mine))
    assert sorted(bool(answer_of(*each)) for each in started) == [False, False, False, True]


@pytest.mark.slow
def test_a_writer_killed_at_any_instant_leaves_the_ring_whole(
    open_store: Callable[[], SqliteStore], path: Path
) -> None:
    store = open_store()
    chance = random.Random(58)
    for _ in range(10):
        mine, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=processes.write_for_ever, args=(path, theirs))
        process.start()
        assert mine.poll(DEADLINE)
        for _ in range(chance.randrange(1, 40)):
            told = mine.recv()
        process.kill()
        process.join(DEADLINE)
        theirs.close()
        while mine.poll():
            try:
                told = mine.recv()
            except (EOFError, OSError):
                break
        record = store.read_ring()
        assert record is not None
        digest, body = record.document.split(" ", 1)
        assert hashlib.sha256(body.encode()).hexdigest() == digest
        assert record.version >= told, "a commit that was told to be durable is lost"


def test_a_full_disk_is_an_outage_and_loses_nothing(path: Path) -> None:
    path.parent.mkdir()
    mine, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=processes.write_until_the_disk_is_full, args=(path, theirs))
    process.start()
    assert mine.poll(DEADLINE)
    assert mine.recv() == ("Unavailable", "store_unavailable")
    assert answer_of(process, mine) is True


def test_a_store_that_may_only_be_read_is_an_outage_for_every_write() -> None:
    directory = Path(tempfile.mkdtemp())  # one that another user can reach
    try:
        directory.chmod(0o755)
        path = directory / "authserver.db"
        store = SqliteStore(path)
        store.replace_ring("ring", expected=None)
        store.close()
        path.chmod(0o444)
        mine, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=processes.write_without_permission, args=(path, theirs))
        process.start()
        raised = answer_of(process, mine)
        assert isinstance(raised, list)
        assert set(raised) <= {"Unavailable"}
    finally:
        shutil.rmtree(directory)


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.read_ring(),
        lambda store: store.replace_ring("x", expected=None),
        lambda store: store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW),
        lambda store: store.revoke("issuer", "jti", expires_at=NOW + 60),
        lambda store: store.is_revoked("issuer", "jti", NOW),
        lambda store: store.sweep(NOW),
        lambda store: store.check(),
        lambda store: store.is_empty(),
    ],
    ids=["read_ring", "replace_ring", "use_once", "revoke", "is_revoked", "sweep", "check", "is_empty"],
)
@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_vanished_or_was_replaced_is_an_outage(
    open_store: Callable[[], SqliteStore], path: Path, replaced: bool, call: Callable[[SqliteStore], object]
) -> None:
    """Writing on into a file without a name would forget every use at the next start."""
    store = open_store()
    store.check()
    path.parent.rename(path.parent.with_name("elsewhere"))
    if replaced:
        path.parent.mkdir()
        path.touch()
    with pytest.raises(Unavailable) as outage:
        call(store)
    assert outage.value.reason is Reason.STORE_UNAVAILABLE


def test_a_file_that_came_back_is_used_again(open_store: Callable[[], SqliteStore], path: Path) -> None:
    store = open_store()
    written = store.replace_ring("ring", expected=None)
    path.parent.rename(path.parent.with_name("elsewhere"))
    with pytest.raises(Unavailable):
        store.read_ring()
    path.parent.with_name("elsewhere").rename(path.parent)
    assert store.read_ring() == written


def test_a_directory_that_does_not_exist_is_an_outage(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        SqliteStore(tmp_path / "nowhere" / "authserver.db")


def test_a_file_that_is_no_database_is_an_outage_and_is_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "authserver.db"
    path.write_text("this is somebody's diary, not a database, and it is long enough to be looked at" * 50)
    with pytest.raises(Unavailable) as outage:
        SqliteStore(path)
    assert str(outage.value) == "store_unavailable"
    assert outage.value.facts == {"cause": "SQLITE_NOTADB"}


def test_a_writer_that_hangs_makes_the_store_unavailable_and_not_wait_for_ever(
    path: Path,
) -> None:
    path.parent.mkdir()
    store = SqliteStore(path, busy_timeout=0.1)
    with_lock = sqlite3.connect(path, isolation_level=None)
    with_lock.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable):
        store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
    assert store.read_ring() is None, "readers do not wait for writers"
    with_lock.execute("ROLLBACK")
    with_lock.close()
    store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
    store.close()


def test_a_store_of_a_newer_release_is_refused_with_a_remedy(open_store: Callable[[], SqliteStore], path: Path) -> None:
    open_store().close()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE schema SET version = ?", (SCHEMA_VERSION + 1,))
    connection.close()
    with pytest.raises(ConfigurationError, match=f"schema {SCHEMA_VERSION + 1}.*Run the release"):
        SqliteStore(path)


VERSION_1 = """
CREATE TABLE schema (version INTEGER NOT NULL);
CREATE TABLE ring (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, document TEXT NOT NULL);
CREATE TABLE used (
    source TEXT NOT NULL, token_id TEXT NOT NULL, expires_at REAL NOT NULL, PRIMARY KEY (source, token_id)
) WITHOUT ROWID;
CREATE INDEX used_by_expiry ON used (expires_at);
INSERT INTO schema VALUES (1);
INSERT INTO ring VALUES (1, 7, 'ring');
"""
"""A store as the first release made it, with a ring in it."""


def write_version_1(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    connection.execute("INSERT INTO used VALUES ('source', ?, ?)", (token_id(1), NOW + 60))
    connection.commit()
    connection.close()


def test_a_store_of_the_first_release_is_upgraded_where_it_is_and_loses_nothing(
    open_store: Callable[[], SqliteStore], path: Path
) -> None:
    write_version_1(path)
    for _ in range(2):
        store = open_store()
        assert store.read_ring() == RingRecord(7, "ring")
        with pytest.raises(CredentialRejected):
            store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
        store.revoke("issuer", "jti", expires_at=NOW + 60)
        assert store.is_revoked("issuer", "jti", NOW)
        assert its_connection(store).execute("SELECT version FROM schema").fetchall() == [(SCHEMA_VERSION,)]


def test_processes_that_upgrade_a_store_at_once_do_it_once(path: Path) -> None:
    write_version_1(path)
    together = SPAWN.Barrier(4)
    started = []
    for _ in range(4):
        mine, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=processes.upgrade_at_once, args=(path, together, theirs))
        process.start()
        started.append((process, mine))
    assert [answer_of(*each) for each in started] == [SCHEMA_VERSION] * 4


def test_an_upgrade_that_fails_half_way_leaves_the_store_as_it_was(path: Path) -> None:
    write_version_1(path)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE revoked_by_expiry (something TEXT)")  # in the way of the upgrade's last step
    with pytest.raises(Unavailable):
        SqliteStore(path)
    assert connection.execute("SELECT version FROM schema").fetchone() == (1,)
    assert connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'revoked'").fetchone() is None
    connection.execute("DROP TABLE revoked_by_expiry")
    connection.close()
    store = SqliteStore(path)
    store.revoke("issuer", "jti", expires_at=NOW + 60)
    store.close()


def test_only_its_owner_may_read_the_file_and_what_lies_beside_it(
    open_store: Callable[[], SqliteStore], path: Path
) -> None:
    before = os.umask(0)
    try:
        open_store().replace_ring("ring", expected=None)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_commits_are_written_ahead_and_synced(open_store: Callable[[], SqliteStore]) -> None:
    store = open_store()
    connection = its_connection(store)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_connection_keeps_little_of_the_file_in_memory(open_store: Callable[[], SqliteStore]) -> None:
    assert its_connection(open_store()).execute("PRAGMA cache_size").fetchone() == (-512,)


def test_a_store_is_empty_until_something_was_kept(open_store: Callable[[], SqliteStore]) -> None:
    store = open_store()
    assert store.is_empty()
    store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
    assert not store.is_empty()
    store.sweep(NOW + 60)
    assert store.is_empty()
    store.replace_ring("ring", expected=None)
    assert not store.is_empty()


def test_a_path_with_special_characters_is_taken_literally(tmp_path: Path) -> None:
    path = tmp_path / "a b?c#d%e&mode=memory.db"
    store = SqliteStore(path)
    store.replace_ring("ring", expected=None)
    store.close()
    assert path.stat().st_size > 0


def test_threads_that_use_the_store_one_after_the_other_share_one_connection(
    open_store: Callable[[], SqliteStore],
) -> None:
    store = open_store()
    for _ in range(20):
        thread = threading.Thread(target=store.check)
        thread.start()
        thread.join()
    assert len(store._links) == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_opens_its_own_connection(open_store: Callable[[], SqliteStore]) -> None:
    store = open_store()
    store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
    fork = multiprocessing.get_context("fork")
    mine, theirs = fork.Pipe()
    process = fork.Process(target=processes.use_inherited, args=(store, theirs))
    process.start()
    assert answer_of(process, mine) == 0
    with pytest.raises(CredentialRejected):
        store.use_once("source", token_id(2), expires_at=NOW + 60, now=NOW)
