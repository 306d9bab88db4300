"""The pages of the reference, taken apart: sections, entries and tables."""

import re
from collections.abc import Mapping
from typing import Final

from tests.house.tree import ROOT

FOLDER: Final = ROOT / "docs" / "reference"


def page(name: str) -> str:
    """The text of a page, such as ``http-api``."""
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def sections(text: str, level: int) -> Mapping[str, str]:
    """The sections of one level by their titles, without what stands before the first."""
    parts = re.split(rf"^{'#' * level} (.+)$", text, flags=re.MULTILINE)
    return {title.strip("`"): body for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def entries(text: str) -> Mapping[str, str]:
    """The list items that begin with a code span and a colon: the first word of the span, and the rest."""
    return dict(re.findall(r"^- `([\w.-]+)[^`]*`: (.+)$", text, flags=re.MULTILINE))


def labelled(text: str) -> Mapping[str, str]:
    """The list items that begin with a label and a colon."""
    return dict(re.findall(r"^- ([A-Z][\w ]+): (.+)$", text, flags=re.MULTILINE))


def rows(text: str) -> list[tuple[str, ...]]:
    """The rows of every table, without their heads."""
    lines = text.splitlines()
    heads = {position - 1 for position, line in enumerate(lines) if line.startswith("|---")}
    return [
        tuple(cell.strip() for cell in line.strip("|").split(" | "))
        for position, line in enumerate(lines)
        if line.startswith("| ") and position not in heads
    ]


def unlinked(text: str) -> str:
    """The text as it is read where nothing can be followed: of a link there is only its words."""
    return re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", text)


def code(text: str) -> list[str]:
    """What stands in code spans."""
    return re.findall(r"`([^`]+)`", text)
