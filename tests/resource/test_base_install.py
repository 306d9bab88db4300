"""The core needs the base install; only the adapter needs its framework."""

import subprocess
import sys

import pytest

SERVER = (
    "asgiref",
    "django",
    "fastapi",
    "starlette",
    "flask",
    "werkzeug",
    "redis",
    "pydantic",
    "gunicorn",
    "click",
    "structlog",
    "prometheus_client",
    "limits",
)


@pytest.mark.parametrize(
    "module",
    [
        "authserver.resource",
        "authserver.resource.verifier",
        "authserver.resource.challenge",
        "authserver.resource.asgi",
        "authserver.resource.wsgi",
        "authserver.store.sqlite",
        "authserver.testing",
    ],
)
def test_nothing_of_the_server_is_imported(module: str) -> None:
    """Contract section 6"""
    program = f"import sys, {module}; sys.exit(', '.join(set({SERVER}) & set(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.stderr.strip() == ""
