"""Collecting everything that is wrong, in words of our own."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from authserver.errors import Problem
from authserver.table import Mistake, Table

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LOGGED_CHARACTERS: Final = 64

TableT = TypeVar("TableT", bound=Table)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file, spelled like ``allow[2].match``. Elements of a list are counted from 0."""

    file: str
    path: str = ""

    def at(self, *steps: str | int) -> "Place":
        """A place further in."""
        path = self.path
        for step in steps:
            path += f"[{step}]" if isinstance(step, int) else f".{shown(step)}"
        return Place(self.file, path.removeprefix("."))


def shown(name: str) -> str:
    """A name from the configuration, fit to be printed: as a bare key, or quoted, escaped and cut short."""
    return name if _BARE_KEY.fullmatch(name) else repr(name[:_LOGGED_CHARACTERS])


def suggestion(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)), None)


class Report:
    """Every problem found so far: the first one at each place, for what follows from it is not another mistake."""

    def __init__(self) -> None:
        self._problems: dict[Place, Problem] = {}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, in the order in which they were found."""
        return tuple(self._problems.values())

    def add(self, place: Place, message: str, remedy: str) -> None:
        """Note a problem, unless there is one at this place already."""
        self._problems.setdefault(place, Problem(place.file, place.path, message, remedy))

    def unknown(self, place: Place, what: str, name: str, known: Iterable[str]) -> None:
        """Note a name that means nothing here."""
        known = sorted(known)
        meant = suggestion(name, known)
        message = f"unknown {what} {name[:_LOGGED_CHARACTERS]!r}"
        if meant is not None:
            self.add(place, f"{message}; did you mean {meant!r}?", f"Write {meant!r}, or remove it.")
        else:
            self.add(
                place, message, f"Use one of: {', '.join(known)}." if known else f"There is no {what} to name yet."
            )

    def attempt(self, place: Place, check: Callable[[], object]) -> None:
        """Run a check, and note the mistake that it raises."""
        try:
            check()
        except Mistake as mistake:
            self.add(place, str(mistake), mistake.remedy)

    def read(self, model: type[TableT], raw: object, place: Place) -> TableT | None:
        """Read one table; None if anything is wrong with it, which is then noted."""
        try:
            return model.model_validate(raw)
        except ValidationError as error:
            self._translate(model, error.errors(include_url=False, include_input=False), place)
            return None

    def read_what_is_right(self, model: type[TableT], raw: object, place: Place) -> TableT | None:
        """Read one table, as if the keys that are wrong or unknown were not there; None if it cannot do without them.

        What is wrong is noted all the same. So a mistake in one key hides no mistake between the others.
        """
        table = self.read(model, raw, place)
        if table is not None or not isinstance(raw, dict):
            return table
        wrong = {step for step in raw if step not in model.model_fields or self._is_blamed(place.at(step))}
        try:
            return model.model_validate({key: value for key, value in raw.items() if key not in wrong})
        except ValidationError:
            return None

    def blames(self, place: Place) -> bool:
        """Whether there is a problem at just this place."""
        return place in self._problems

    def _is_blamed(self, place: Place) -> bool:
        inside = (f"{place.path}.", f"{place.path}[")
        return any(each == place or each.path.startswith(inside) for each in self._problems)

    def _translate(self, model: type[Table], errors: list[ErrorDetails], place: Place) -> None:
        unknown = [error["loc"] for error in errors if error["type"] == "extra_forbidden"]
        # A misspelt key is one mistake, although its right spelling is missing too.
        misspelt = {(*loc[:-1], suggestion(str(loc[-1]), _fields(model, loc[:-1]))) for loc in unknown}
        for error in errors:
            loc = error["loc"]
            if loc in unknown:
                self.unknown(place.at(*loc), "key", str(loc[-1]), _fields(model, loc[:-1]))
            elif error["type"] != "missing" or loc not in misspelt:
                self.add(place.at(*loc), *explained(error))


def explained(error: ErrorDetails) -> tuple[str, str]:
    """What an error of pydantic's means, and what to do about it."""
    context: Mapping[str, Any] = error.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, Mistake):
        return str(cause), cause.remedy
    message, remedy = _MEANINGS.get(error["type"], OTHERWISE)
    return message.format_map(context), remedy.format(key=error["loc"][-1] if error["loc"] else "")


def _fields(model: type[BaseModel], path: Iterable[str | int]) -> frozenset[str]:
    for step in path:
        field = _by_key(model).get(str(step))
        if field is not None:
            model = _table_in(field.annotation) or model
    return frozenset(_by_key(model))


def _by_key(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a table by what they are called in the file."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _table_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((table for part in get_args(annotation) if (table := _table_in(part))), None)


OTHERWISE: Final = ("is not what it must be", "Correct it; the configuration reference says what it may be.")
"""For a kind of error that is not known yet. A test looks for one with every value that TOML has."""

_ADD: Final = 'Add "{key}"; the configuration reference says what it may be.'
_TABLE: Final = ("must be a table", "Write it as a [table] or as {{ key = value }}.")
_LIST: Final = ("must be a list", 'Write it in brackets, such as ["one", "two"].')

_MEANINGS: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("is missing", _ADD),
    "string_type": ("must be a string", 'Write it in quotes: "…".'),
    "string_too_short": ("must not be empty", "Write what it is, or remove the key if it has a default."),
    "int_type": ("must be a whole number", "Write digits without quotes."),
    "greater_than_equal": ("must be at least {ge}", "Write a larger number."),
    "bool_type": ("must be true or false", "Write true or false, without quotes."),
    "literal_error": ("must be {expected}", "Write one of these, in quotes and spelled exactly so."),
    "tuple_type": _LIST,
    "list_type": _LIST,
    "too_short": ("must not be empty", "Name at least one, or remove the key if it has a default."),
    "dict_type": _TABLE,
    "model_type": _TABLE,
}
