"""Connections to an SQLite file, and their end."""

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from authserver.errors import Unavailable
from authserver.store.sqlite_links import SqliteLinks


@pytest.fixture
def links(tmp_path: Path) -> SqliteLinks:
    path = tmp_path / "store.db"
    path.touch()
    return SqliteLinks(path, 1.0)


def test_a_connection_in_use_is_closed_when_it_is_given_back(links: SqliteLinks) -> None:
    begun, go_on = threading.Event(), threading.Event()
    answers: list[tuple[int]] = []
    used: list[sqlite3.Connection] = []

    def pause() -> int:
        begun.set()
        go_on.wait(30)
        return 1

    def work() -> None:
        with links.lend() as connection:
            used.append(connection)
            connection.create_function("pause", 0, pause)
            answers.extend(connection.execute("SELECT pause()"))

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(30)
    links.close()
    assert is_open(used[0])
    go_on.set()
    thread.join(30)
    assert answers == [(1,)]
    assert not is_open(used[0])
    with links.lend() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_connection_that_nobody_uses_is_closed(links: SqliteLinks) -> None:
    with links.lend() as connection:
        assert is_open(connection)
    links.close()
    links.close()
    assert not is_open(connection)


def test_the_connection_that_was_used_last_is_lent_next(links: SqliteLinks) -> None:
    with links.lend() as first, links.lend() as second:
        assert first is not second
    with links.lend() as third:
        assert third is first
        with links.lend() as fourth:
            assert fourth is second
    assert len(links) == 2


def test_a_transaction_that_was_not_ended_is_not_handed_on(links: SqliteLinks) -> None:
    with links.lend() as connection:
        connection.execute("CREATE TABLE kept (number)")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO kept VALUES (1)")
    assert not is_open(connection)
    with links.lend() as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert connection.execute("SELECT * FROM kept").fetchall() == []
        connection.execute("ROLLBACK")


def test_what_a_parent_opened_is_neither_used_nor_closed_by_its_child(
    links: SqliteLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    with links.lend() as parents:
        pass
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    links.close()
    with links.lend() as childs:
        assert childs is not parents
    links.close()
    assert not is_open(childs)
    assert is_open(parents)


@pytest.mark.parametrize("what", ["a directory", "something else"])
def test_what_is_no_database_is_an_outage_and_is_not_left_open(tmp_path: Path, what: str) -> None:
    path = tmp_path / "store.db"
    if what == "a directory":
        path.mkdir()
    else:
        path.write_bytes(b"something else" * 1000)
    links, before = SqliteLinks(path, 1.0), descriptors()
    with pytest.raises(Unavailable), links.lend():
        pass
    assert len(links) == 0
    assert descriptors() == before


def descriptors() -> list[str]:
    """What this process has open."""
    return sorted(each.name for each in Path("/dev/fd").iterdir())


def is_open(connection: sqlite3.Connection) -> bool:
    """Whether it can still be used."""
    try:
        _ = connection.in_transaction
    except sqlite3.ProgrammingError:
        return False
    return True
