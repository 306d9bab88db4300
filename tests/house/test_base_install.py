"""A resource server needs the base install and nothing else."""

import json
import subprocess
import sys
from typing import Final

import pytest

from tests.house.tree import requirements

IMPORT_NAMES: Final = {
    "click": "click",
    "flask": "flask",
    "gunicorn": "gunicorn",
    "limits": "limits",
    "prometheus-client": "prometheus_client",
    "pydantic": "pydantic",
    "redis": "redis",
    "segno": "segno",
    "structlog": "structlog",
    "werkzeug": "werkzeug",
}
"""What the server's distributions are called when they are imported."""

PROGRAM: Final = """
import importlib, json, sys
absent, wanted = json.loads(sys.argv[1])
sys.modules.update(dict.fromkeys(absent))
importlib.import_module(wanted)
"""
"""Imports one module where others cannot be imported: None in sys.modules makes an import fail."""


def import_without(absent: list[str], wanted: str) -> subprocess.CompletedProcess[str]:
    """Import a module in a fresh interpreter that lacks some others."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM, json.dumps([absent, wanted])]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_base_install_is_three_packages() -> None:
    assert requirements("base") == {"pyjwt", "cryptography", "urllib3"}


def test_the_names_that_are_taken_away_are_all_that_the_server_adds() -> None:
    assert requirements("server") - set(IMPORT_NAMES) == set()


@pytest.mark.parametrize("module", ["authserver", "authserver.resource", "authserver.jose.jwks", "authserver.testing"])
def test_a_module_for_resource_servers_imports_without_the_server(module: str) -> None:
    finished = import_without(sorted(IMPORT_NAMES.values()), module)
    assert finished.returncode == 0, finished.stderr


def test_the_flask_adapter_needs_flask_alone() -> None:
    absent = sorted(set(IMPORT_NAMES.values()) - {"click", "flask", "werkzeug"})  # Flask itself brings click.
    finished = import_without(absent, "authserver.resource.flask")
    assert finished.returncode == 0, finished.stderr
