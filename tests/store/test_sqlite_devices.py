"""Devices and invitations in the SQLite store: the contract, and what is true of one file on one host."""

import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from authserver.enrollment.invitation import CODE_PREFIX, Invitations
from authserver.enrollment.rules import EnrollmentRules
from authserver.errors import CredentialRejected, Unavailable
from authserver.store.ports import RingRecord
from authserver.store.sqlite import SqliteStore
from authserver.store.sqlite_schema import SCHEMA_VERSION
from tests.store import processes
from tests.store.contract import NOW, token_id
from tests.store.device_contract import CODE, DeviceStoreContract, client_id, device, enroll, invitation, rekey
from tests.store.processes import SPAWN, answer_of, its_connection

OpenSqlite = Callable[[], SqliteStore]


class TestContract(DeviceStoreContract):
    """The contract, on SQLite."""


def test_of_fifty_that_enrol_with_one_code_over_two_processes_exactly_one_does(
    open_store: OpenSqlite, path: Path
) -> None:
    store = open_store()
    store.invite(invitation())
    together = SPAWN.Barrier(2)
    started = []
    for numbers in (list(range(25)), list(range(25, 50))):
        mine, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=processes.enroll_in_threads, args=(path, together, numbers, CODE, theirs))
        process.start()
        started.append((process, mine))
    won = [number for each in started for number in answer_of(*each)]  # type: ignore[attr-defined]
    assert [one.client_id for one in store.list_devices(["phones"])] == [client_id(number) for number in won]
    assert len(won) == 1


def test_nothing_in_the_files_gives_a_code_away(open_store: OpenSqlite, path: Path) -> None:
    store = open_store()
    rules = {"phones": EnrollmentRules(max_per_owner=5, code_lifetime=600, enroll_with=())}
    code, given = Invitations(store, rules, clock=lambda: NOW, randomness=secrets.token_bytes).invite(
        "phones", owner="alice"
    )
    files = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert given.code_hash.encode() in files, "the files that were read are not the store's"
    assert CODE_PREFIX.encode() not in files
    random_part = code.removeprefix(CODE_PREFIX)
    assert not any(random_part[at : at + 8].encode() in files.lower() for at in range(len(random_part) - 8))


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.invite(invitation()),
        lambda store: store.read_invitation(CODE),
        lambda store: enroll(store, device(1)),
        lambda store: store.read_device(client_id(1)),
        lambda store: store.list_devices(["phones"]),
        lambda store: rekey(store, 1, expected=1, new=2),
        lambda store: store.revoke_device(client_id(1), NOW),
    ],
    ids=["invite", "read_invitation", "enroll", "read_device", "list_devices", "replace_key", "revoke_device"],
)
def test_a_file_that_vanished_is_an_outage(
    open_store: OpenSqlite, path: Path, call: Callable[[SqliteStore], object]
) -> None:
    store = open_store()
    path.parent.rename(path.parent.with_name("elsewhere"))
    with pytest.raises(Unavailable):
        call(store)


def test_a_store_in_which_somebody_was_invited_or_enrolled_is_not_empty(open_store: OpenSqlite) -> None:
    store = open_store()
    store.invite(invitation())
    assert not store.is_empty()
    store.sweep(NOW + 600)
    assert store.is_empty()
    enroll(store, device(1))
    assert not store.is_empty()


VERSION_2 = """
CREATE TABLE schema (version INTEGER NOT NULL);
CREATE TABLE ring (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL, document TEXT NOT NULL);
CREATE TABLE used (
    source TEXT NOT NULL, token_id TEXT NOT NULL, expires_at REAL NOT NULL, PRIMARY KEY (source, token_id)
) WITHOUT ROWID;
CREATE INDEX used_by_expiry ON used (expires_at);
CREATE TABLE revoked (
    issuer TEXT NOT NULL, jti TEXT NOT NULL, expires_at REAL NOT NULL, PRIMARY KEY (issuer, jti)
) WITHOUT ROWID;
CREATE INDEX revoked_by_expiry ON revoked (expires_at);
INSERT INTO schema VALUES (2);
INSERT INTO ring VALUES (1, 7, 'ring');
"""
"""A store as the second release made it, with a ring in it."""


def test_a_store_of_the_second_release_is_upgraded_where_it_is_and_loses_nothing(
    open_store: OpenSqlite, path: Path
) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_2)
        connection.execute("INSERT INTO used VALUES ('source', ?, ?)", (token_id(1), NOW + 60))
        connection.execute("INSERT INTO revoked VALUES ('issuer', 'jti', ?)", (NOW + 60,))
        connection.commit()
    for number in range(2):
        store = open_store()
        assert store.read_ring() == RingRecord(7, "ring")
        assert store.is_revoked("issuer", "jti", NOW)
        with pytest.raises(CredentialRejected):
            store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
        assert enroll(store, device(number)) == device(number)
        assert its_connection(store).execute("SELECT version FROM schema").fetchall() == [(SCHEMA_VERSION,)]


def everything(store: SqliteStore) -> None:
    """Run every statement about devices and invitations that the store has."""
    store.invite(invitation())
    store.read_invitation(CODE)
    enroll(store, device(1), code_hash=CODE, max_per_owner=5)
    enroll(store, device(1), code_hash=CODE, max_per_owner=5)
    store.read_device(client_id(1))
    for sources in (["phones"], ["laptops", "phones"], ["hosts", "laptops", "phones"]):
        for owner in (None, "alice"):
            store.list_devices(sources, owner=owner, after=client_id(0))
    rekey(store, 1, expected=1, new=2)
    store.revoke_device(client_id(1), NOW)
    store.sweep(NOW + 600)


def test_every_statement_about_devices_searches_an_index_and_sorts_nothing(open_store: OpenSqlite) -> None:
    store, statements = open_store(), set[str]()
    connection = its_connection(store)
    connection.set_trace_callback(statements.add)
    everything(store)
    connection.set_trace_callback(None)
    about_devices = [each for each in statements if "device" in each or "invitation" in each]
    assert len(about_devices) >= 12
    for statement in about_devices:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        if "INSERT" not in statement:
            assert plan
        assert not [step for step in plan if "SCAN" in step or "TEMP B-TREE" in step], (statement, plan)


MANY = """
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?)
INSERT INTO devices
SELECT printf('dev_%022d', n), CASE n % 1000 WHEN 0 THEN 'rare' ELSE 'phones' END, 'sub', 'owner ' || (n / 10),
    'thumbprint ' || n, 0, NULL, '{"jwk": {}}'
FROM numbers
"""


@pytest.mark.slow
def test_a_hundred_thousand_devices_make_no_list_longer_to_find(open_store: OpenSqlite) -> None:
    """Counted in steps of SQLite's machine, which are the same on every computer."""
    store = open_store()
    connection = its_connection(store)

    def effort(**asked: str) -> int:
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1

        connection.set_progress_handler(step, 1)
        assert store.list_devices(["laptops", "phones", "rare"], limit=10, **asked)
        connection.set_progress_handler(None, 1)
        return steps

    with store._writing() as writing:
        writing.execute(MANY, (1000,))
    questions: list[dict[str, str]] = [{}, {"owner": "owner 50"}, {"after": client_id(500)}]
    few = [effort(**asked) for asked in questions]
    with store._writing() as writing:
        writing.execute("DELETE FROM devices")
        writing.execute(MANY, (100_000,))
    many = [effort(**asked) for asked in questions]
    assert all(after <= 1.2 * before for before, after in zip(few, many, strict=True)), (few, many)
