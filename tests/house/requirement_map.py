"""Which test checks which requirement: by the numbers (``R37``) in the names and docstrings of tests.

``python -m tests.house.requirement_map`` writes the column "tested by" of the page of requirements anew.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tests.house.tree import ROOT

PAGE: Final = ROOT / "docs" / "reference" / "requirements.md"
TESTS: Final = ROOT / "tests"

_NUMBER: Final = re.compile(r"(?<![A-Za-z0-9])R(\d{1,3})(?![A-Za-z0-9])")
_ROW: Final = re.compile(r"\| R(\d+) \| (.+) \| (.+) \| (.*) \| (.*) \|")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the page: one requirement, who asks for it, its tests, and what of it is not there yet."""

    number: int
    text: str
    source: str
    tested_by: tuple[str, ...]
    not_yet: str

    def __str__(self) -> str:
        tests = "<br>".join(f"`{test}`" for test in self.tested_by)
        return f"| R{self.number} | {self.text} | {self.source} | {tests} | {self.not_yet} |"


@cache
def every_test() -> Mapping[str, str]:
    """Every test there is, as ``folder/file.py::name``, with its name and docstring."""
    return {
        f"{file.relative_to(TESTS).as_posix()}::{name}": text
        for file in sorted(TESTS.rglob("*.py"))
        if "node_modules" not in file.parts
        for name, text in _tests_of(ast.parse(file.read_text(encoding="utf-8")), "")
    }


@cache
def tests_by_requirement() -> Mapping[int, tuple[str, ...]]:
    """The tests that name each number."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for test, text in every_test().items():
        for number in dict.fromkeys(map(int, _NUMBER.findall(text))):
            found[number].append(test)
    return {number: tuple(tests) for number, tests in found.items()}


def rows(text: str) -> list[Row]:
    """The rows of a page."""
    return [
        Row(int(match[1]), match[2], match[3], tuple(re.findall(r"`([^`]+)`", match[4])), match[5])
        for match in map(_ROW.fullmatch, text.splitlines())
        if match
    ]


def rewritten(text: str) -> str:
    """A page with the tests that there are now."""
    tests = tests_by_requirement()

    def line(match: re.Match[str]) -> str:
        (row,) = rows(match[0])
        return str(Row(row.number, row.text, row.source, tests.get(row.number, ()), row.not_yet))

    return _ROW.sub(line, text)


def _tests_of(node: ast.AST, within: str) -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield from _tests_of(child, f"{within}{child.name}::")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and child.name.startswith("test_"):
            yield within + child.name, f"{child.name} {ast.get_docstring(child) or ''}"


def main(page: Path = PAGE) -> None:
    """Write the page anew."""
    page.write_text(rewritten(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
