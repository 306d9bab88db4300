"""What each refusal reason means to an operator, read from ``reasons.toml`` beside this file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a reason says, and what to do about it."""

    meaning: str
    remedy: str


@cache
def meanings() -> Mapping[str, Meaning]:
    """The meaning of every reason, by its value."""
    text = files("authserver.cli").joinpath("reasons.toml").read_text(encoding="utf-8")
    return MappingProxyType({reason: Meaning(**entry) for reason, entry in tomllib.loads(text).items()})
