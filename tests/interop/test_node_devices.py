"""A device written for node, with `oauth4webapi`, against ``authserver serve`` and the example resource server."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from authserver.testing import FakeIssuer
from tests import leaks
from tests.absent import absent
from tests.devices import PHONES
from tests.interop.test_node import HERE, accepted
from tests.resource.live import serving
from tests.served import IMAGES, Server, write_configuration

pytestmark = pytest.mark.interop

INVITE = [sys.executable, "-m", "authserver", "devices", "invite", "--source", "phones", "--owner", "alice", "--json"]
EXAMPLE = Path(__file__).parents[2] / "examples" / "resource_server.py"


@pytest.fixture(scope="module", autouse=True)
def node() -> None:
    """Without node and the libraries there is nothing to show; a run that others rely on must not pass like that."""
    if shutil.which("node") and (HERE / "node_modules").is_dir():
        return
    absent("these tests need node and the libraries of package-lock.json; `make interop` installs the libraries")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that wants a nonce in every proof of a phone."""
    more = PHONES.format(phones="require_nonce = true")
    with FakeIssuer() as cluster:
        configuration = write_configuration(tmp_path_factory.mktemp("devices"), cluster=cluster.issuer, more=more)
        with Server(configuration) as server:
            yield server


@pytest.fixture
def api(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the example resource server."""
    monkeypatch.setenv("ISSUER", server.url)
    monkeypatch.setenv("AUDIENCE", IMAGES)
    spec = importlib.util.spec_from_file_location("example_for_devices", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    with serving(example.app) as port:
        yield f"http://127.0.0.1:{port}/images"


def invite(server: Server) -> str:
    """An enrolment code for a device of alice, as an operator makes it."""
    done = subprocess.run(
        [*INVITE, "--config", str(server.configuration)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ,
    )
    return leaks.handled(str(json.loads(done.stdout)["code"]))


def ask_device(server: Server, api: str, **changes: Any) -> dict[str, Any]:
    """What a device in node makes of it."""
    parameters = {"resource": IMAGES, "scope": "images:read"}
    question = {"issuer": server.url, "code": invite(server), "api": api, "algorithm": "ES256"}
    return accepted("device", **{**question, "parameters": parameters, **changes})


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519"])
def test_oauth4webapi_enrols_gets_a_bound_token_by_the_nonce_dance_and_calls_the_example(
    server: Server, api: str, algorithm: str
) -> None:
    """R62, R66, R67"""
    told = ask_device(server, api, algorithm=algorithm)
    assert told["registered"]["client_id"].startswith("dev_")
    assert "client_secret" not in told["registered"]
    assert told["response"] == {"token_type": "dpop", "expires_in": 3600, "scope": "images:read"}
    assert told["nonces"] == 1
    assert told["api"] == 200


def test_a_token_that_was_copied_is_refused_as_bearer_and_with_another_key(server: Server, api: str) -> None:
    """R65, R68"""
    told = ask_device(server, api)
    assert (told["bearer"], told["thief"]) == (401, 401)
