"""House rules that a machine can check: sizes, names, and where the time comes from."""

import ast
from pathlib import Path
from typing import Final

from tests.conftest import UNMEASURED
from tests.house.tree import PACKAGE, ROOT

MODULES: Final = {
    file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in sorted(PACKAGE.rglob("*.py"))
}
NODES: Final = [(name, node) for name, text in MODULES.items() for node in ast.walk(ast.parse(text))]

LONGEST_FILE: Final = 300
LONGEST_FUNCTION: Final = 50
EMPTY_NAMES: Final = {"utils", "helpers", "common", "core", "manager", "handler", "data", "info"}
PROGRAMS: Final = ("authserver/cli/", "authserver/hosting/", "authserver/server.py")
"""Where a program is put together and started, and so where the clock that others are handed comes from."""

CLOCKS: Final = {"time.time", "time.time_ns", "time.monotonic", "datetime.now", "datetime.datetime.now"}


def test_no_file_is_long() -> None:
    assert [name for name, text in MODULES.items() if len(text.splitlines()) > LONGEST_FILE] == []


def test_no_function_is_long() -> None:
    functions = [(name, node) for name, node in NODES if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {f"{name}:{node.lineno}": (node.end_lineno or 0) - node.lineno + 1 for name, node in functions}
    assert {where: length for where, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_every_module_has_a_name_that_says_something() -> None:
    assert [name for name in MODULES if EMPTY_NAMES & set(Path(name).with_suffix("").parts)] == []


def test_nothing_reads_the_clock_on_its_own() -> None:
    """House rule 11: a clock is an argument, so ``time.time`` may be handed over but is never called."""
    calls = [(name, node) for name, node in NODES if isinstance(node, ast.Call) and not name.startswith(PROGRAMS)]
    assert [f"{name}:{node.lineno}" for name, node in calls if ast.unparse(node.func) in CLOCKS] == []


def test_what_is_left_out_of_the_measuring_is_there() -> None:
    """A test that was renamed would be measured again, and nobody would know why the run takes longer."""
    assert [place for place in UNMEASURED if not (ROOT / "tests" / place).exists()] == []
