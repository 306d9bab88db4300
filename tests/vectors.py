"""Where the public test vectors are. They are never copied into the project."""

import json
import os
from pathlib import Path
from typing import Any

from tests.absent import absent

_DEFAULT = Path(__file__).parents[2] / "shared" / "vectors"
VECTORS = Path(os.environ.get("AUTHSERVER_VECTORS") or _DEFAULT)


def load(name: str) -> Any:
    """Read one file of vectors that is JSON. See :func:`path`."""
    return json.loads(path(name).read_text("utf-8"))


def path(name: str) -> Path:
    """One file of vectors; skip the test where there are none, and fail where there have to be."""
    file = VECTORS / name
    if not file.is_file():
        absent(f"the public test vector {name} is absent; AUTHSERVER_VECTORS names the directory that has it")
    return file
