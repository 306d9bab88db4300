"""Reading TOML files: the configuration itself, and the rule files that it includes."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from authserver.settings.report import Place, Report, shown

RULE_TABLES: Final = ("allow", "expect", "silence")
"""The only tables of an included file."""

_SECRET_MARK: Final = "PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class Document:
    """One file, parsed."""

    place: Place
    tables: Mapping[str, Any]


def read_document(path: Path, report: Report) -> Document | None:
    """Parse a file and look for secrets in it; None if it cannot be read, which is then noted."""
    place = Place(str(path))
    try:
        tables = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        report.add(place, f"cannot be read: {error.strerror}", "Check the path, and that the file may be read.")
    except UnicodeDecodeError:
        report.add(place, "is not written in UTF-8", "Save the file as UTF-8.")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        report.add(place, f"is not TOML: {error}", "Correct the syntax there; nothing else was checked.")
    else:
        _refuse_secrets(tables, place, report)
        return Document(place, tables)
    return None


def read_included(patterns: tuple[str, ...], main: Path, report: Report) -> Iterator[Document]:
    """Parse every rule file that the patterns name, each once, in the order of their names within a pattern."""
    read = {main.resolve()}
    for position, pattern in enumerate(patterns):
        place = Place(str(main)).at("server", "include", position)
        for path in _matching(pattern, main.parent, place, report):
            if path.resolve() not in read:
                read.add(path.resolve())
                yield from _rule_file(path, report)


def _matching(pattern: str, base: Path, place: Place, report: Report) -> list[Path]:
    try:
        paths = sorted(path for path in base.glob(pattern) if path.is_file())
    except (ValueError, NotImplementedError):  # what pathlib raises for an empty or an absolute pattern
        report.add(place, "is not a pattern for files", 'Write one relative to this file, such as "policies/*.toml".')
        return []
    if not paths:
        report.add(place, "matches no file", f"Correct it, or remove it; it is relative to {base}.")
    return paths


def _rule_file(path: Path, report: Report) -> Iterator[Document]:
    document = read_document(path, report)
    if document is None:
        return
    for name in (name for name in document.tables if name not in RULE_TABLES):
        remedy = "Move it to the main file; an included file has only [[allow]], [[expect]] and [[silence]]."
        report.add(document.place.at(name), f"{shown(name)} does not belong in an included file", remedy)
    yield document


def _refuse_secrets(value: Any, place: Place, report: Report) -> None:
    if isinstance(value, str) and _SECRET_MARK in value:
        remedy = 'Put the key in a file, treat it as disclosed, and write { file = "path" } or { env = "NAME" }.'
        report.add(place, "contains a private key", remedy)
    for step, member in _members(value):
        _refuse_secrets(member, place.at(step), report)


def _members(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)
