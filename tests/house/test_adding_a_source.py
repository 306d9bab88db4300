"""The page about adding an identity source, followed literally in a copy of this tree."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.house.pages import blocks
from tests.house.tree import ROOT
from tests.recipes.following import PATIENCE, authserver_program
from tests.vectors import VECTORS

HERE: Final = ROOT / "docs" / "how-to" / "add-an-identity-source.md"
COPIED: Final = ("authserver", "config", "docs", "tests", "pyproject.toml")
FILE: Final = re.compile(r"(?:# |<!-- )(\S+?)(?: -->)?\n")
LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", "node_modules", "interop", "browser")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the page speaks of."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=LEFT_OUT)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    authserver_program(tmp_path / "bin")
    return tmp_path


def shown() -> Iterator[tuple[str, str]]:
    """The files that the page shows, or the parts of files: their names, and what is in them."""
    for block in blocks(HERE, "python", "markdown"):
        head = FILE.match(block.text)
        assert head is not None, f"{block.where} does not say of which file it is"
        yield head[1], block.text[head.end() :]


def put(tree: Path, name: str, text: str) -> None:
    """Do with a block what its reader does: make the file, or add to the one that is there."""
    file = tree / name
    if not file.exists():
        file.write_text(text, encoding="utf-8")
    else:
        before = file.read_text(encoding="utf-8")
        add = add_section if file.suffix == ".md" else add_lines
        file.write_text(add(before, text), encoding="utf-8")


def add_lines(before: str, text: str) -> str:
    """Imports, which stand before all others, and entries of a table, each in its alphabetical place."""
    imports, _, table = text.rpartition("\n\n")
    opening, *entries, _ = table.strip().splitlines()
    lines = before.replace("\nfrom ", f"\n{imports}\nfrom ", 1).splitlines() if imports else before.splitlines()
    start = lines.index(opening) + 1
    for entry in entries:
        following = (at for at, line in enumerate(lines[start:], start) if line > entry or not line.startswith("    "))
        lines.insert(next(following), entry)
    return "\n".join(lines) + "\n"


def add_section(before: str, text: str) -> str:
    """A section before the first of its kind that comes later in the alphabet, and its name in the list of types."""
    title = text.splitlines()[0]
    kind = title.partition("`")[2].rstrip("`")
    later = [heading for heading in re.findall(r"^## Sources of type .+$", before, re.MULTILINE) if heading > title]
    with_section = before.replace(f"\n{later[0]}\n", f"\n{text}\n{later[0]}\n", 1)
    return re.sub(r'^(- Type: )(?=.*`"device"`)', rf'\1`"{kind}"`, ', with_section, flags=re.MULTILINE)


def run(tree: Path, script: str) -> "subprocess.CompletedProcess[str]":
    """Run a script of the page in ``tree``."""
    places = {"PYTHONPATH": str(tree), "PATH": f"{tree / 'bin'}{os.pathsep}{Path(sys.executable).parent}:/usr/bin:/bin"}
    options = {"PYTEST_ADDOPTS": "-p no:cacheprovider -m 'not slow'", "AUTHSERVER_VECTORS": str(VECTORS)}
    # What runs in the copy must not be measured as if it were this tree.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tree,
        env={**inherited, **places, **options},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


@pytest.mark.slow
def test_whoever_follows_the_page_has_a_source_that_passes_every_test(tree: Path) -> None:
    for name, text in shown():
        put(tree, name, text)
    done = run(tree, "".join(block.text for block in blocks(HERE, "sh")))
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "test_harbour" not in done.stdout
