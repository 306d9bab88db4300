"""APIs that run: each way to protect one in a server of its own, for Flask under gunicorn and for express."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.issuing.loads import ask, get
from benchmarks.middleware.flask_peers import VARIABLE, WAYS
from benchmarks.middleware.node import CACHE, NODE, PLAIN, missing
from benchmarks.middleware.verifiers import Setting
from benchmarks.processes import LOOPBACK, free_port, listens, on, running, tree

OPEN: Final = "/open"
PROTECTED: Final = "/protected"

EXPRESS: Final = ("express-oauth2-jwt-bearer", "jose", PLAIN, CACHE)

REFUSED: Final = (401, 422)
"""How tokens are refused: by RFC 6750 with 401; by flask-jwt-extended with 422, unless they have expired."""

THREADS: Final = 4
"""Threads of gunicorn. It has to keep connections, as node does, and its default worker keeps none."""

GUNICORN: Final = ("gunicorn", "--worker-class", "gthread", "--threads", str(THREADS), "--no-control-socket")

Command = Callable[[int], Sequence[str]]
"""What starts a server on a port."""


@dataclass(frozen=True, slots=True)
class Api:
    """A server, by its port and its processes, which are all that it ever has."""

    name: str
    port: int
    pids: Sequence[int]

    def worked(self) -> float:
        """Seconds of processor time that it has had.

        The clock of a process counts nanoseconds, where ``/proc/<pid>/stat`` counts hundredths of a second.
        """
        return sum(time.clock_gettime(_clock(pid)) for pid in self.pids)

    def must_tell_apart(self, good: str, hostile: Mapping[str, str]) -> None:
        """End the program unless the API accepts a good token, and refuses each of the others and to do without."""
        accepted = ask(self.port, request(PROTECTED, good))
        if accepted.status != 200 or json.loads(accepted.body) != json.loads(ask(self.port, get(OPEN)).body):
            raise SystemExit(f"{self.name} answers a good token with {accepted.status}")
        attempts = {what: request(PROTECTED, token) for what, token in hostile.items()} | {"none": get(PROTECTED)}
        for what, attempt in attempts.items():
            if ask(self.port, attempt).status not in REFUSED:
                raise SystemExit(f"{self.name} does not refuse a token with this against it: {what}")


def commands() -> Iterator[tuple[str, Command]]:
    """What starts each API, by its name."""
    for name in WAYS:
        yield f"Flask, {name}", partial(_gunicorn, name)
    for name in () if missing() else EXPRESS:
        yield f"express, {name}", partial(_node, name)


def _gunicorn(name: str, port: int) -> Sequence[str]:
    application = f"benchmarks.middleware.flask_peers:application({name!r})"
    return sys.executable, "-m", *GUNICORN, "--bind", f"{LOOPBACK}:{port}", application


def _node(name: str, port: int) -> Sequence[str]:
    return "node", str(NODE / "express.mjs"), name, str(port)


@contextmanager
def serving(name: str, command: Command, setting: Setting, folder: Path, core: int) -> Iterator[Api]:
    """An API, on one core."""
    port, environment = free_port(), {VARIABLE: json.dumps(asdict(setting)), "NODE_ENV": "production"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    home = folder / name
    home.mkdir()
    with running(on([core], command(port)), lambda: listens(port), folder=home, environment=environment) as pid:
        ask(port, get(OPEN))  # gunicorn listens before there is a worker, and answers when there is one
        yield Api(name, port, tree(pid))


def request(path: str, token: str) -> bytes:
    """A request with a token."""
    return get(path, {"Authorization": f"Bearer {token}"})


def _clock(pid: int) -> int:
    """The clock of the processor time of a process, as ``clock_getcpuclockid(3)`` makes it on Linux."""
    return (~pid << 3) | 2
