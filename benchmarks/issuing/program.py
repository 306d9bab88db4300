"""What the programs of this folder have in common: their options, and the files that they write."""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.issuing.machine import need


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """The options that each has."""
    made = argparse.ArgumentParser(prog=f"python -m {name}", description=description)
    made.add_argument("folder", metavar="FOLDER", type=Path, nargs="?", default=Path("build/bench"))
    made.add_argument("--quick", action="store_true", help="less of everything, to see that it works")
    return made


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder for what servers and the load generator keep in files, beside the figures: on a disk, as in life."""
    need("wrk", "taskset")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        yield Path(name).absolute()


def publish(folder: Path, name: str, figures: Mapping[str, Any], text: str) -> None:
    """Write figures as JSON and as Markdown, and print the latter."""
    (folder / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    """The lines of a table in Markdown."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join('---' for _ in head)}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)
