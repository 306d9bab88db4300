"""The project's Markdown pages, taken apart: fenced blocks, and what stands outside of them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.house.tree import ROOT

_LEFT_OUT: Final = {".venv", "node_modules", ".pytest_cache", "build", "dist"}
_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SKIP: Final = "<!-- docs-test: skip -->\n"

PAGES: Final = sorted(page for page in ROOT.rglob("*.md") if not _LEFT_OUT & set(page.relative_to(ROOT).parts))


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. ``shown`` is the output that the page shows right below it; ``skipped`` says not to run it."""

    where: str
    language: str
    text: str
    skipped: bool
    shown: str


def blocks(page: Path, *languages: str) -> list[Block]:
    """The blocks of a page in these languages, in order."""
    source = page.read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(source):
        if fence[1] in languages:
            below = _FENCE.match(source, fence.end() + 1)
            where = f"{name(page)}:{source.count(chr(10), 0, fence.start()) + 1}"
            skipped = source.endswith(_SKIP, 0, fence.start())
            found.append(Block(where, fence[1], fence[2], skipped, below[2] if below else ""))
    return found


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def name(page: Path) -> str:
    """A page's path as a reader would write it."""
    return page.relative_to(ROOT).as_posix()
