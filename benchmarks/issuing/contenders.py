"""Servers that take part: what each is called, how it is started, what is asked of it, and why it may be missing."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.issuing.loads import Load

ES256: Final = "ES256 in, ES256 out"
RS256: Final = "RS256 in, ES256 out"
DPOP: Final = "ES256 and DPoP in, ES256 out"
TOKENS: Final = (ES256, RS256, DPOP)
JWKS: Final = "key set"
METADATA: Final = "metadata"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs. ``beside`` are the processes of what it depends on, such as a store, on the other core."""

    port: int
    pid: int
    beside: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """A server. ``start`` runs it on the cores that it is given, with a folder of its own.

    ``missing`` says why it cannot be started here, and is empty if it can.
    """

    name: str
    start: Callable[[Path, Sequence[int]], AbstractContextManager[Running]]
    loads: tuple[Load, ...]
    missing: str = ""
