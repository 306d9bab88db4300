"""Connections to an SQLite file, and their end."""

import sqlite3
import threading
from pathlib import Path

import pytest

from authserver.store.sqlite_links import SqliteLinks


@pytest.fixture
def links(tmp_path: Path) -> SqliteLinks:
    path = tmp_path / "store.db"
    path.touch()
    return SqliteLinks(path, 1.0)


def test_a_connection_in_use_is_closed_when_its_thread_is_done_with_it(links: SqliteLinks) -> None:
    begun, go_on = threading.Event(), threading.Event()
    answers: list[tuple[int]] = []

    def pause() -> int:
        begun.set()
        go_on.wait(30)
        return 1

    def work() -> None:
        connection = links.connection()
        connection.create_function("pause", 0, pause)
        answers.extend(connection.execute("SELECT pause()"))

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(30)
    links.close()
    assert len(links) == 0
    go_on.set()
    thread.join(30)
    assert answers == [(1,)]
    assert links.connection().execute("SELECT 1").fetchone() == (1,)


def test_a_connection_that_nobody_uses_any_more_is_closed(links: SqliteLinks) -> None:
    connection = links.connection()
    links.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


def test_a_file_that_is_no_database_is_an_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.mkdir()
    with pytest.raises(sqlite3.OperationalError):
        SqliteLinks(path, 1.0).connection()
