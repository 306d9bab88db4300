"""Writes docs/explanation/performance.md anew from what was measured, with its plots.

    python -m benchmarks.page build/bench

Each program that measures leaves a file ``<name>.json`` in that folder. Their contents by name are the figures of one
run: they are kept in docs/explanation/performance/figures.json, and the tables and plots of the page are made from that
file and nothing else. Without a folder they are made from it again. A test sees to it that all three agree.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import charts, goals, tables

PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "performance.md"
FOLDER: Final = PAGE.with_suffix("")
FIGURES: Final = FOLDER / "figures.json"

Figures = Mapping[str, Any]


def plots(figures: Figures) -> str:
    """A line for each plot that there are figures for."""
    drawn = charts.drawn(figures)
    return "\n\n".join(f"![{chart.title}]({FOLDER.name}/{name}.svg)" for name, chart in drawn.items())


PARTS: Final[Mapping[str, Callable[[Figures], str]]] = {"goals": goals.table, "plots": plots, **tables.PARTS}
"""What stands between the comments of that name and the next ``<!-- end -->``."""


def main(arguments: Sequence[str]) -> None:
    """Take the figures over from a folder, if there is one, and write everything that is made from them."""
    if arguments:
        FIGURES.write_text(json.dumps(collected(Path(arguments[0])), indent=1) + "\n", encoding="utf-8")
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    for old in FOLDER.glob("*.svg"):
        old.unlink()
    for file, text in files(figures):
        file.write_text(text, encoding="utf-8")


def collected(folder: Path) -> Figures:
    """Every file of figures in a folder, by its name.

    :raises SystemExit: there are none.
    """
    figures = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))}
    if not figures:
        raise SystemExit(f"there are no figures in {folder}: run make bench")
    return figures


def files(figures: Figures) -> Iterator[tuple[Path, str]]:
    """The page and its plots, as the figures make them."""
    yield PAGE, written(PAGE.read_text(encoding="utf-8"), figures)
    for name, chart in charts.drawn(figures).items():
        yield FOLDER / f"{name}.svg", chart.svg()


def written(page: str, figures: Figures) -> str:
    """A page with its parts made anew.

    :raises SystemExit: the page has no place for a part.
    """
    for name, make in PARTS.items():
        before, start, rest = page.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not end:
            raise SystemExit(f"the page has no place for: {name}")
        page = f"{before}{start}{make(figures)}\n{end}{after}"
    return page


if __name__ == "__main__":
    main(sys.argv[1:])
