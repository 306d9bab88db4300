"""``authserver keys`` on a terminal."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from authserver.cli.commands import authserver
from authserver.keys.ring import State
from authserver.server import prepare
from authserver.settings import load
from authserver.testing import FakeIssuer
from tests.served import write_configuration


@pytest.fixture
def configuration(tmp_path: Path, cluster: FakeIssuer) -> Path:
    """A configuration whose store exists."""
    file = write_configuration(tmp_path, cluster=cluster.issuer, keys='algorithms = ["ES256"]', reports="")
    prepare(load(file))
    return file


def run(*arguments: str, code: int = 0) -> str:
    """What the command prints."""
    result = CliRunner().invoke(authserver, arguments)
    assert result.exit_code == code, result.output
    return result.output


def test_the_ring_is_listed_with_its_timeline(configuration: Path) -> None:
    printed = run("keys", "list", "--config", str(configuration))
    for word in (State.ACTIVE, State.NEXT, "published", "signs from", "signs until", "shown until", "in 30 days"):
        assert word in printed
    assert "previous master key" not in printed


def test_what_a_previous_master_key_wraps_is_told_until_it_was_wrapped_anew(configuration: Path) -> None:
    text, folder = configuration.read_text(encoding="utf-8"), configuration.parent
    (folder / "master.key").rename(folder / "old.key")
    (folder / "new.key").touch(mode=0o600)
    (folder / "new.key").write_text("A" * 43 + "=\n", encoding="ascii")
    both = 'master_key = { file = "new.key" }\nprevious_master_keys = [{ file = "old.key" }]'
    configuration.write_text(text.replace('master_key = { file = "master.key" }', both), encoding="utf-8")
    options = ("--config", str(configuration))
    assert "2 private keys are wrapped by a previous master key" in run("keys", "list", *options)
    assert "2 private keys were wrapped anew" in run("keys", "rewrap", *options)
    assert "0 private keys were wrapped anew" in run("keys", "rewrap", *options)
    assert "previous master key" not in run("keys", "list", *options)


def test_without_a_store_there_is_nothing_to_list_and_nothing_is_made(tmp_path: Path, cluster: FakeIssuer) -> None:
    file = write_configuration(tmp_path, cluster=cluster.issuer)
    assert "There is no store" in run("keys", "list", "--config", str(file), code=1)
    assert list(tmp_path.iterdir()) == [file]
