"""What a main process says of reloads, and ``authserver reload`` where it says nothing more."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from authserver.cli import reload
from authserver.cli.commands import authserver
from authserver.telemetry import reloads, shared
from authserver.telemetry.reloads import Reloads

SERVER = """
import signal, sys
from pathlib import Path
from authserver.telemetry import reloads

directory, answer = Path(sys.argv[1]), sys.argv[2]
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
print("ready", flush=True)
signal.sigwait([signal.SIGHUP])
if answer == "ends":
    (directory / reloads.FILE).unlink()
print(signal.SIGHUP.name, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of a server that runs, in a temporary directory of its own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with shared.shared_directory() as found:
        yield found


def run(configuration: Path) -> Result:
    return CliRunner().invoke(authserver, ["reload", "--config", str(configuration)])


def asked(directory: Path, answer: str) -> tuple[Result, str]:
    """Ask a server to reload that does not answer as one does; the result, and what the server was sent."""
    command = [sys.executable, "-c", SERVER, str(directory), answer]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        assert server.stdout.readline() == "ready\n"
        Reloads(server.pid, "/etc/authserver.toml", begun=3, ended=3).write(directory)
        result = run(Path("/etc/authserver.toml"))
        sent, _ = server.communicate()
    return result, sent.strip()


def test_what_was_written_is_read(directory: Path) -> None:
    assert reloads.read(directory) is None
    said = Reloads(7, "/etc/authserver.toml", begun=2, ended=1, outcome="failed", problems=("one", "another"))
    said.write(directory)
    assert reloads.read(directory) == said


def test_a_server_that_was_never_told_to_reload_has_the_last_configuration(directory: Path) -> None:
    assert reloads.last_was_taken(None)
    assert reloads.last_was_taken(directory)
    Reloads(7, "").write(directory)
    assert reloads.last_was_taken(directory)
    Reloads(7, "", outcome="unusable").write(directory)
    assert not reloads.last_was_taken(directory)


def test_only_the_directory_of_a_server_that_runs_is_in_use(directory: Path, tmp_path: Path) -> None:
    abandoned = tmp_path / "authserver-metrics-abandoned"
    abandoned.mkdir()
    (abandoned / shared.MARKER).touch()
    (tmp_path / "authserver-metrics-file").touch()
    (tmp_path / "authserver-metrics-link").symlink_to(directory)
    assert list(shared.in_use()) == [directory]


def test_a_server_with_another_configuration_is_left_alone(directory: Path) -> None:
    Reloads(1, "/etc/other.toml").write(directory)
    result = run(Path("/etc/authserver.toml"))
    assert result.exit_code == 1
    assert "No server of this user runs here" in result.output


def test_a_server_that_does_not_answer_is_not_waited_for_without_end(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload, "PATIENCE", 0.1)
    result, sent = asked(directory, "nothing")
    assert result.exit_code == 1
    assert "has not answered" in result.output
    assert sent == signal.SIGHUP.name


def test_a_server_that_ends_meanwhile_has_taken_nothing(directory: Path) -> None:
    result, _ = asked(directory, "ends")
    assert result.exit_code == 1
    assert "The server ended." in result.output


def test_a_server_that_is_gone_is_not_waited_for(directory: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    Reloads(gone.pid, "/etc/authserver.toml").write(directory)
    result = run(Path("/etc/authserver.toml"))
    assert (result.exit_code, result.output) == (1, "The server ended.\n")
