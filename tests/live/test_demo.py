"""``authserver demo``."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import leaks


@pytest.mark.slow
def test_the_demo_tells_its_story_and_ends_well(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "authserver", "demo"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n1. ") == 1
    for told in ("None was refused", "insufficient_scope", "no_rule", "key_unknown", "device_revoked", "was withdrawn"):
        assert told in done.stdout
    leak = leaks.find(done.stdout + done.stderr)
    assert leak is None
    assert list(tmp_path.iterdir()) == []
