"""Environments that are checked together."""

import json
from pathlib import Path

import pytest

from tests.check.build import put_key, run, text
from tests.settings.build import write


def environment(directory: Path, name: str, changes: dict[str, str] | None = None) -> Path:
    server = f'issuer = "https://auth.{name}.example.com"\nenvironment = "{name}"'
    return write(directory / name, text({"server": server, **(changes or {})}))


def found(*files: Path) -> list[list[tuple[str, str]]]:
    result = run("--json", *files)
    assert result.exit_code == 0, result.output
    return [[(each["code"], each["about"]) for each in file["warnings"]] for file in json.loads(result.output)["files"]]


def test_environments_with_everything_of_their_own_are_fine(tmp_path: Path) -> None:
    one, two = environment(tmp_path, "production"), environment(tmp_path, "staging")
    put_key(one.parent / "keys" / "master.key", byte=b"a")
    put_key(two.parent / "keys" / "master.key", byte=b"b")
    assert found(one, two) == [[], []]


def test_a_copy_of_a_key_is_a_shared_key(tmp_path: Path) -> None:
    one, two = environment(tmp_path, "production"), environment(tmp_path, "staging")
    for file in (one, two):
        put_key(file.parent / "keys" / "master.key")
    assert found(one, two) == [[("W401", "keys.master_key")]] * 2


def test_the_same_key_file_is_shared_even_where_it_cannot_be_read(tmp_path: Path) -> None:
    keys = {"keys": 'master_key = { file = "../master.key" }'}
    one, two = environment(tmp_path, "production", keys), environment(tmp_path, "staging", keys)
    assert found(one, two) == [[("W401", "keys.master_key")]] * 2


def test_a_key_that_the_other_environment_used_before_is_shared(tmp_path: Path) -> None:
    previous = {"keys": 'previous_master_keys = [{ file = "old.key" }]'}
    one, two = environment(tmp_path, "production"), environment(tmp_path, "staging", previous)
    put_key(one.parent / "keys" / "master.key", byte=b"a")
    put_key(two.parent / "keys" / "master.key", byte=b"b")
    put_key(two.parent / "old.key", byte=b"a")
    assert found(one, two) == [[("W401", "keys.master_key")], [("W401", "keys.previous_master_keys[0]")]]


def test_a_variable_of_the_same_name_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each environment's hosts have a value of their own, whatever it is where both files are checked."""
    monkeypatch.setenv("MASTER_KEY", "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=")
    keys = {"keys": 'master_key = { env = "MASTER_KEY" }'}
    assert found(environment(tmp_path, "production", keys), environment(tmp_path, "staging", keys)) == [[], []]


def test_a_shared_store_is_warned_of_however_it_is_spelled(tmp_path: Path) -> None:
    one = environment(tmp_path, "production", {"store": 'url = "sqlite:../store.db"'})
    two = environment(tmp_path, "staging", {"store": f'url = "sqlite:{tmp_path}/x/../store.db"'})
    assert found(one, two) == [[("W402", "store.url")]] * 2


def test_a_shared_issuer_is_warned_of(tmp_path: Path) -> None:
    issuer = 'issuer = "https://auth.example.com"\nenvironment = '
    one = environment(tmp_path, "production", {"server": f'{issuer}"production"'})
    two = environment(tmp_path, "staging", {"server": f'{issuer}"staging"'})
    assert found(one, two) == [[("W403", "server.issuer")]] * 2


def test_a_file_that_is_named_twice_shares_nothing_with_itself(tmp_path: Path) -> None:
    one = environment(tmp_path, "production")
    assert found(one, one.parent / ".." / "production" / one.name) == [[], []]


def test_a_silence_for_what_is_shared_is_not_missed_when_one_file_is_checked(tmp_path: Path) -> None:
    silence = {"store": 'url = "sqlite:../store.db"', "[silence]": 'code = "W402"\nabout = "store.url"\nreason = "x"'}
    one, two = environment(tmp_path, "production", silence), environment(tmp_path, "staging", silence)
    assert found(one) == [[]]
    assert "0 warnings and 1 silenced" in run("--strict", one, two).output
