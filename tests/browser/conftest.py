"""The example as a reader of its page runs it: the server, the API with its page, and a browser."""

import contextlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import urllib3

from tests import leaks
from tests.absent import absent
from tests.house.tree import ROOT
from tests.recipes.following import authserver_program, follow, need, part
from tests.served import Server, ask, free_port

if TYPE_CHECKING:
    from tests.browser.chromium import Page

EXAMPLE: Final = ROOT / "examples" / "browser_device"
HOW_TO: Final = "enrol-a-browser.md"


@dataclass(frozen=True)
class Example:
    """The authorization server and the API of the example, both running."""

    server: Server
    api: str
    folder: Path

    def invite(self) -> str:
        """The link that the how-to makes."""
        link = self.follow("3.").strip()
        leaks.handled(link.partition("#")[2])
        return link

    def follow(self, heading: str, **variables: str) -> str:
        """Follow a part of the how-to; what it printed."""
        return self.run(part(HOW_TO, heading), **variables)

    def run(self, script: str, **variables: str) -> str:
        """What a script prints, run in the folder of the configuration."""
        path = f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}"
        places = {"http://127.0.0.1:8400": self.server.url, "http://127.0.0.1:8500": self.api}
        return follow(script, self.folder, places, PATH=path, **variables)


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    """The example, with ports of its own."""
    need("jq")
    api = f"http://127.0.0.1:{free_port()}"
    authserver_program(tmp_path / "bin")
    with Server(write_configuration(tmp_path, api)) as server, serving_api(tmp_path, server.url, api):
        yield Example(server, api, tmp_path)


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """Where a browser keeps what it has; the test ends where there is no browser."""
    need("chromium", "chromedriver")
    if importlib.util.find_spec("selenium") is None:
        absent("missing: the Python package selenium")
    return tmp_path / "browser"


@pytest.fixture
def page(profile: Path) -> Iterator["Page"]:
    """A window of a new browser."""
    from tests.browser.chromium import chromium  # only here is it sure that Selenium is installed

    with chromium(profile) as page:
        yield page


def write_configuration(folder: Path, api: str) -> Path:
    """The configuration of the example, with ports that are free; its path."""
    text = (EXAMPLE / "authserver.toml").read_text(encoding="utf-8")
    text = text.replace("127.0.0.1:8400", f"127.0.0.1:{free_port()}").replace("http://127.0.0.1:8500", api)
    file = folder / "authserver.toml"
    file.write_text(f'{text}\n[telemetry]\nbind = "127.0.0.1:{free_port()}"\n', encoding="utf-8")
    return file


@contextlib.contextmanager
def serving_api(folder: Path, issuer: str, url: str) -> Iterator[None]:
    """The API of the example, with its page, at ``url``."""
    port = url.rpartition(":")[2]
    command = [sys.executable, "-m", "flask", "--app", str(EXAMPLE / "server.py"), "run", "--port", port]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ISSUER": issuer, "URL": url}
    log = folder / f"api.{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        wait_until_answering(process, url)
        yield
    finally:
        process.terminate()
        process.wait(30)
    leak = leaks.find(log.read_text(encoding="utf-8"))
    assert leak is None, f"the API's output holds {leak}"


def wait_until_answering(process: subprocess.Popen[bytes], url: str) -> None:
    """Return when there is an answer at ``url``."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "the API ended"
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            if ask("GET", url).status == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the API does not answer")
