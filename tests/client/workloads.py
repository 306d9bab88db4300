"""A server that gives workloads their tokens, and commands that are run against it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import leaks
from tests.client.fake import Asked, FakeServer, Refusal, Said
from tests.client.identities import identity
from tests.house.tree import ROOT

IMAGES = "https://images.example.com"
ASKED = ("--resource", IMAGES, "--scope", "images:read", "--")
FOR_EVER = 4_000_000_000

Line = Callable[..., list[str]]
Started = Callable[..., "subprocess.Popen[str]"]


class Workloads(FakeServer):
    """Exchanges the one identity token that it believes. ``lifetime`` is in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.identity = identity(exp=FOR_EVER)
        self.lifetime = 3600

    def _token(self, asked: Asked) -> Said:
        if asked.form["grant_type"] == "client_credentials":
            return super()._token(asked)
        if asked.form["subject_token"] != self.identity:
            raise Refusal(400, "invalid_request")
        token = leaks.handled(f"an-access-token-{len(self.issued):022}")
        self.issued[token] = ""
        told = {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime}
        return Said(200, {**told, "scope": asked.form.get("scope", "images:read")})

    @property
    def forms(self) -> list[dict[str, str]]:
        """What was asked of the token endpoint."""
        return [asked.form for asked in self.asked if asked.path == "/token"]


@pytest.fixture
def workloads() -> Iterator[Workloads]:
    with Workloads() as server:
        yield server


@pytest.fixture
def environ(workloads: Workloads, home: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a workload that has its identity token in a variable."""
    here = {name: value for name, value in os.environ.items() if name not in ("XDG_RUNTIME_DIR", "GITHUB_ACTIONS")}
    mine = {"AUTHSERVER_HOME": str(home), "AUTHSERVER_IDENTITY_TOKEN": workloads.identity, "TMPDIR": str(tmp_path)}
    return {**here, **mine, "PYTHONPATH": str(ROOT)}


def command(name: str, issuer: str, *arguments: str) -> list[str]:
    """The command line of ``token`` or ``exec``, without the time that it takes to import all others."""
    program = f"from authserver.cli.{name} import {name}; {name}()"
    return [sys.executable, "-c", program, "--issuer", issuer, *arguments]


def run(line: list[str], environ: dict[str, str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run it, on no terminal."""
    return subprocess.run(
        line,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        **options,
    )


@pytest.fixture
def line(workloads: Workloads) -> Line:
    """The command line that runs a program of Python or, with several words, another one."""

    def made(*words: str) -> list[str]:
        words = (sys.executable, "-c", *words) if len(words) == 1 else words
        return command("exec", workloads.issuer, *ASKED, *words)

    return made


@pytest.fixture
def start(environ: dict[str, str]) -> Iterator[Started]:
    """Start it, and read what it prints."""
    with contextlib.ExitStack() as running:

        def started(words: list[str], **options: object) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                words, env=environ, stdout=subprocess.PIPE, text=True, start_new_session=True, **options
            )  # type: ignore[call-overload]
            running.callback(ended, process)
            return process  # type: ignore[no-any-return]

        yield started


def ended(process: "subprocess.Popen[str]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with process:
        process.wait(30)


def lines_of(process: "subprocess.Popen[str]") -> Iterator[str]:
    assert process.stdout is not None
    return (text.strip() for text in process.stdout)
