"""The example that users copy works as it stands."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from authserver.testing import FakeIssuer

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
    spec = importlib.util.spec_from_file_location("example_resource_server", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.app.test_client() as client:
        yield client


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
