"""Configurations of which ``check`` has nothing to warn, but for what a test is about."""

import os
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from authserver.cli.check import check
from authserver.cli.facts import facts
from authserver.settings import load
from authserver.settings.advice import Advice, advise
from tests.settings import build
from tests.settings.build import document, write

ONE = 'namespace = "media", service_account = "reader"'
RULE = build.RULE.replace('namespace = "media"', ONE)
EXPECT = build.EXPECT.replace('namespace = "media"', ONE)
GITHUB = 'type = "github"\naudience = "https://auth.example.com"'


def rule(match: str, name: str = "deploys", source: str = "github", more: str = "") -> str:
    """A rule that grants images:read."""
    return f"""name = "{name}"
source = "{source}"
match = {{ {match} }}
resource = "https://images.example.com"
scope = ["images:read"]
{more}"""


def text(changes: dict[str, str] | None = None, *, more: str = "") -> str:
    """A configuration as text; ``more`` is put at its end."""
    return document({"[allow]": RULE, "[expect]": EXPECT, **(changes or {})}) + more


def with_rules(*rules: str, source: str = GITHUB) -> str:
    """A configuration with a source called github and these rules for it besides the usual one."""
    return text({"sources.github": source}, more="".join(f"[[allow]]\n{each}\n" for each in rules))


def advice(directory: Path, configuration: str) -> tuple[Advice, ...]:
    """The warnings about one configuration by itself."""
    settings = load(write(directory, configuration))
    return advise(settings, facts(settings))


def codes(directory: Path, configuration: str) -> list[tuple[str, str]]:
    """The code of each warning about one configuration by itself, and what it is about."""
    return [(each.code.value, each.about) for each in advice(directory, configuration)]


def put_key(path: Path, *, byte: bytes = b"k", mode: int = 0o600) -> Path:
    """A master key that is no secret."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((byte * 64).hex()[:43].encode() + b"=")
    os.chmod(path, mode)  # noqa: PTH101 (the umask must not decide)
    return path


def run(*arguments: Any) -> Result:
    """``authserver check``."""
    return CliRunner().invoke(check, [str(argument) for argument in arguments], env={"AUTHSERVER_CONFIG": None})
