"""The page about performance says what its figures say, and shows plots that are there."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from benchmarks import page
from benchmarks.page import FIGURES, FOLDER, PAGE, PARTS

MEASURED: Final[dict[str, Any]] = json.loads(FIGURES.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("file", "text"), list(page.files(MEASURED)), ids=lambda each: getattr(each, "name", ""))
def test_the_page_and_its_plots_are_what_the_figures_make(file: Path, text: str) -> None:
    assert file.read_text(encoding="utf-8") == text, "write them anew: python -m benchmarks.page"


def test_every_plot_that_is_linked_is_there_and_no_other() -> None:
    linked = re.findall(r"!\[[^]]+\]\(([^)]+)\)", PAGE.read_text(encoding="utf-8"))
    assert {PAGE.parent / link for link in linked} == set(FOLDER.glob("*.svg"))


def test_figures_are_taken_over_by_the_names_of_their_files(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text('{"a": 1}', encoding="utf-8")
    (tmp_path / "two.json").write_text('{"b": 2}', encoding="utf-8")
    (tmp_path / "two.md").touch()
    assert page.collected(tmp_path) == {"one": {"a": 1}, "two": {"b": 2}}


def test_a_folder_without_figures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no figures"):
        page.collected(tmp_path)


def test_a_page_without_a_place_for_a_part_is_refused() -> None:
    with pytest.raises(SystemExit, match="no place"):
        page.written("<!-- goals -->\nnothing\n", {})


def test_without_figures_every_part_says_so() -> None:
    empty = "".join(f"<!-- {name} -->\n<!-- end -->\n" for name in PARTS)
    written = page.written(empty, {})
    assert page.written(written, {}) == written
    assert written.count("Not measured.") == len(PARTS) - len({"goals", "plots"})


@pytest.mark.parametrize(("load", "said"), [(0.4, False), (7.25, True)])
def test_the_page_says_when_the_machine_was_busy(load: float, said: bool) -> None:
    about = PARTS["run"]({"issuing": {"machine": {"load": 0.1}}, "latency": {"machine": {"load": load}}})
    assert ("the machine was busy" in about) is said
