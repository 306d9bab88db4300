"""The tables of docs/explanation/faults.md, from the counts of the last run.

``make faults`` runs every test of the folder with ``AUTHSERVER_FAULTS`` set to a folder, where each leaves its counts,
and then this: ``python -m tests.faults.page FOLDER``.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from tests.faults.traffic import Counts, Kind

Record: TypeAlias = Callable[[Counts], None]

VARIABLE: Final = "AUTHSERVER_FAULTS"
PAGE: Final = Path(__file__).parents[2] / "docs" / "explanation" / "faults.md"

FAULTS: Final = (
    "store down",
    "store slow",
    "store read only",
    "store full",
    "store failing over",
    "store cluster node dead",
    "store flushed",
    "store partitioned from one node",
    "identity issuer down",
    "identity issuer slow",
    "identity issuer empty",
    "identity issuer poisoned",
    "identity issuer enormous",
    "authorization server down",
    "clock wrong",
    "disk of the store full",
    "disk of the store and of the log full",
    "process killed",
    "deployment half old half new",
    "server cut off",
    "primary cut off",
    "server and primary cut off together",
)
"""The rows, each named as its test is."""

COLUMNS: Final = (
    "done", "refused rightly", "put off", "unanswered", "refused wrongly", "accepted wrongly", "lost",
)  # fmt: skip
MUST_BE_NOTHING: Final = ("refused wrongly", "accepted wrongly", "lost")

Row = Sequence[str | int]


def document(counts: Counts) -> dict[str, Any]:
    """Counts as they are kept between the test and the page."""
    members = {name: getattr(counts, name.replace(" ", "_")) for name in COLUMNS}
    return {name: dict(found) if isinstance(found, Mapping) else len(found) for name, found in members.items()}


def totals(found: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """A row for each fault: how often each thing came out."""
    rows: list[Row] = [("fault", *COLUMNS)]
    rows += [(name, *(_sum(counts[column]) for column in COLUMNS)) for name, counts in found.items()]
    return rows


def kinds(found: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """A row for each fault: of each kind, how often it was done and how often it was put off."""
    rows: list[Row] = [("fault", *Kind)]
    rows += [(name, *(_both(counts, kind) for kind in Kind)) for name, counts in found.items()]
    return rows


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    lines = [f"| {' | '.join(map(str, row))} |" for row in rows]
    rule = "|---|" + "---:|" * (len(rows[0]) - 1)
    return "\n".join([lines[0], rule, *lines[1:]])


def rows_of(name: str, page: str) -> list[list[str]]:
    """The rows of a table that a page has, its head first."""
    (shown,) = re.findall(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", page, re.DOTALL)
    head, _, *rest = [[cell.strip() for cell in line.strip("|").split("|")] for line in shown.splitlines()]
    return [head, *rest]


def written(page: str, found: Mapping[str, Mapping[str, Any]]) -> str:
    """The page with the tables that these counts make."""
    for name, rows in (("totals", totals(found)), ("kinds", kinds(found))):
        new = f"<!-- {name} -->\n{table(rows)}\n<!-- end -->"
        page = re.sub(rf"<!-- {name} -->\n.*?<!-- end -->", lambda _, new=new: new, page, flags=re.DOTALL)  # type: ignore[misc]
    return page


def _sum(column: Mapping[str, int] | int) -> int:
    return column if isinstance(column, int) else sum(column.values())


def _both(counts: Mapping[str, Any], kind: Kind) -> str:
    done, put_off = (counts[column].get(kind.value, 0) for column in ("done", "put off"))
    return f"{done} / {put_off}" if done or put_off else ""


def main(folder: Path) -> None:
    """Write the tables into the page."""
    found = {name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in FAULTS}
    PAGE.write_text(written(PAGE.read_text("utf-8"), found), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
