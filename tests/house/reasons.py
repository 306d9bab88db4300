"""Where each reason is raised, by whom, and with which facts: read from the source."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from authserver.errors import Reason
from tests.house.tree import PACKAGE

_NO_FACTS: Final = {"scheme", "retry_after", "nonce"}
"""Keywords of errors that go to the caller, and are no facts."""

_ONLY_TOLD: Final = {"failed", "self._tell_of"}
"""Calls that hand a reason to whoever counts, and answer nobody with it."""


@dataclass(frozen=True, slots=True)
class Raised:
    """The classes of the errors that carry a reason, and the names of the facts that are told with it."""

    classes: set[str] = field(default_factory=set)
    facts: set[str] = field(default_factory=set)


def raised() -> Mapping[Reason, Raised]:
    """Every reason that is raised anywhere in the package."""
    found: defaultdict[Reason, Raised] = defaultdict(Raised)
    for file in sorted(PACKAGE.rglob("*.py")):
        for call, within in _calls(ast.parse(file.read_text(encoding="utf-8")), ""):
            if ast.unparse(call.func) in _ONLY_TOLD:
                continue
            for reason in filter(None, map(_reason, call.args)):
                found[reason].classes.add(_class(call, within))
                found[reason].facts.update(_facts(call))
    return found


def _calls(node: ast.AST, within: str) -> Iterator[tuple[ast.Call, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child, within
        yield from _calls(child, child.name if isinstance(child, ast.ClassDef) else within)


def _reason(argument: ast.expr) -> Reason | None:
    if isinstance(argument, ast.Attribute) and ast.unparse(argument.value) == "Reason":
        return Reason[argument.attr]
    return None


def _class(call: ast.Call, within: str) -> str:
    name = ast.unparse(call.func)
    return within if name == "super().__init__" else name


def _facts(call: ast.Call) -> set[str]:
    named = {keyword.arg for keyword in call.keywords if keyword.arg}
    spelled = {
        key.value
        for argument in call.args
        if isinstance(argument, ast.Dict)
        for key in argument.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }
    return (named | spelled) - _NO_FACTS
