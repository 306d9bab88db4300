"""The client needs the base install, its command one package more, and neither anything of the server."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.fake import FakeServer
from tests.house.tree import PACKAGE, normal, requirements

SERVER = ("flask", "werkzeug", "redis", "pydantic", "gunicorn", "structlog", "prometheus_client", "limits")
EXTRAS = ("keyring", "spiffe", "grpc")


@pytest.mark.parametrize("module", ["authserver.client", "authserver.cli.enroll"])
def test_nothing_of_the_server_is_imported(module: str) -> None:
    """Contract section 6"""
    program = f"import sys, {module}; sys.exit(', '.join(set({SERVER + EXTRAS}) & set(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.stderr.strip() == ""


@pytest.mark.parametrize("command", ["enroll", "exec", "token"])
def test_a_command_of_a_caller_starts_without_what_the_server_needs(command: str) -> None:
    """It is installed, and takes half a second to import."""
    program = (
        "import sys; from authserver.cli.commands import authserver; "
        f"authserver([{command!r}, '--help'], standalone_mode=False); "
        f"sys.exit(', '.join(set({SERVER}) & set(sys.modules)))"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.stderr.strip() == ""
    assert f"authserver {command}" in finished.stdout or f" {command} " in finished.stdout


def with_theirs(names: set[str]) -> Iterator[importlib.metadata.Distribution]:
    """These distributions and those that they need, without any extra."""
    seen: set[str] = set()
    while names - seen:
        name = min(names - seen)
        seen.add(name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # needed on another platform or by another Python
        names |= {normal(each) for each in distribution.requires or () if not re.search(r";.*\bextra\b", each)}
        yield distribution


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of a Python that has the base install, the extra ``cli``, and nothing else."""
    return installing(tmp_path, "base", "cli")


def installing(folder: Path, *kinds: str) -> dict[str, str]:
    site = folder / "site"
    site.mkdir()
    (site / "authserver").symlink_to(PACKAGE)
    for distribution in with_theirs(set().union(*map(requirements, kinds))):
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}:
            link = site / top
            if not link.is_symlink():
                link.symlink_to(str(distribution.locate_file(top)))
    return {**os.environ, "PYTHONPATH": str(site), "AUTHSERVER_HOME": str(folder / "home")}


def authserver(environment: dict[str, str], *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-S", "-m", "authserver", *arguments]  # -S: nothing that is installed beside
    return subprocess.run(command, env=environment, input=typed, capture_output=True, text=True, check=False)


def test_a_machine_enrols_with_the_extra_cli_alone(fake: FakeServer, installed: dict[str, str]) -> None:
    done = authserver(installed, "enroll", "--issuer", fake.issuer, "--json", typed=fake.code)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["client_id"] in fake.devices


def test_a_command_of_the_server_says_what_it_lacks(installed: dict[str, str]) -> None:
    done = authserver(installed, "serve", "--config", "x.toml")
    assert done.returncode == 1
    assert 'the extra "server"' in done.stderr
    assert "gunicorn is not installed" in authserver(installed, "demo").stderr
    listed = authserver(installed, "--help")
    assert listed.returncode == 0
    assert re.search(r"^  serve +Not installed", listed.stdout, re.MULTILINE)
    assert re.search(r"^  enroll +Enrol this machine", listed.stdout, re.MULTILINE)


def test_the_command_of_the_base_install_says_what_there_is_to_install(tmp_path: Path) -> None:
    done = authserver(installing(tmp_path, "base"), "enroll", "--help")
    assert done.returncode == 1
    assert 'or "cli" for its callers' in done.stderr


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("pydantic", "authserver schema: pydantic is not installed."),
        ("click", "authserver: click is not installed."),
        ("authserver.settings", "ModuleNotFoundError"),  # one of our own is no matter of what is installed
        ("authserver.cli.output", "ModuleNotFoundError"),
    ],
)
def test_what_is_missing_is_named(missing: str, said: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from authserver.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program, "schema"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert said in done.stderr
