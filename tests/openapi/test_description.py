"""The OpenAPI description: it says what every route does, and the running server does what it says."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from authserver.endpoints.http import CLIENT_ID
from authserver.testing import FakeIssuer
from tests import leaks
from tests.endpoints.conftest import Application, MakeApplication, clock, cluster, make_application
from tests.served import AUDIENCE, free_port, serving

__all__ = ["clock", "cluster", "make_application"]

ROOT = Path(__file__).parents[2]
DESCRIPTION = ROOT / "docs" / "reference" / "openapi.yaml"
OPERATOR = """
[sources.phones]
type = "device"

[[allow]]
name = "the thumbnailer introspects and manages phones"
source = "cluster"
match = {{ service_account = "thumbnailer" }}
resource = "{issuer}"
scope = ["introspect:images", "devices:invite:phones", "devices:manage:phones"]
"""
SCOPE = "introspect:images devices:invite:phones devices:manage:phones"
WITH_A_TOKEN = ("/introspect", "/devices", "/devices/invitations", "/devices/{client_id}")


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(DESCRIPTION.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture
def application(make_application: MakeApplication) -> Application:
    return make_application(keys='algorithms = ["ES256"]', reports="")


def test_every_route_is_described_and_nothing_else(description: dict[str, Any], application: Application) -> None:
    described = {
        (path, method.upper())
        for path, operations in description["paths"].items()
        for method in operations
        if method != "parameters"
    }
    routes = application.service.routes
    assert described == {(route.path.replace(CLIENT_ID, "{client_id}"), route.method) for route in routes}


def test_every_error_code_that_the_endpoints_give_is_described(description: dict[str, Any]) -> None:
    from authserver.endpoints.respond import DESCRIPTIONS
    from authserver.oauth import ErrorCode

    described = set(description["components"]["schemas"]["Error"]["properties"]["error"]["enum"])
    assert described == {code.value for code in DESCRIPTIONS} - {ErrorCode.SERVER_ERROR.value}


def test_the_version_is_this_one(description: dict[str, Any]) -> None:
    from authserver import __version__

    assert description["info"]["version"] == __version__


@pytest.mark.slow
def test_the_running_server_does_what_is_described(tmp_path: Path) -> None:
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    with (
        FakeIssuer() as identities,
        serving(
            tmp_path,
            cluster=identities.issuer,
            port=port,
            keys='algorithms = ["ES256"]',
            reports="",
            more=OPERATOR.format(issuer=issuer),
        ) as server,
    ):
        identity = leaks.handled(identities.kubernetes_token("media", "thumbnailer", AUDIENCE))
        caller = server.token(identity, resource=issuer, scope=SCOPE).json["access_token"]
        with_a_token = [f"--include-path={path}" for path in WITH_A_TOKEN]
        # By its form "invitations" could be a client_id too, so Allow also has the method of /devices/{client_id}.
        ambiguous = "--exclude-checks=allow_header_conformance"
        check(tmp_path, server.url, *with_a_token, ambiguous, "--header", f"Authorization: Bearer {caller}")
        check(tmp_path, server.url, *(f"--exclude-path={path}" for path in WITH_A_TOKEN))


def check(folder: Path, url: str, *options: str) -> None:
    """Run schemathesis over the description, with every check on."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        f"--config-file={Path(__file__).with_name('schemathesis.toml')}",
        "run",
        str(DESCRIPTION),
        f"--url={url}",
        "--checks=all",
        "--max-examples=50",
        "--seed=20261121",
        "--no-color",
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False, cwd=folder)
    leak = leaks.find(done.stdout + done.stderr)
    assert leak is None
    assert done.returncode == 0, done.stdout
    assert "No issues found" in done.stdout or "passed" in done.stdout
