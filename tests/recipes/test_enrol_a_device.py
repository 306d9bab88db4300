"""The page about enrolling a device by hand, followed from an empty folder against a real server and a real API."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import urllib3

from tests.house.pages import Block, blocks
from tests.house.tree import ROOT
from tests.recipes.following import authserver_program, follow, need, part, placed
from tests.served import Server, ask, free_port

pytestmark = pytest.mark.recipes

PAGE: Final = "enrol-a-device.md"
MARK: Final = "---- end of block ----"
MAIN: Final = """
[server]
issuer = "http://127.0.0.1:{port}"
bind = "127.0.0.1:{port}"
environment = "testing"
workers = 2
insecure_allow_http = true

[store]
url = "sqlite:authserver.db"

[keys]
algorithms = ["ES256"]
master_key = {{ file = "master.key" }}

[telemetry]
bind = "127.0.0.1:{telemetry}"
"""


@dataclass(frozen=True)
class Machine:
    """An empty folder, with the server and the API that the page takes for granted."""

    folder: Path
    server: Server
    api: str

    def run(self, script: str) -> str:
        """Run a script as the page's reader does; what it printed."""
        places = {"https://auth.example.com": self.server.url, "https://images.example.com": self.api}
        path = f"{self.folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
        configuration = str(self.server.configuration)
        return follow(script, self.folder, places, PATH=path, AUTHSERVER_CONFIG=configuration)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """The page's first part is done, and both servers run."""
    need("curl", "jq", "openssl")
    port, api_port = free_port(), free_port()
    api = f"http://127.0.0.1:{api_port}"
    (tmp_path / "empty").mkdir()
    authserver_program(tmp_path / "bin")
    devices = placed(part(PAGE, "1.", "toml"), {"https://images.example.com": api})
    configuration = tmp_path / "authserver.toml"
    configuration.write_text(MAIN.format(port=port, telemetry=free_port()) + devices, encoding="utf-8")
    with Server(configuration) as server, resource_server(server.url, api_port, tmp_path):
        yield Machine(tmp_path / "empty", server, api)


@contextmanager
def resource_server(issuer: str, port: int, folder: Path) -> Iterator[None]:
    """The example API, whose address is also its identifier."""
    url = f"http://127.0.0.1:{port}"
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "ISSUER": issuer, "AUDIENCE": url}
    program = str(ROOT / "examples" / "resource_server.py")
    command = [sys.executable, "-m", "flask", "--app", program, "run", "--port", str(port)]
    with (folder / "api.log").open("wb") as output:
        process = subprocess.Popen(command, env=variables, stdout=output, stderr=output, cwd=folder)
    try:
        deadline = time.monotonic() + 60
        while not answers(f"{url}/images"):
            assert process.poll() is None, "the API ended"
            assert time.monotonic() < deadline, "the API does not answer"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    """Whether there is somebody to talk to, who wants a token."""
    with suppress(urllib3.exceptions.HTTPError):
        return ask("GET", url).status == 401
    return False


def steps() -> list[Block]:
    """Every shell block of the page, in order."""
    return blocks(ROOT / "docs" / "how-to" / PAGE, "sh")


def shown(block: Block) -> str:
    """What the page says that a block prints; nothing where it shows nothing."""
    return ".*?".join(map(re.escape, block.shown.strip().split("…")))


def test_following_the_page_a_device_enrols_calls_changes_its_key_and_is_revoked(machine: Machine) -> None:
    script = "".join(f"{block.text}\nprintf '\\n%s\\n' '{MARK}'\n" for block in steps())
    printed = machine.run(script).split(MARK)
    assert len(printed) == len(steps()) + 1
    for block, output in zip(steps(), printed, strict=False):
        assert re.fullmatch(shown(block), output.strip(), re.DOTALL), f"{block.where} printed:\n{output}"


def test_the_same_code_and_key_enrol_the_same_device_when_the_answer_was_lost(machine: Machine) -> None:
    register = part(PAGE, "5.")
    once, again = register.replace("rm code", ""), register.replace("registered.json", "again.json")
    parts = [part(PAGE, "2."), part(PAGE, "3."), part(PAGE, "4.")]
    same = "cmp <(jq .client_id registered.json) <(jq .client_id again.json)"
    machine.run("\n".join([*parts, once, again, same]))


def test_the_old_key_gets_nothing_once_the_new_one_has_taken_its_place(machine: Machine) -> None:
    parts = [part(PAGE, number) for number in ("2.", "3.", "4.", "5.", "6.", "8.", "9.")]
    parts.insert(-1, "cp device.pem old.pem")
    ends = ['token; token "$(nonce)"', "jq -r .token_type token.json", "cp old.pem device.pem"]
    refused = ['token "$(nonce)"', "jq -r .error token.json"]
    printed = machine.run("\n".join([*parts, *ends, *refused]))
    assert printed.split()[-2:] == ["DPoP", "invalid_client"]
