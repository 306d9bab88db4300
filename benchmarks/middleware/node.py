"""The libraries of node, in a process of their own (``benchmarks/node/verify.mjs``) that is asked line by line."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.middleware.verifiers import Setting

NODE: Final = Path(__file__).parents[1] / "node"
"""Where the programs for node are, with what they import, by ``npm ci``."""

PLAIN: Final = "fast-jwt"
LIBRARIES: Final = ("jose", PLAIN, "jsonwebtoken")
CACHE: Final = "fast-jwt with its cache"


class TokenRefused(Exception):
    """A library did not believe one of the tokens, for a reason that it names."""


@dataclass(frozen=True, slots=True)
class Node:
    """A running process of node."""

    process: "subprocess.Popen[str]"

    def cost(self, library: str, setting: Setting, tokens: Sequence[str], *, again: bool = False) -> float:
        """Microseconds of processor time for a verification; with ``again`` of tokens that it has just verified.

        :raises TokenRefused: one of the tokens was not believed.
        """
        question = {"library": library, "setting": asdict(setting), "tokens": tokens, "again": again}
        sent, received = self.process.stdin, self.process.stdout
        if sent is None or received is None:
            raise SystemExit("node was started without pipes")
        sent.write(json.dumps(question) + "\n")
        sent.flush()
        answer = json.loads(received.readline() or '{"refused": "node has ended"}')
        if "refused" in answer:
            raise TokenRefused(answer["refused"])
        return float(answer["microseconds"])


def missing() -> str:
    """Why node cannot take part; nothing if it can."""
    if shutil.which("node") is None:
        return "node is not installed"
    return "" if (NODE / "node_modules" / "jose").exists() else f"npm ci was not run in benchmarks/{NODE.name}"


@contextmanager
def running() -> Iterator[Node]:
    """Node, until the context ends."""
    command = ["node", "verify.mjs"]
    with subprocess.Popen(command, cwd=NODE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Node(process)
        # Popen's own end closes the pipe, upon which the program ends, and waits for it.


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Which versions of packages of node are installed; none where node cannot take part."""
    files = {package: NODE / "node_modules" / package / "package.json" for package in packages if not missing()}
    return {package: str(json.loads(file.read_text("utf-8"))["version"]) for package, file in files.items()}
