"""``authserver store backup`` and ``restore``: a SQLite store in a file, while it is worked with, and back."""

import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from authserver.cli.commands import authserver
from authserver.server import moving
from authserver.settings import load
from authserver.store.copying import Kind
from authserver.store.sqlite import SqliteStore
from authserver.store.sqlite_copying import SqliteRecords, backup
from tests.served import write_configuration
from tests.store.contract import NOW, token_id
from tests.store.device_contract import client_id, device, enroll

Run = Callable[..., str]


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    return write_configuration(tmp_path, cluster="http://127.0.0.1:1", issuer="https://auth.example.com")


@pytest.fixture
def store(configuration: Path) -> SqliteStore:
    """The store, with a ring and a device in it."""
    store = SqliteStore(load(configuration).store_path)
    store.replace_ring("ring", expected=None)
    enroll(store, device(1))
    return store


@pytest.fixture
def run(configuration: Path) -> Run:
    def run_it(command: str, file: Path, *, code: int = 0) -> str:
        result = CliRunner().invoke(authserver, ["store", command, str(file), "--config", str(configuration)])
        assert result.exit_code == code, result.output
        return result.output

    return run_it


def test_a_backup_is_one_file_for_its_owner_and_becomes_the_store_again(
    run: Run, store: SqliteStore, configuration: Path, tmp_path: Path
) -> None:
    file, path = tmp_path / "backup.db", load(configuration).store_path
    run("backup", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.glob("backup.db*")] == ["backup.db"]
    enroll(store, device(2))
    store.close()
    assert "already" in run("restore", file, code=1)
    for each in path.parent.glob("authserver.db*"):
        each.unlink()
    run("restore", file)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    restored = SqliteStore(path, create=False)
    assert restored.read_ring() == SqliteStore(path).read_ring()
    assert [each.client_id for each in restored.list_devices(["phones"])] == [client_id(1)]
    restored.close()


def test_a_backup_is_whole_while_others_write(store: SqliteStore, configuration: Path, tmp_path: Path) -> None:
    ends = threading.Event()

    def write() -> None:
        number = 0
        while not ends.is_set():
            store.use_once("source", token_id(number), expires_at=NOW + 60, now=NOW)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    for number in range(3):
        backup(load(configuration).store_path, tmp_path / f"{number}.db")
    ends.set()
    writer.join()
    for number in range(3):
        connection = sqlite3.connect(tmp_path / f"{number}.db")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
        assert SqliteStore(tmp_path / f"{number}.db").read_device(client_id(1)) == device(1)
    store.close()


def test_nothing_is_written_over(run: Run, store: SqliteStore, tmp_path: Path) -> None:
    (tmp_path / "backup.db").write_text("precious")
    assert "already" in run("backup", tmp_path / "backup.db", code=1)
    assert (tmp_path / "backup.db").read_text() == "precious"
    assert "cannot be written" in run("backup", tmp_path / "nowhere" / "backup.db", code=1)
    store.close()


def test_a_store_that_is_not_there_leaves_no_backup(run: Run, tmp_path: Path) -> None:
    assert "store_unavailable" in run("backup", tmp_path / "backup.db", code=1)
    assert not (tmp_path / "backup.db").exists()


@pytest.mark.parametrize("content", [b"no database at all" * 100, None], ids=["not a database", "not a store"])
def test_what_is_no_store_is_not_restored(content: bytes | None, run: Run, configuration: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    if content is None:
        connection = sqlite3.connect(file)
        connection.execute("CREATE TABLE diary (entry TEXT)")
        connection.close()
    else:
        file.write_bytes(content)
    run("restore", file, code=1)
    assert not load(configuration).store_path.exists()
    assert list(tmp_path.glob("*.restoring")) == []
    assert "cannot be restored" in run("restore", tmp_path / "absent.db", code=1)


def test_nobody_else_can_read_a_store_while_it_is_restored(
    run: Run, store: SqliteStore, configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []

    def look(file: Path) -> bool:
        modes.append(stat.S_IMODE(file.stat().st_mode))
        return False

    store.close()
    run("backup", tmp_path / "backup.db")
    (tmp_path / "backup.db").chmod(0o644)
    load(configuration).store_path.unlink()
    for ending in ("-wal", "-shm"):
        Path(f"{load(configuration).store_path}{ending}").unlink(missing_ok=True)
    monkeypatch.setattr(moving, "is_sound", look)
    monkeypatch.setattr(Path, "chmod", lambda *_: None)
    run("restore", tmp_path / "backup.db", code=1)
    assert modes == [0o600]


def test_there_is_nothing_to_copy_from_a_store_that_is_not_there(configuration: Path) -> None:
    result = CliRunner().invoke(authserver, ["store", "copy", str(configuration), str(configuration)])
    assert result.exit_code == 1
    assert "There is no store" in result.output


def test_a_copy_to_a_store_with_a_ring_of_its_own_or_with_more_than_there_is_fails(
    store: SqliteStore, configuration: Path, tmp_path: Path
) -> None:
    other = write_configuration(tmp_path / "other", cluster="http://127.0.0.1:1", issuer="https://auth.example.com")
    theirs = SqliteStore(load(other).store_path)
    enroll(theirs, device(2))
    copy = ["store", "copy", str(configuration), str(other)]
    result = CliRunner().invoke(authserver, copy)
    assert (result.exit_code, "NOT EQUAL" in result.output, "not equal" in result.output) == (1, True, True)
    theirs.replace_ring("another", expected=None)
    result = CliRunner().invoke(authserver, copy)
    assert (result.exit_code, "key ring of its own" in result.output) == (1, True)
    theirs.close()
    store.close()
    assert len(list(SqliteRecords(load(configuration).store_path).records(Kind.DEVICE))) == 1
