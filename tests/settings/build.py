"""Configurations that are right but for what a test is about."""

from pathlib import Path

import pytest

from authserver.errors import ConfigurationError, Problem
from authserver.settings import Settings, load

SERVER = 'issuer = "https://auth.example.com"'
RESOURCE = 'identifier = "https://images.example.com"\nscopes = ["images:read", "images:write"]'
SOURCE = 'type = "kubernetes"\nissuer = "https://cluster.example.com"\naudience = "https://auth.example.com"'
RULE = """name = "readers"
source = "cluster"
match = { namespace = "media" }
resource = "https://images.example.com"
scope = ["images:read"]"""
EXPECT = """name = "media reads"
source = "cluster"
claims = { namespace = "media" }
resource = "https://images.example.com"
scope = ["images:read"]
decision = "allow\""""


def document(changes: dict[str, str] | None = None) -> str:
    """A configuration as text: each key is a table's header without its outer brackets, each value its lines."""
    tables = {
        "server": SERVER,
        "resources.images": RESOURCE,
        "sources.cluster": SOURCE,
        "[allow]": RULE,
        "[expect]": EXPECT,
        **(changes or {}),
    }
    return "\n".join(f"[{header}]\n{lines}\n" for header, lines in tables.items())


def write(directory: Path, text: str, name: str = "authserver.toml") -> Path:
    """The path of a file with this text."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def loaded(directory: Path, changes: dict[str, str] | None = None) -> Settings:
    """The settings of a configuration that loads."""
    return load(write(directory, document(changes)))


def problems(path: Path) -> tuple[Problem, ...]:
    """Everything that is wrong with a configuration that does not load."""
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    return caught.value.problems


def only_problem(directory: Path, changes: dict[str, str]) -> Problem:
    """The one problem of a configuration that has one."""
    (problem,) = problems(write(directory, document(changes)))
    assert problem.remedy.endswith(".")
    return problem
