"""The example that users copy works as it stands."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.testing import FakeIssuer
from tests.devices import DeviceKey

EXAMPLE = Path(__file__).parents[2] / "examples" / "resource_server.py"
AUDIENCE = "https://photos.example.com"


@pytest.fixture
def issuer() -> Iterator[FakeIssuer]:
    with FakeIssuer() as issuer:
        yield issuer


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, issuer: FakeIssuer) -> Iterator[FlaskClient]:
    monkeypatch.setenv("ISSUER", issuer.issuer)
    monkeypatch.setenv("AUDIENCE", AUDIENCE)
    with load().test_client() as client:
        yield client


def load() -> Flask:
    spec = importlib.util.spec_from_file_location("example_resource_server", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app: Flask = module.app
    return app


def test_each_scope_opens_what_it_should(client: FlaskClient, issuer: FakeIssuer) -> None:
    def call(method: str, path: str, scope: str) -> int:
        headers = {"Authorization": f"Bearer {issuer.access_token(AUDIENCE, scope)}"}
        return client.open(path, method=method, headers=headers).status_code

    assert call("GET", "/images", "images:read") == 200
    assert call("GET", "/images", "images:write") == 403
    assert call("GET", "/images/sunrise", "images:write") == 200
    assert call("GET", "/images/midnight", "images:read") == 404
    assert call("DELETE", "/images/sunrise", "images:read") == 403
    assert call("DELETE", "/images/sunrise", "images:read images:write") == 204
    assert call("GET", "/images/sunrise", "images:read") == 404


def test_nobody_gets_in_without_a_token(client: FlaskClient) -> None:
    """R98, R100"""
    challenge = client.get("/images").headers["WWW-Authenticate"]
    assert f'resource_metadata="{AUDIENCE}/.well-known/oauth-protected-resource"' in challenge
    document = client.get("/.well-known/oauth-protected-resource").json
    assert document is not None
    assert document["scopes_supported"] == ["images:read", "images:write"]


@pytest.mark.parametrize("shared", [False, True])
def test_a_device_calls_with_its_key_and_a_thief_cannot(
    monkeypatch: pytest.MonkeyPatch, client: FlaskClient, issuer: FakeIssuer, tmp_path: Path, shared: bool
) -> None:
    """R64, R65, R68"""
    if shared:
        monkeypatch.setenv("REPLAY", str(tmp_path / "replay.db"))
    clients = [load().test_client(), load().test_client()] if shared else [client]
    device, url = DeviceKey(), f"{AUDIENCE}/me"
    token = issuer.access_token(AUDIENCE, cnf={"jkt": device.thumbprint})

    def call(scheme: str, proof: str) -> list[int]:
        headers = {"Authorization": f"{scheme} {token}", "DPoP": proof}
        return [client.get("/me", headers=headers).status_code for client in clients * 2]

    proof = device.proof("GET", url, access_token=token)
    assert call("DPoP", proof) == [200] + [401] * (2 * len(clients) - 1)
    assert set(call("Bearer", device.proof("GET", url, access_token=token))) == {401}
    assert set(call("DPoP", DeviceKey().proof("GET", url, access_token=token))) == {401}
    headers = {"Authorization": f"DPoP {token}", "DPoP": device.proof("GET", url, access_token=token)}
    assert clients[0].get("/me", headers=headers).json == {"caller": "tests:somebody", "key": device.thumbprint}
