"""Where the project's files are, and what pyproject.toml says."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "authserver"
LOCKS: Final = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-build.lock",
    "requirements-recipes.lock",
    "requirements-browser.lock",
    "requirements-deploy.lock",
    "requirements-fuzz.lock",
)

PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def normal(requirement: str) -> str:
    """The normalized name of the distribution that a requirement is for (the name normalization of PEP 503)."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def requirements(kind: str) -> set[str]:
    """The names that are asked for directly: ``base``, the name of an extra, or the name of a dependency group."""
    if kind == "base":
        asked = PROJECT["project"]["dependencies"]
    else:
        asked = PROJECT["project"]["optional-dependencies"].get(kind) or PROJECT["dependency-groups"][kind]
    return {normal(requirement) for requirement in asked if isinstance(requirement, str)}


def locked(lock: str) -> set[str]:
    """The names that a lock file gives an exact version of."""
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    return {normal(line) for line in lines if re.match(r"[A-Za-z0-9]", line)}
