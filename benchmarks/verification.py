"""What it costs to verify one access token: ours, other libraries of Python and of node, and the bare signature.

``make bench`` calls it as ``python -m benchmarks.verification [--quick] [FOLDER]``: it writes ``verification.json``
there (``build/bench`` unless told otherwise) and prints the same as a table. It needs node and ``npm ci`` in
``benchmarks/node``, or says that it leaves their libraries out.

What counts is processor time, of the thread for Python and of the process for node. Everybody verifies the same tokens
on the same core, one after the other; contenders take turns in rounds, and every round has tokens that nobody has seen.
Before that, each has to refuse tokens that deserve it, or there are no figures.
"""

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from joserfc.errors import SecurityWarning

from authserver.testing import FakeIssuer
from benchmarks.middleware import node
from benchmarks.middleware.verifiers import PEERS, SCOPE, Setting, Verify, bare
from benchmarks.rounds import Spread, turns

ALGORITHMS: Final = ("ES256", "RS256", "EdDSA")
AUDIENCE: Final = "https://images.example.com"
LIFETIME: Final = 3600
"""Seconds that a token lives: longer than a run."""

ROUNDS: Final = 15
TOKENS: Final = 300
QUICK_ROUNDS: Final = 3
WARM_UP: Final = 4
"""Rounds that are thrown away: so long node needs to have compiled what it runs."""

BARE: Final = "bare signature"
OURS: Final = "authserver"
AGAIN: Final = ", again"
"""What is added to the name of a contender that verifies tokens which it has verified before."""

UNKNOWN: Final = {("Authlib", "EdDSA"), ("jsonwebtoken", "EdDSA")}
"""Who cannot be asked about what: Authlib's validator takes only what joserfc recommends, and that is not EdDSA."""

PACKAGES: Final = ("cryptography", "PyJWT", "joserfc", "Authlib")

Cost = Callable[[Sequence[str]], float]
"""Microseconds of processor time for each of some tokens."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The tokens of one algorithm, as many for each round, and the setting that makes them good."""

    setting: Setting
    rounds: Sequence[Sequence[str]]
    hostile: Mapping[str, str]


def main(arguments: Sequence[str]) -> None:
    """Measure, write what was found, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verification")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("build/bench"))
    parser.add_argument("--quick", action="store_true", help="few rounds: for a look, not for figures")
    options = parser.parse_args(arguments)
    found = measured(QUICK_ROUNDS if options.quick else ROUNDS)
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "verification.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(table(found["microseconds"]))


def measured(rounds: int) -> dict[str, Any]:
    """Everything, with the versions of all that took part."""
    warnings.simplefilter("ignore", SecurityWarning)  # joserfc would rather not see EdDSA by that name
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # node inherits it, so all have the same core
    missing = node.missing()
    with nullcontext() if missing else node.running() as process:
        microseconds = {algorithm: of_algorithm(algorithm, rounds, process) for algorithm in ALGORITHMS}
    return {
        "rounds": rounds,
        "tokens": TOKENS,
        "versions": {name: version(name) for name in PACKAGES} | node.versions(node.LIBRARIES),
        "missing": {"node's libraries": missing} if missing else {},
        "microseconds": microseconds,
    }


def of_algorithm(algorithm: str, rounds: int, process: node.Node | None) -> dict[str, dict[str, float]]:
    """The spread of each contender, in microseconds."""
    with FakeIssuer(algorithms=(algorithm,)) as issuer:
        pool = filled(issuer, algorithm, WARM_UP + rounds)
        contenders = dict(contending(pool, process))
        took: dict[str, list[float]] = {name: [] for name in contenders}
        for number, name in turns(list(contenders), WARM_UP + rounds):
            took[name].append(contenders[name](pool.rounds[number]))
    return {name: Spread.of(times[WARM_UP:]).as_json() for name, times in took.items()}


def filled(issuer: FakeIssuer, algorithm: str, rounds: int, tokens: int = TOKENS) -> Pool:
    """Tokens for so many rounds, so many for each and no two alike, and some that everybody must refuse."""
    setting = Setting(issuer.issuer, AUDIENCE, algorithm, issuer.jwks["keys"][0])
    expires = int(time.time()) + LIFETIME
    token = partial(issuer.access_token, scope=SCOPE, exp=expires)
    good = token(AUDIENCE)
    head, _, signature = good.rpartition(".")
    spoilt = "A" if signature[8] != "A" else "B"
    hostile = {
        "another audience": token("https://elsewhere.example"),
        "another issuer": token(AUDIENCE, iss="https://elsewhere.example"),
        "expired": issuer.access_token(AUDIENCE, SCOPE, expired=True),
        "another signature": f"{head}.{signature[:8]}{spoilt}{signature[9:]}",
    }
    return Pool(setting, [[token(AUDIENCE) for _ in range(tokens)] for _ in range(rounds)], hostile)


def contending(pool: Pool, process: node.Node | None) -> Iterator[tuple[str, Cost]]:
    """Who takes part, each shown to refuse what it must."""
    yield BARE, partial(cost, bare(pool.setting, [token for tokens in pool.rounds for token in tokens]))
    for name, asked in able(pool.setting, process).items():
        if (name.removesuffix(AGAIN), pool.setting.algorithm) not in UNKNOWN:
            must_refuse(name, asked, pool.hostile)
            yield name, asked


def able(setting: Setting, process: node.Node | None) -> dict[str, Cost]:
    """All that verify whole tokens. What remembers is there twice, because each of the two has a memory of its own."""
    ours: dict[str, Cost] = {
        OURS: partial(cost, PEERS[OURS](setting)),
        OURS + AGAIN: partial(cost, PEERS[OURS](setting), again=True),
        **{name: partial(cost, make(setting)) for name, make in PEERS.items() if name != OURS},
    }
    if process is None:
        return ours
    return {
        **ours,
        **{library: partial(process.cost, library, setting) for library in node.LIBRARIES},
        node.CACHE + AGAIN: partial(process.cost, node.CACHE, setting, again=True),
    }


def cost(verify: Verify, tokens: Sequence[str], *, again: bool = False) -> float:
    """Microseconds of this thread for each token; with ``again`` when all of them were verified a moment ago."""
    if again:
        for token in tokens:
            verify(token)
    started = time.thread_time_ns()
    for token in tokens:
        verify(token)
    return (time.thread_time_ns() - started) / len(tokens) / 1000


def must_refuse(name: str, verify: Cost, hostile: Mapping[str, str]) -> None:
    """Ends the program unless the contender refuses each of these tokens."""
    for what, token in hostile.items():
        try:
            verify([token])
        except Exception:  # noqa: S112 - every library has errors of its own, and any of them is a refusal
            continue
        raise SystemExit(f"{name} accepts a token with this against it: {what}")


def table(microseconds: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """The medians, a line for each contender and a column for each algorithm."""
    names = list(dict.fromkeys(name for column in microseconds.values() for name in column))
    lines = [f"{'µs a verification':<32}" + "".join(f"{algorithm:>9}" for algorithm in microseconds)]
    for name in names:
        cells = (column[name]["median"] if name in column else None for column in microseconds.values())
        lines.append(f"{name:<32}" + "".join(" " * 8 + "-" if cell is None else f"{cell:>9.1f}" for cell in cells))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
