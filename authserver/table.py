"""The base of every configuration table: frozen, strict and closed; durations; references to secrets."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

_UNITS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Mistake(ValueError):
    """Something that the configuration must not say, and what to write instead."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class Table(BaseModel):
    """One TOML table. An unknown key is an error, and no value is converted from another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


def seconds(value: Any) -> int:
    """Read a duration such as ``"30s"``, ``"5m"``, ``"1h"`` or ``"30d"`` as seconds.

    :raises Mistake: it is spelled in any other way.
    """
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Mistake("must be a duration", 'Write a whole number and its unit in quotes, such as "30s", "5m" or "1h".')
    return int(match[1]) * _UNITS[match[2]]


def spelled(duration: int) -> str:
    """A number of seconds as the configuration spells it, in the largest unit that leaves nothing over."""
    unit = next(unit for unit, size in _UNITS.items() if duration % size == 0 and (duration or unit == "s"))
    return f"{duration // _UNITS[unit]}{unit}"


def within(shortest: int, longest: int) -> Callable[[int], int]:
    """A validator for a duration that must be between two bounds, both in seconds and both allowed."""

    def check(duration: int) -> int:
        if not shortest <= duration <= longest:
            bounds = f'"{spelled(shortest)}" and "{spelled(longest)}"'
            raise Mistake(f"must be between {bounds}", f"Choose a duration between {bounds}.")
        return duration

    return check


Duration = Annotated[int, BeforeValidator(seconds), AfterValidator(within(1, 3650 * 86400))]
"""A number of seconds, at least one, spelled with its unit in the configuration."""


def different(values: tuple[str, ...]) -> tuple[str, ...]:
    """A validator for a list that must not name anything twice."""
    if len(set(values)) != len(values):
        raise Mistake("names something twice", "Remove the repetition.")
    return values


Strings = Annotated[tuple[str, ...], Field(strict=False), AfterValidator(different)]
"""A list of different strings."""


class SecretReference(Table):
    """Where a secret is to be found. The secret itself is never part of the configuration."""

    file: str | None = None
    env: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _not_the_secret_itself(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise Mistake("must say where the secret is, never the secret itself", _REFERENCE)
        return value

    @model_validator(mode="after")
    def _exactly_one_place(self) -> "SecretReference":
        if (self.file is None) == (self.env is None) or "" in (self.file, self.env):
            raise Mistake('must name exactly one of "file" and "env"', _REFERENCE)
        if self.env is not None and _VARIABLE.fullmatch(self.env) is None:
            raise Mistake('"env" must be the name of an environment variable', _REFERENCE)
        return self


_REFERENCE: Final = 'Write { file = "path" } for a file or { env = "NAME" } for an environment variable.'
