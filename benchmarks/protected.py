"""What it costs an API to protect a request: ours, and what people use in its place, in Flask and in express.

``make bench`` calls it as ``python -m benchmarks.protected [--quick] [FOLDER]``: it writes ``protected.json`` there
(``build/bench`` unless told otherwise) and prints the same as a table. It needs wrk, taskset, node, and ``npm ci`` in
``benchmarks/node``.

Each way to protect has a server of its own, all of them on one core; wrk has another. What counts is the processor
time of the server for each request: of open ones, of protected ones with tokens that it has not seen, and of protected
ones with a token that it has. All carry a token, so the difference to the open ones is what protection adds. Servers
take turns, the three follow each other at once, and the median of the differences is what is told. Before that, each
has to accept a good token and to refuse tokens that deserve it.

For Flask the same is measured without a server as well (``benchmarks/middleware/calls.py``).
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from authserver.testing import FakeIssuer
from benchmarks.generator import fire, write_pool
from benchmarks.middleware import calls, node
from benchmarks.middleware.apis import OPEN, PROTECTED, Api, commands, request, serving
from benchmarks.middleware.verifiers import SCOPE, Setting
from benchmarks.processes import cores
from benchmarks.rounds import Spread, turns
from benchmarks.verification import AUDIENCE, LIFETIME, filled

ROUNDS: Final = 5
SECONDS: Final = 2
CALLING_ROUNDS: Final = 25

WARM_UP: Final = 1
"""Seconds before the first round, in which node compiles what it runs."""

QUICK_ROUNDS: Final = 1
QUICK_SECONDS: Final = 1
QUICK_CALLING_ROUNDS: Final = 3

TOKENS: Final = 6000
"""Tokens of a round. Whoever sees all of them again has forgotten the first: ours remembers 4,096, fast-jwt 1,000."""

PACKAGES: Final = ("Flask", "gunicorn", "PyJWT", "Authlib", "joserfc", "Flask-JWT-Extended")
NODE_PACKAGES: Final = ("express", "express-oauth2-jwt-bearer", "jose", "fast-jwt")


def main(arguments: Sequence[str]) -> None:
    """Measure, write what was found, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protected")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("build/bench"))
    parser.add_argument("--quick", action="store_true", help="one short round: for a look, not for figures")
    options = parser.parse_args(arguments)
    rounds = (QUICK_ROUNDS, QUICK_SECONDS, QUICK_CALLING_ROUNDS) if options.quick else (ROUNDS, SECONDS, CALLING_ROUNDS)
    found = measured(*rounds)
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "protected.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(table("over HTTP", found["http"]) + table("called", found["called"]))


def measured(rounds: int, seconds: int, calling_rounds: int) -> dict[str, Any]:
    """Everything, with the versions of all that took part."""
    server_core, load_core = cores()
    with tempfile.TemporaryDirectory() as name, FakeIssuer() as issuer, ExitStack() as stack:
        setting = Setting(issuer.issuer, AUDIENCE, "ES256", issuer.jwks["keys"][0])
        starts = (serving(*each, setting, Path(name), server_core) for each in commands())
        apis = [stack.enter_context(start) for start in starts]
        over_http = served(issuer, apis, Path(name) / "pool", (rounds, seconds, load_core))
        os.sched_setaffinity(0, {server_core})
        called = calls.measured(setting, fresh(issuer, 1)[0], calling_rounds)
    return {
        "rounds": rounds,
        "seconds": seconds,
        "versions": {name: version(name) for name in PACKAGES} | node.versions(NODE_PACKAGES),
        "missing": {"express": reason} if (reason := node.missing()) else {},
        "http": over_http,
        "called": called,
    }


def served(issuer: FakeIssuer, apis: Sequence[Api], pool: Path, run: tuple[int, int, int]) -> dict[str, Any]:
    """For each API what an open request costs, and what protection adds to it, in microseconds.

    ``run`` is how many rounds, of how many seconds, on which core the load is made.
    """
    rounds, seconds, core = run
    hostile, known = filled(issuer, "ES256", 0).hostile, fresh(issuer, 1)
    for api in apis:
        api.must_tell_apart(known[0], hostile)
    unknown = [fresh(issuer, TOKENS) for _ in range(1 + rounds)]
    write_pool(pool, [request(PROTECTED, token) for token in unknown.pop()])
    for api in apis:
        microseconds(api, pool, WARM_UP, core)
    costs: dict[str, dict[str, list[float]]] = {api.name: {"open": [], "first": [], "again": []} for api in apis}
    for number, api in turns(apis, rounds):
        kinds = {"open": (OPEN, known), "first": (PROTECTED, unknown[number]), "again": (PROTECTED, known)}
        for kind, (path, tokens) in list(kinds.items())[:: 1 if number % 2 == 0 else -1]:
            write_pool(pool, [request(path, token) for token in tokens])
            costs[api.name][kind].append(microseconds(api, pool, seconds, core))
    return {name: added(of) for name, of in costs.items()}


def fresh(issuer: FakeIssuer, count: int) -> list[str]:
    """So many good tokens that nobody has seen."""
    expires = int(time.time()) + LIFETIME
    return [issuer.access_token(AUDIENCE, SCOPE, exp=expires) for _ in range(count)]


def microseconds(api: Api, pool: Path, seconds: int, core: int) -> float:
    """Processor time of the API for a request."""
    before = api.worked()
    fired = fire(api.port, pool, seconds, core_list=[core])
    return (api.worked() - before) / fired.requests * 1e6


def added(costs: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """The spread of what an open request costs, and of what each other kind costs more in the same round."""
    more = {
        kind: [cost - base for cost, base in zip(of, costs["open"], strict=True)]
        for kind, of in costs.items()
        if kind != "open"
    }
    return {kind: Spread.of(values).as_json() for kind, values in {"open": costs["open"], **more}.items()}


def table(title: str, found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """The medians, a line for each way to protect."""
    kinds = list(dict.fromkeys(kind for of in found.values() for kind in of))
    lines = [f"{f'µs a request, {title}':<36}" + "".join(f"{kind:>9}" for kind in kinds)]
    lines += [f"{name:<36}" + "".join(f"{of[kind]['median']:>9.1f}" for kind in kinds) for name, of in found.items()]
    return "\n".join(lines) + "\n\n"


if __name__ == "__main__":
    main(sys.argv[1:])
