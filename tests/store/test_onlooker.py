"""A look into the store: it says what the store would say, and changes nothing."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from authserver.errors import CredentialRejected, Reason, Unavailable
from authserver.store.onlooker import SqliteOnlooker
from authserver.store.sqlite import SqliteStore
from tests.store.contract import NOW, token_id
from tests.store.device_contract import client_id, device, enroll
from tests.store.test_sqlite_devices import VERSION_2


def test_it_refuses_what_the_store_would_refuse_and_remembers_nothing(tmp_path: Path) -> None:
    store, onlooker = SqliteStore(tmp_path / "store.db"), SqliteOnlooker(tmp_path / "store.db")
    store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
    with pytest.raises(CredentialRejected) as refused:
        onlooker.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW + 59)
    assert refused.value.reason is Reason.USED_TWICE
    onlooker.use_once("source", token_id(1), expires_at=NOW + 120, now=NOW + 60)
    onlooker.use_once("other", token_id(1), expires_at=NOW + 60, now=NOW)
    for _ in range(2):
        onlooker.use_once("source", token_id(2), expires_at=NOW + 60, now=NOW)
    store.use_once("source", token_id(2), expires_at=NOW + 60, now=NOW)
    store.close()


def test_a_store_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    SqliteOnlooker(tmp_path / "store.db").use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_read_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(Unavailable) as unavailable:
        SqliteOnlooker(tmp_path / "store.db").use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
    assert unavailable.value.reason is Reason.STORE_UNAVAILABLE
    with pytest.raises(Unavailable):
        SqliteOnlooker(tmp_path / "store.db").read_device(client_id(1))


def test_it_knows_the_devices_of_the_store_and_only_reads(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store, onlooker = SqliteStore(path), SqliteOnlooker(path)
    assert onlooker.read_device(client_id(1)) is None
    enroll(store, device(1))
    revoked = store.revoke_device(client_id(1), NOW)
    store.close()
    before = path.read_bytes()
    assert onlooker.read_device(client_id(1)) == revoked
    assert path.read_bytes() == before


def test_a_store_that_does_not_exist_or_is_of_an_older_release_knows_no_devices(tmp_path: Path) -> None:
    onlooker = SqliteOnlooker(tmp_path / "store.db")
    assert onlooker.read_device(client_id(1)) is None
    assert list(tmp_path.iterdir()) == []
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        connection.executescript(VERSION_2)
    assert onlooker.read_device(client_id(1)) is None
