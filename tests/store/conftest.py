"""The SQLite store in a file of its own. The tests of another store have an ``open_store`` of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from authserver.store.sqlite import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file will be."""
    return tmp_path / "directory" / "authserver.db"


@pytest.fixture
def open_store(path: Path) -> Iterator[Callable[[], SqliteStore]]:
    """Open the same file once more at each call."""
    path.parent.mkdir()
    opened: list[SqliteStore] = []

    def open_one() -> SqliteStore:
        opened.append(SqliteStore(path))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()
