"""``authserver enroll`` as a program: what it asks, prints and answers with."""

import json
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from authserver.cli.commands import authserver
from authserver.client import Enrollment, EnrollmentRecord
from tests.client.conftest import MemoryKeyring
from tests.client.fake import FakeServer, Said

Run = Callable[..., Result]


@pytest.fixture
def run(fake: FakeServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("AUTHSERVER_HOME", str(home))

    def run_it(*arguments: str, code: int = 0, given: str | None = None) -> Result:
        result = CliRunner().invoke(authserver, ["enroll", "--issuer", fake.issuer, *arguments], input=given)
        assert result.exit_code == code, result.output
        return result

    return run_it


def test_a_code_is_read_from_standard_input(fake: FakeServer, run: Run, record: EnrollmentRecord) -> None:
    printed = run("--name", "a laptop", given=f"{fake.code}\n").stdout
    known = record.read()
    assert isinstance(known, Enrollment)
    assert known.client_id in printed
    assert str(record.path) in printed
    assert fake.code not in printed
    assert fake.devices[known.client_id]["metadata"]["client_name"] == "a laptop"


def test_a_code_is_read_from_a_file(fake: FakeServer, run: Run, tmp_path: Path) -> None:
    (tmp_path / "code").write_text(f" {fake.code}\n", encoding="ascii")
    shown = json.loads(run("--code-file", str(tmp_path / "code"), "--json").stdout)
    assert shown["client_id"] in fake.devices
    assert (shown["algorithm"], shown["key"], shown["issuer"]) == ("ES256", "file", fake.issuer)


def test_an_id_token_takes_the_place_of_a_code(fake: FakeServer, run: Run, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(fake.code, encoding="ascii")
    run("--id-token-file", str(tmp_path / "token"), "--source", "laptops")
    (device,) = fake.devices.values()
    assert device["metadata"]["source"] == "laptops"


def test_on_a_terminal_the_code_is_asked_for_and_not_shown(fake: FakeServer, home: Path) -> None:
    command = [sys.executable, "-m", "authserver", "enroll", "--issuer", fake.issuer, "--json"]
    controller, terminal = pty.openpty()
    environment = {**os.environ, "AUTHSERVER_HOME": str(home)}
    with subprocess.Popen(
        command, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal, env=environment, start_new_session=True
    ) as process:
        shown = read_until(controller, b"Enrolment code")
        wait_until_silent(controller)
        os.write(controller, fake.code.encode() + b"\n")
        assert process.stdout is not None
        printed = json.loads(process.stdout.read())
        assert process.wait(30) == 0
    shown += read_until(controller, b"\n")
    os.close(terminal)
    os.close(controller)
    assert printed["client_id"] in fake.devices
    assert fake.code.encode() not in shown


def read_until(descriptor: int, text: bytes) -> bytes:
    """What a terminal shows, until ``text`` is there."""
    shown = b""
    while text not in shown:
        assert select.select([descriptor], [], [], 30)[0], f"the terminal shows only {shown!r}"
        shown += os.read(descriptor, 1024)
    return shown


def wait_until_silent(descriptor: int) -> None:
    """Return when the terminal does not show any more what is typed."""
    deadline = time.monotonic() + 30
    while termios.tcgetattr(descriptor)[3] & termios.ECHO:
        assert time.monotonic() < deadline, "what is typed is shown"
        time.sleep(0.01)


@pytest.mark.parametrize("issuer", ["", "auth.example.com", "ftp://x", "http://[::1", "https://a b", "https://u:p@h"])
def test_an_issuer_that_is_no_address_is_a_mistake_in_use(issuer: str) -> None:
    result = CliRunner().invoke(authserver, ["enroll", "--issuer", issuer, "--show"])
    assert result.exit_code == 2
    assert "--issuer" in result.stderr
    assert "https://auth.example.com" in result.stderr


@pytest.mark.parametrize("arguments", [["--code-file", "bytes"], []], ids=["file", "standard input"])
def test_bytes_that_are_no_text_are_no_code(arguments: list[str], home: Path, tmp_path: Path, fake: FakeServer) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00secret")
    command = [sys.executable, "-m", "authserver", "enroll", "--issuer", fake.issuer, *arguments]
    python_path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "AUTHSERVER_HOME": str(home), "PYTHONIOENCODING": "utf-8", "PYTHONPATH": python_path}
    with (tmp_path / "bytes").open("rb") as given:
        done = subprocess.run(
            command, stdin=given, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
        )
    assert done.returncode == 1
    assert "mistyped" in done.stderr
    assert "secret" not in done.stderr
    assert fake.asked == []


def test_no_code_is_a_mistake_in_use(run: Run) -> None:
    assert "no enrolment code" in run(given="\n", code=2).stderr


def test_a_refused_code_is_explained_and_ends_with_1(run: Run) -> None:
    result = run(given="asenroll_that-is-unknown", code=1)
    assert "expired or used" in result.stderr
    assert result.stdout == ""
    assert "asenroll" not in result.output


def test_a_server_that_is_not_there_ends_with_1(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTHSERVER_HOME", str(home))
    result = CliRunner().invoke(authserver, ["enroll", "--issuer", "http://127.0.0.1:9"], input="asenroll_x")
    assert result.exit_code == 1
    assert "cannot be reached" in result.stderr


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # joserfc follows RFC 9864, which has other names
def test_an_enrolment_is_shown_rotated_and_removed(fake: FakeServer, run: Run, memory_keyring: MemoryKeyring) -> None:
    enrolled = json.loads(run("--keyring", "--algorithm", "EdDSA", "--json", given=fake.code).stdout)
    assert (enrolled["key"], enrolled["algorithm"]) == ("keyring", "EdDSA")
    shown = json.loads(run("--show", "--json").stdout)
    assert shown == {**enrolled, "state": "known to the server"}
    rotated = json.loads(run("--rotate", "--algorithm", "ES256", "--json").stdout)
    assert rotated["client_id"] == enrolled["client_id"]
    assert rotated["thumbprint"] == fake.devices[enrolled["client_id"]]["jkt"] != enrolled["thumbprint"]
    assert json.loads(run("--remove", "--json").stdout) == {"removed": True}
    assert fake.devices == {}
    assert memory_keyring.kept == {}
    assert "not enrolled" in run("--show", code=1).stderr


def test_an_enrolment_is_shown_when_the_server_has_revoked_it_and_when_it_is_away(fake: FakeServer, run: Run) -> None:
    run(given=fake.code)
    fake.say_next(Said(503))
    assert "the server does not answer" in run("--show").stdout
    fake.devices.clear()
    assert "not known to the server, or revoked" in run("--show").stdout
    assert "no longer enrolled" in run("--remove").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--rotate", "--remove"],
        ["--show", "--rotate"],
        ["--show", "--algorithm", "ES256"],
        ["--remove", "--keyring"],
        ["--rotate", "--name", "x"],
        ["--code-file", "-", "--id-token-file", "-"],
    ],
    ids=" ".join,
)
def test_one_thing_is_done_at_a_time(arguments: list[str], run: Run) -> None:
    run(*arguments, code=2)


def test_a_code_is_no_argument_and_no_variable(fake: FakeServer, run: Run) -> None:
    run(fake.code, code=2)
    run("--code", fake.code, code=2)
    command = authserver.get_command(click.Context(authserver), "enroll")
    assert command is not None
    assert [option.name for option in command.params if option.envvar] == []
