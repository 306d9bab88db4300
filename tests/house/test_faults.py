"""The page about faults has a row for each test of them, and in none of them anything that must be nothing."""

import ast
from typing import Final

import pytest

from tests.faults.page import COLUMNS, FAULTS, MUST_BE_NOTHING, PAGE, document, rows_of, written
from tests.faults.traffic import Counts, Kind
from tests.house.tree import ROOT

TEXT: Final = PAGE.read_text("utf-8")


def recorded() -> set[str]:
    """The tests whose counts make a row, by their names."""
    trees = [ast.parse(file.read_text("utf-8")) for file in (ROOT / "tests" / "faults").glob("test_*.py")]
    functions = [node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]
    recording = [each for each in functions if {"record", "fail_over"} & {one.arg for one in each.args.args}]
    return {each.name.removeprefix("test_").replace("_", " ") for each in recording if each.name.startswith("test_")}


@pytest.mark.parametrize("name", ["totals", "kinds"])
def test_the_page_has_exactly_the_faults_that_are_tested(name: str) -> None:
    _, *rows = rows_of(name, TEXT)
    assert [row[0] for row in rows] == list(FAULTS)
    assert recorded() == set(FAULTS)


def test_what_must_be_nothing_is_nothing_and_something_was_done() -> None:
    head, *rows = rows_of("totals", TEXT)
    assert head == ["fault", *COLUMNS]
    for row in rows:
        counts = dict(zip(head, row, strict=True))
        assert [counts[column] for column in MUST_BE_NOTHING] == ["0", "0", "0"]
        assert int(counts["done"]) > 0


def test_counts_become_rows() -> None:
    counts = Counts()
    counts.done.update({Kind.WORKLOAD: 3, Kind.DEVICE: 2})
    counts.put_off[Kind.DEVICE] = 4
    counts.lost = ["a device"]
    page = written(TEXT, {"store down": document(counts)})
    _, totals = rows_of("totals", page)
    _, kinds = rows_of("kinds", page)
    assert totals == ["store down", "5", "0", "4", "0", "0", "0", "1"]
    assert kinds[:4] == ["store down", "3 / 0", "", "2 / 4"]
