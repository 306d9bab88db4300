"""The base of every configuration table: frozen, strict and closed; durations; references to secrets."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

_UNITS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Mistake(ValueError):
    """Something that the configuration must not say, and what to write instead."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class Table(BaseModel):
    """One TOML table. An unknown key is an error, and no value is converted from another type.

    The docstring of a field is what an editor shows of it, and the first sentence of its entry in the reference.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity, because types must be hashable
class Keywords:
    """What JSON Schema can say of a type besides what pydantic knows, so that an editor sees mistakes early.

    Never stricter than the validators beside it: those decide.
    """

    keywords: Mapping[str, Any]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the keywords; pydantic asks for this while it writes a schema."""
        return {**handler(schema), **self.keywords}


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


DURATION_PATTERN: Final = f"^{_DURATION.pattern}$"
"""How a duration is spelled, as JSON Schema wants to know it."""

SpelledDuration = Annotated[str, Field(pattern=DURATION_PATTERN)]
"""A duration as it stands in the configuration."""

IN_SECONDS: Final = BeforeValidator(seconds, json_schema_input_type=SpelledDuration)
"""Reads a spelled duration into a number of seconds."""

Duration = Annotated[int, IN_SECONDS, AfterValidator(within(1, 3650 * 86400))]
"""A number of seconds, at least one, spelled with its unit in the configuration."""


def different(values: tuple[str, ...]) -> tuple[str, ...]:
    """A validator for a list that must not name anything twice."""
    if len(set(values)) != len(values):
        raise Mistake("names something twice", "Remove the repetition.")
    return values


Strings = Annotated[tuple[str, ...], Field(strict=False), AfterValidator(different), Keywords({"uniqueItems": True})]
"""A list of different strings."""


class SecretReference(Table):
    """Where a secret is to be found. The secret itself is never part of the configuration."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["file"]}, {"required": ["env"]}]})

    file: str | None = None
    """The path of a file that holds the secret."""
    env: str | None = None
    """The name of an environment variable that holds the secret."""

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
