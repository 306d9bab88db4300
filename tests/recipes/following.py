"""Following a page as a reader does: its shell blocks as they stand, in the places of this run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests import leaks
from tests.absent import absent
from tests.house.tree import ROOT

PATIENCE: Final = 120
"""Seconds that the blocks of one part of a page may take."""

_FENCE: Final = re.compile(r"^(<!-- docs-test: skip -->\n)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def part(page: str, heading: str, language: str = "sh") -> str:
    """The blocks in ``language`` below a heading that begins like ``heading``, up to the next one of its level.

    Blocks that are marked to be skipped are left out.

    :raises AssertionError: there is no such heading, or no block below it.
    """
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{page} has no part {heading!r}"
    blocks = [fence[3] for fence in _FENCE.finditer(found[0]) if fence[2] == language and not fence[1]]
    assert blocks, f"{page} shows no {language} below {heading!r}"
    return "\n".join(blocks)


def follow(script: str, folder: Path, places: Mapping[str, str], **variables: str) -> str:
    """Run what a page shows in ``folder``, each of ``places`` replaced; what it printed on standard output.

    The shell ends at the first command that fails.

    :raises AssertionError: one failed.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    command = ["bash", "-euo", "pipefail", "-c", placed(script, places)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    said = done.stdout + done.stderr
    leak = leaks.find(said)
    assert leak is None, f"it printed {leak}"
    assert done.returncode == 0, said
    return done.stdout


def placed(text: str, places: Mapping[str, str]) -> str:
    """The text with the places of this run in the place of the usual ones. The longest that fits is replaced."""
    usual = sorted(places, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, usual)), lambda place: places[place[0]], text)


def program(folder: Path, name: str, text: str) -> None:
    """Put a shell script into ``folder`` under this name."""
    folder.mkdir(exist_ok=True)
    script = folder / name
    script.write_text(f"#!/bin/bash\n{text}", encoding="utf-8")
    script.chmod(0o755)


def authserver_program(folder: Path) -> None:
    """Put the command ``authserver`` of this tree into ``folder``."""
    program(folder, "authserver", f'exec {shlex.quote(sys.executable)} -m authserver "$@"\n')


def need(*programs: str) -> None:
    """End the test when a program is missing."""
    missing = [each for each in programs if shutil.which(each) is None]
    if missing:
        absent(f"missing: {', '.join(missing)}")
