"""Each import wall of pyproject.toml is broken on purpose, and lint-imports must name that wall and no other."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.house.tree import PACKAGE, PROJECT, ROOT

WALLS: Final = {contract["name"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}

DOWNHILL: Final = "the data flow runs downhill"
ONE_STORE: Final = "only the server picks a store"

Files = Mapping[str, str]
"""Lines to append to files of the package, which are made where they do not exist."""

VIOLATIONS: Final[Mapping[str, tuple[str, Files]]] = {
    "an import uphill": (DOWNHILL, {"audit.py": "import authserver.policy.scope"}),
    "an import sideways": (DOWNHILL, {"policy/intruder.py": "import authserver.identity.source"}),
    "a module without a place": (DOWNHILL, {"utils.py": ""}),
    "a circle within a room": (
        "no circles",
        {"policy/hen.py": "import authserver.policy.egg", "policy/egg.py": "import authserver.policy.hen"},
    ),
    "pydantic at a resource server": (
        "resource servers, clients and tests need no server",
        {"resource/intruder.py": "import pydantic"},
    ),
    "pydantic at a resource server by a detour": (
        "resource servers, clients and tests need no server",
        {"resource/intruder.py": "import authserver.table"},
    ),
    "pydantic at a client": (
        "resource servers, clients and tests need no server",
        {"client/intruder.py": "import pydantic"},
    ),
    "a SPIFFE agent's client for everybody": (
        "only its supplier speaks to a SPIFFE agent",
        {"identity/intruder.py": "import spiffe"},
    ),
    "gRPC for everybody": (
        "only its supplier speaks to a SPIFFE agent",
        {"client/intruder.py": "import grpc"},
    ),
    "the Flask adapter for everybody": (
        "only hosting uses the Flask adapter",
        {"resource/intruder.py": "import authserver.resource.flask"},
    ),
    "Flask in an endpoint": (
        "only hosting and the resource adapter speak Flask",
        {"endpoints/intruder.py": "import flask"},
    ),
    "granian elsewhere in the room": (
        "only its worker speaks granian",
        {"hosting/intruder.py": "import granian"},
    ),
    "Werkzeug in an endpoint": (
        "only hosting and the resource adapter speak Flask",
        {"endpoints/intruder.py": "from werkzeug.wrappers import Request"},
    ),
    "the Django adapter for everybody": (
        "only applications use the ASGI and Django adapters",
        {"resource/intruder.py": "import authserver.resource.django"},
    ),
    "the ASGI adapter for everybody": (
        "only applications use the ASGI and Django adapters",
        {"server.py": "import authserver.resource.asgi"},
    ),
    "Starlette in an endpoint": (
        "only its adapter speaks Starlette",
        {"endpoints/intruder.py": "import starlette"},
    ),
    "FastAPI in an endpoint": (
        "only its adapter speaks FastAPI",
        {"endpoints/intruder.py": "import fastapi"},
    ),
    "Django in an endpoint": (
        "only its adapter speaks Django",
        {"endpoints/intruder.py": "from django.http import HttpRequest"},
    ),
    "requests at a caller that may not have it": (
        "only its adapter speaks requests",
        {"client/intruder.py": "import requests"},
    ),
    "httpx at a caller that may not have it": (
        "only its adapter speaks httpx",
        {"client/intruder.py": "import httpx"},
    ),
    "an HTTP library by a detour": (
        "only an auth that is asked for brings an HTTP library",
        {"client/intruder.py": "import authserver.client.auth_httpx"},
    ),
    "a second place that decodes": ("only jose calls PyJWT", {"identity/intruder.py": "import jwt"}),
    "a metric made elsewhere": (
        "only telemetry counts and traces",
        {"keys/intruder.py": "import prometheus_client"},
    ),
    "a span made elsewhere": (
        "only telemetry counts and traces",
        {"endpoints/intruder.py": "from opentelemetry import trace"},
    ),
    "a room that speaks Redis": ("only its store speaks Redis", {"keys/intruder.py": "import redis"}),
    "a room that knows its store": (ONE_STORE, {"keys/intruder.py": "import authserver.store.sqlite"}),
    "a source that knows another": (
        "identity sources do not know each other",
        {"identity/sources/intruder.py": "import authserver.identity.sources.github"},
    ),
    "a supplier that knows another": (
        "token suppliers do not know each other",
        {
            "client/__init__.py": "",
            "client/suppliers/__init__.py": "",
            "client/suppliers/one.py": "import authserver.client.suppliers.two",
            "client/suppliers/two.py": "",
        },
    ),
    "an attestation format that knows another": (
        "attestation formats do not know each other",
        {
            "enrollment/__init__.py": "",
            "enrollment/attestation/__init__.py": "",
            "enrollment/attestation/one.py": "import authserver.enrollment.attestation.two",
            "enrollment/attestation/two.py": "",
        },
    ),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A directory that holds a copy of the package and of pyproject.toml."""
    shutil.copytree(PACKAGE, tmp_path / "authserver", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken_walls(directory: Path) -> list[str]:
    """The walls that lint-imports finds broken in the copy of the package in a directory."""
    finished = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory), "COLUMNS": "200", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    verdicts = dict(re.findall(r"^(.+) (KEPT|BROKEN)\b.*$", finished.stdout, re.MULTILINE))
    assert set(verdicts) == set(WALLS), finished.stdout + finished.stderr
    broken = [wall for wall, verdict in verdicts.items() if verdict == "BROKEN"]
    assert finished.returncode == (1 if broken else 0)
    return broken


def test_every_wall_is_tried() -> None:
    assert {wall for wall, _ in VIOLATIONS.values()} == set(WALLS)


@pytest.mark.slow
def test_every_wall_stands(copy: Path) -> None:
    assert broken_walls(copy) == []


@pytest.mark.slow
@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_violation_breaks_its_wall_and_no_other(violation: str, copy: Path) -> None:
    wall, files = VIOLATIONS[violation]
    for name, line in files.items():
        file = copy / "authserver" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as opened:
            opened.write(f"\n{line}\n")
    assert broken_walls(copy) == [wall]


def test_every_store_is_behind_the_wall() -> None:
    """A store that is added must be named by the wall, which cannot tell a store from the ports by itself."""
    modules = {f"authserver.store.{file.stem}" for file in (PACKAGE / "store").glob("*.py")}
    assert modules - set(WALLS[ONE_STORE]["protected_modules"]) == {
        "authserver.store.__init__",
        "authserver.store.health",
        "authserver.store.ports",
        "authserver.store.redis_address",
    }
