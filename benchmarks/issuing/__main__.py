"""Tokens a second on one core: our server, and what people use in its place.

``make bench`` calls it as ``python -m benchmarks.issuing [--quick] [FOLDER]``: it writes ``issuing.json`` and
``issuing.md`` there (``build/bench`` unless told otherwise) and prints the latter. It needs wrk and two cores; nginx,
node with ``npm ci`` in ``benchmarks/node``, and glewlwyd, or it says what it leaves out.

Each server runs alone on one core, as its users run it, and wrk on another, with eight connections that it keeps. Every
request is another, signed beforehand, and client assertions and proofs are accepted once. Servers take turns in rounds.
Before and after each run joserfc verifies some answers; one that is wrong, refused or missing ends the program.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.issuing import authlib_server, ceiling, documents, glewlwyd, limit, oidc_provider, ours
from benchmarks.issuing.contenders import DPOP, ES256, RS256, Contender
from benchmarks.issuing.figures import against_peer, told
from benchmarks.issuing.machine import machine, versions
from benchmarks.issuing.match import Match, Pace
from benchmarks.issuing.program import parser, publish, scratch
from benchmarks.issuing.report import markdown
from benchmarks.rounds import Spread, turns

FULL: Final = Pace(warm_up=4, seconds=4, rounds=5)  # node goes on compiling for seconds
QUICK: Final = Pace(warm_up=1, seconds=2, rounds=2)
QUICK_LOADS: Final = (ES256, DPOP)
LIMITS: Final = {ES256: "ES256", RS256: "RS256"}


def main() -> None:
    """Measure, and write what was found."""
    options = parser("benchmarks.issuing", "Measure servers that issue tokens.")
    options.add_argument("--rounds", type=int, help=f"how many, instead of {FULL.rounds}")
    options.add_argument("--only", metavar="PATTERN", default="", help="servers whose name matches this expression")
    chosen = options.parse_args()
    pace = QUICK if chosen.quick else FULL
    pace = replace(pace, rounds=chosen.rounds or pace.rounds)
    with scratch(chosen.folder) as folder:
        figures = measure(folder, pace, quick=chosen.quick, only=chosen.only)
    publish(chosen.folder, "issuing", figures, markdown(figures))


def measure(folder: Path, pace: Pace, *, quick: bool, only: str) -> dict[str, Any]:
    """Everything that stands in ``issuing.json``."""
    match, limits = Match(folder, pace), {kind: list[limit.Limit]() for kind in LIMITS}
    about = {"machine": machine(), "versions": versions(), "pace": asdict(pace)}
    invited = [each for each in _invited(match, quick=quick) if re.search(only, each.name)]
    missing = {each.name: each.missing for each in invited if each.missing}
    for name, reason in missing.items():
        print(f"not measured: {name}: {reason}", flush=True)
    present: list[Contender | None] = [each for each in invited if not each.missing]
    for _, contender in turns([*present, None], pace.rounds):
        if contender is not None:
            match.take_turn(contender)
            continue
        for kind, algorithm in LIMITS.items():
            limits[kind].append(limit.measure(algorithm, pace.warm_up))
    return {**about, "missing": missing, **_found(match, limits)}


def _found(match: Match, limits: Mapping[str, Sequence[limit.Limit]]) -> dict[str, Any]:
    most = [run.fired for run in match.found.pop((ceiling.NAME, ES256), ())]
    rate = Spread.of([fired.rate for fired in most], 0).as_json() if most else None
    return {
        **told(match.found),
        "peer": against_peer(match.found),
        "limit": {kind: _limit(found) for kind, found in limits.items()},
        "generator": {"server": ceiling.NAME, "rate": rate} if rate else None,
    }


def _limit(found: Sequence[limit.Limit]) -> dict[str, Any]:
    return {
        "rate": Spread.of([each.rate for each in found], 0).as_json(),
        "microseconds": Spread.of([each.worked * 1e6 for each in found], 1).as_json(),
    }


def _invited(match: Match, *, quick: bool) -> Iterator[Contender]:
    callers = ours.Callers.generate()
    if quick:
        everybody = [ours.contender(callers, server) for server in (ours.GUNICORN, ours.GRANIAN)]
        everybody += [oidc_provider.contender(callers), authlib_server.contender(callers, authlib_server.GTHREAD)]
        for each in everybody:
            yield replace(each, loads=tuple(load for load in each.loads if load.kind in QUICK_LOADS))
    else:
        yield from _everybody(match, callers)


def _everybody(match: Match, callers: ours.Callers) -> Iterator[Contender]:
    own = [ours.contender(callers, server, ours.SQLITE) for server in (ours.GUNICORN, ours.GRANIAN)]
    yield from own
    for store in ours.STORES:
        yield from (ours.contender(callers, server, store) for server in (ours.GUNICORN, ours.GRANIAN))
    with match.started(own[0]) as running:
        answers = documents.of(running)
    for server in (ours.GUNICORN, ours.GRANIAN):
        yield documents.contender(server, answers, missing=ours.missing(server))
    yield oidc_provider.contender(callers)
    yield from (authlib_server.contender(callers, worker) for worker in authlib_server.OPTIONS)
    yield glewlwyd.contender(callers)
    yield ceiling.contender(own[0].loads[0])


if __name__ == "__main__":
    main()
