"""``authserver exec`` as a program: the token's file, the command's signals, its terminal and its exit code."""

import stat
import subprocess
import threading
from pathlib import Path
from typing import cast

import pytest
from click.testing import CliRunner

from authserver.cli.commands import authserver
from authserver.cli.keeper import Keeper
from authserver.cli.token_file import TokenFile, token_file
from authserver.client import (
    AuthorizationServer,
    CallFailed,
    EnrollmentRecord,
    Introduction,
    IssuedToken,
    TokenClient,
    enroll,
)
from tests import leaks
from tests.client.fake import Said
from tests.client.test_base_install import authserver as run_installed
from tests.client.test_base_install import installed
from tests.client.workloads import (
    ASKED,
    IMAGES,
    Line,
    Started,
    Workloads,
    environ,
    line,
    lines_of,
    run,
    start,
    workloads,
)
from tests.house.tree import ROOT

__all__ = ["environ", "installed", "line", "start", "workloads"]  # fixtures

SHOW = """
import os, pathlib, stat, sys
file = pathlib.Path(os.environ["AUTHSERVER_TOKEN_FILE"])
print(file)
print(file.read_text())
print(oct(stat.S_IMODE(file.stat().st_mode)), oct(stat.S_IMODE(file.parent.stat().st_mode)))
seen = pathlib.Path("/proc/self/cmdline").read_bytes() + pathlib.Path("/proc/self/environ").read_bytes()
print(file.read_bytes() in seen)
"""


def test_a_command_finds_its_token_in_a_file_of_its_own(
    workloads: Workloads, line: Line, environ: dict[str, str]
) -> None:
    done = run(line(SHOW), environ)
    assert (done.returncode, done.stderr) == (0, "")
    path, token, modes, elsewhere = done.stdout.splitlines()
    assert token in workloads.issued
    assert (modes, elsewhere) == ("0o600 0o700", "False")
    assert not Path(path).parent.exists()
    (form,) = workloads.forms
    assert (form["resource"], form["scope"]) == (IMAGES, "images:read")


@pytest.mark.parametrize(("program", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)])
def test_the_exit_code_is_passed_on(program: str, code: int, line: Line, environ: dict[str, str]) -> None:
    assert run(line("sh", "-c", program), environ).returncode == code


def test_a_command_gets_its_arguments_as_they_are(line: Line, environ: dict[str, str]) -> None:
    assert run(line("echo", "--scope", "x", "--", "$HOME", "a b"), environ).stdout == "--scope x -- $HOME a b\n"


def test_a_command_that_cannot_be_run_ends_as_in_a_shell(line: Line, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    absent, data = run(line("no-such-command", "x"), environ), run(line(str(tmp_path / "data"), "x"), environ)
    assert (absent.returncode, data.returncode) == (127, 126)
    assert absent.stderr == "authserver exec: no-such-command: No such file or directory\n"


CHANGES = """
import os, pathlib, time
file = pathlib.Path(os.environ["AUTHSERVER_TOKEN_FILE"])
first, seen, until = file.read_text(), set(), time.monotonic() + 30
while len(seen) < 2 and time.monotonic() < until:
    seen.add(file.read_text())
print(*sorted(seen))
"""


@pytest.mark.slow
def test_the_token_is_replaced_while_the_command_runs_and_is_never_half_there(
    workloads: Workloads, line: Line, environ: dict[str, str]
) -> None:
    workloads.lifetime = 1
    done = run(line(CHANGES), environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.split()) == 2
    assert set(done.stdout.split()) <= set(workloads.issued)


@pytest.mark.slow
def test_while_no_fresh_token_can_be_had_the_command_goes_on(workloads: Workloads, line: Line, start: Started) -> None:
    workloads.lifetime = 1
    waits = "import sys; print('up', flush=True); sys.stdin.read(); sys.exit(5)"
    process = start(line(waits), stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert next(lines_of(process)) == "up"
    refused = Said(400, {"error": "invalid_request", "error_description": "No."})
    workloads.plans.extend([lambda _: refused] * 20)
    assert process.stderr is not None
    assert process.stderr.readline() == "authserver exec: no fresh token: invalid_request: No.\n"
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(30) == 5
    assert process.stderr.read() == ""


class Turns:
    """A client that has a token, or has none, in turns; and one for ever after."""

    def __init__(self, *turns: str | None) -> None:
        self.turns = list(turns)
        self.over = threading.Event()

    def token(self) -> IssuedToken:
        if not self.turns:
            self.over.set()
        elif (failure := self.turns.pop(0)) is not None:
            raise CallFailed(failure)
        return IssuedToken("a-token", "Bearer", 1, frozenset())


def test_an_outage_is_told_once_and_the_next_one_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client = Turns(None, "away", "away", None, "away", "away", None)
    keeper = Keeper(cast(TokenClient, client), TokenFile(tmp_path))
    keeper.start()
    assert client.over.wait(20)
    keeper.stop()
    keeper.join(20)
    assert capsys.readouterr().err == "authserver exec: no fresh token: away\n" * 2
    assert keeper.failure is None


def test_without_a_token_nothing_is_run(workloads: Workloads, line: Line, environ: dict[str, str]) -> None:
    workloads.say_next(Said(400, {"error": "invalid_scope", "error_description": "No."}))
    done = run(line("print('run')"), environ)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "authserver exec: invalid_scope: No.\n")


def test_a_token_that_is_bound_is_of_no_use_in_a_file(
    workloads: Workloads, line: Line, environ: dict[str, str], home: Path
) -> None:
    """R68"""
    del environ["AUTHSERVER_IDENTITY_TOKEN"]
    record = EnrollmentRecord(workloads.issuer, home)
    enroll(AuthorizationServer(workloads.issuer), record, workloads.code, Introduction("a laptop"))
    done = run(line("print('run')"), environ)
    assert (done.returncode, done.stdout) == (1, "")
    assert "bound to the key of this machine" in done.stderr


@pytest.mark.parametrize("words", [[], ["--resource", IMAGES], ["true"], [*ASKED]], ids=" ".join)
def test_a_mistake_in_use_ends_with_2(words: list[str], workloads: Workloads) -> None:
    assert CliRunner().invoke(authserver, ["exec", "--issuer", workloads.issuer, *words]).exit_code == 2
    assert workloads.asked == []


def test_what_a_killed_process_has_left_is_removed_by_the_next(
    line: Line, start: Started, environ: dict[str, str]
) -> None:
    wait = ("sh", "-c", "echo $AUTHSERVER_TOKEN_FILE; exec sleep 600")
    killed, running = start(line(*wait)), start(line(*wait))
    left, used = Path(next(lines_of(killed))), Path(next(lines_of(running)))
    killed.kill()
    killed.wait(30)
    assert left.exists()
    assert run(line("true", ""), environ).returncode == 0
    assert not left.parent.exists()
    assert used.exists()


def test_a_token_is_kept_in_memory_where_there_is_a_place_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    shared = Path("/dev/shm")
    with token_file({}) as file:
        assert file.path.is_relative_to(shared if shared.is_dir() else tmp_path)
    own = Path(*{file.path.parents[1]})
    with token_file({"XDG_RUNTIME_DIR": str(own)}, shared="/nowhere") as file:
        assert file.path.parents[1] == own


@pytest.mark.parametrize("runtime", ["", "relative", "/nowhere", "/proc"])
def test_elsewhere_it_is_kept_among_temporary_files(
    runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with token_file({"XDG_RUNTIME_DIR": runtime}, shared="/nowhere") as file:
        assert file.path.parents[1] == tmp_path
        for value in ("first", "second"):
            file.write(value)
            assert file.path.read_text(encoding="ascii") == value
        assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == []


def test_no_place_for_the_token_ends_with_1(line: Line, environ: dict[str, str]) -> None:
    full = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh"]
    done = run([*full, *line("echo", "run")], environ)
    assert (done.returncode, done.stdout) == (1, "")
    assert "authserver exec: there is no place for the token: File too large\n" in done.stderr


def test_it_needs_the_extra_cli_alone(workloads: Workloads, installed: dict[str, str]) -> None:
    environ = {**installed, "AUTHSERVER_IDENTITY_TOKEN": workloads.identity}
    show = ("sh", "-c", 'cat "$AUTHSERVER_TOKEN_FILE"')
    done = run_installed(environ, "exec", "--issuer", workloads.issuer, *ASKED, *show)
    assert done.returncode == 0, done.stderr
    assert leaks.handled(done.stdout) in workloads.issued


def test_a_place_that_others_can_change_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    own = Path("/dev/shm") if Path("/dev/shm").is_dir() else tmp_path
    with token_file({"XDG_RUNTIME_DIR": str(ROOT)}) as file:
        assert file.path.parents[1] == own
