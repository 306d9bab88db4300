"""The examples that users copy run under the servers that users run."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from authserver.testing import FakeIssuer
from tests.devices import DeviceKey
from tests.resource.live import get

EXAMPLES = Path(__file__).parents[3] / "examples"
AUDIENCE = "https://photos.example.com"
GUNICORN = ("gunicorn", "--preload", "--workers=2", "--log-level=warning", "--no-control-socket")
UVICORN = ("uvicorn", "--log-level=warning")
RUNS = {
    "flask": (*GUNICORN, "resource_server:app"),
    "django-wsgi": (*GUNICORN, "django_app:application"),
    "django-asgi": (*UVICORN, "django_app:asgi_application"),
    "fastapi": (*UVICORN, "fastapi_app:app"),
    "starlette": (*UVICORN, "starlette_app:app"),
    "plain": (*UVICORN, "asgi_app:app"),
}

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def running(name: str, issuer: str) -> Iterator[int]:
    """The port on which an example is served."""
    program, *arguments = RUNS[name]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        # Both servers take a socket that is open already, so that no other process can have the port.
        bind = f"--fd={listener.fileno()}" if program == "uvicorn" else f"--bind=fd://{listener.fileno()}"
        environment = {**os.environ, "ISSUER": issuer, "AUDIENCE": AUDIENCE}
        process = subprocess.Popen(
            [sys.executable, "-m", program, *arguments, bind],
            cwd=EXAMPLES,
            env=environment,
            pass_fds=[listener.fileno()],
        )
    try:
        yield port
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def issuer() -> Iterator[FakeIssuer]:
    with FakeIssuer() as issuer:
        yield issuer


def bearer(issuer: FakeIssuer) -> tuple[str, str]:
    return "Authorization", f"Bearer {issuer.access_token(AUDIENCE, 'images:read')}"


@pytest.mark.parametrize("name", RUNS)
def test_each_example_runs_as_its_users_run_it(name: str, issuer: FakeIssuer) -> None:
    """Issue criterion 2"""
    with running(name, issuer.issuer) as port:
        assert get(port, "/images", bearer(issuer)).status == 200
        refused = get(port, "/images", ("Authorization", "Bearer a.b.c"))
        first, second = refused.headers.get_all("WWW-Authenticate", [])
        assert (refused.status, second) == (401, 'DPoP algs="ES256 EdDSA Ed25519"')
        assert first.startswith(f'Bearer realm="{AUDIENCE}", error="invalid_token"')
        assert get(port, "/.well-known/oauth-protected-resource").status == 200
        assert get(port, "/images", bearer(issuer), bearer(issuer)).status == 400
        device = DeviceKey()
        token = issuer.access_token(AUDIENCE, "images:read", cnf={"jkt": device.thumbprint})
        proof = device.proof("GET", f"{AUDIENCE}/me", access_token=token)
        assert get(port, "/me", ("Authorization", f"DPoP {token}"), ("DPoP", proof)).status == 200
        assert get(port, "/me", ("Authorization", f"Bearer {token}")).status == 401
