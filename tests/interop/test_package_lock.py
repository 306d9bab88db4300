"""The lock of what the programs here import: exact versions and hashes, and no address of any one registry."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
LOCK: dict[str, Any] = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))
LOCKED = {name.removeprefix("node_modules/"): package for name, package in LOCK["packages"].items() if name}


@pytest.mark.parametrize("name", LOCKED)
def test_a_package_is_locked_by_version_and_hash_and_not_by_address(name: str) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", LOCKED[name]["version"])
    assert LOCKED[name]["integrity"].startswith("sha512-")
    assert "resolved" not in LOCKED[name]


def test_every_direct_dependency_is_the_locked_version() -> None:
    wanted: dict[str, str] = json.loads((HERE / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert wanted == {name: LOCKED[name]["version"] for name in wanted}
