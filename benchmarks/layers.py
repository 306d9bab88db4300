"""Where the time of one token exchange goes: the same exchange, with more and more of the server around it.

``make bench`` calls it as ``python -m benchmarks.layers [--quick] [FOLDER]``: it writes ``layers.json`` there
(``build/bench`` unless told otherwise) and prints the same as a table.

In this process, in microseconds of this thread for each exchange: the two signatures alone, the endpoint with
everything on (policy, audit to a file, metrics), the doorway around it, and in its place Flask. They take turns, each
exchange has a token that was never seen, and the differences are what each layer takes. What the HTTP server takes on
top is known from the processor time of ``serve``. A profiler then says in which package the doorway spends its time,
built-in functions counted where they are called; it makes calls of Python dearer than they are, so these are shares and
not times.
"""

import argparse
import cProfile
import json
import os
import pstats
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final
from wsgiref.types import WSGIApplication

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from authserver.endpoints.http import Request
from authserver.hosting.doorway import Doorway
from authserver.hosting.flask import create_app
from authserver.oauth import TOKEN_PATH
from authserver.server import Service
from authserver.testing import FakeIssuer, FrozenClock
from benchmarks import devices
from benchmarks.counts import Act, asking, served
from benchmarks.measure import exchange
from benchmarks.middleware.verifiers import Setting, bare
from benchmarks.rounds import Spread, turns

ROUNDS: Final = 15
QUICK_ROUNDS: Final = 3
WARM_UP: Final = 2
CALLS: Final = 200

SIGNATURES: Final = "both signatures"
ENDPOINT: Final = "the endpoint"
DOORWAY: Final = "the doorway"
FLASK: Final = "Flask in its place"

SHOWN: Final = 12
"""So many packages are named; the others are one."""

BUILT_IN: Final = "~"
"""What a profiler has for the file of a built-in function."""

CRYPTOGRAPHY: Final = ("cryptography.", "asn1.")
"""What the names of the built-in functions of ``cryptography`` contain."""

Make = Callable[[str], Act]
"""Prepares an exchange of an identity token, which is then to be timed."""


def main(arguments: Sequence[str]) -> None:
    """Measure, write what was found, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.layers")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("build/bench"))
    parser.add_argument("--quick", action="store_true", help="few rounds: for a look, not for figures")
    options = parser.parse_args(arguments)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    found = measured(QUICK_ROUNDS if options.quick else ROUNDS)
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "layers.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for name, spread in found["microseconds"].items():
        sys.stdout.write(f"{name:<32}{spread['median']:>9.1f} µs\n")
    for name, share in found["packages"].items():
        sys.stdout.write(f"{name:<32}{share:>9.1%}\n")


def measured(rounds: int) -> dict[str, Any]:
    """What each layer takes, and in which packages."""
    clock, phone = FrozenClock(time.time()), devices.Phone()
    with (
        tempfile.TemporaryDirectory() as folder,
        FakeIssuer(clock=clock) as cluster,
        served(Path(folder), cluster, clock, phone) as service,
    ):
        layers = dict(around(service, cluster))
        took: dict[str, list[float]] = {name: [] for name in layers}
        for _, name in turns(list(layers), WARM_UP + rounds):
            took[name].append(cost([layers[name](token) for token in identities(cluster)]))
        packages = shares([layers[DOORWAY](token) for token in identities(cluster)])
    microseconds = {name: Spread.of(times[WARM_UP:]).as_json() for name, times in took.items()}
    return {"rounds": rounds, "calls": CALLS, "microseconds": microseconds, "packages": packages}


def identities(cluster: FakeIssuer) -> list[str]:
    """Identity tokens that nobody has seen."""
    return [cluster.kubernetes_token("media", "thumbnailer", devices.ISSUER) for _ in range(CALLS)]


def around(service: Service, cluster: FakeIssuer) -> Iterator[tuple[str, Make]]:
    """The layers, from the inside to the outside."""
    setting = Setting(cluster.issuer, devices.ISSUER, "ES256", cluster.jwks["keys"][0])
    yield SIGNATURES, partial(signatures, setting, ec.generate_private_key(ec.SECP256R1()))
    (endpoint,) = (route.endpoint for route in service.routes if route.path == TOKEN_PATH)
    yield ENDPOINT, partial(direct, endpoint)
    for name, application in ((DOORWAY, Doorway(service)), (FLASK, create_app(service))):
        yield name, partial(called, application)


def called(application: WSGIApplication, token: str) -> Act:
    """Call an application as a server does."""
    return asking(application, exchange(token).encode("ascii"))


def signatures(setting: Setting, key: ec.EllipticCurvePrivateKey, token: str) -> Act:
    """Verify the token's signature, and sign as many bytes."""
    verify, signed, how = bare(setting, [token]), token.encode("ascii"), ec.ECDSA(SHA256())

    def act() -> None:
        verify(token)
        key.sign(signed, how)

    return act


def direct(endpoint: Callable[[Request], Any], token: str) -> Act:
    """Call the endpoint as a host does, which ends the benchmark if it refuses."""
    headers = {"content-type": ("application/x-www-form-urlencoded",)}
    request = Request("POST", "benchmark", "127.0.0.1", headers=headers, body=exchange(token).encode("ascii"))

    def act() -> None:
        response = endpoint(request)
        if response.status != 200:
            raise SystemExit(f"no token: {response.body!r}")

    return act


def cost(acts: Sequence[Act]) -> float:
    """Microseconds of this thread for each of these."""
    started = time.thread_time_ns()
    for act in acts:
        act()
    return (time.thread_time_ns() - started) / len(acts) / 1000


def shares(acts: Sequence[Act]) -> dict[str, float]:
    """The share of the time that each package has, the largest first."""
    profiler = cProfile.Profile()
    profiler.enable()
    for act in acts:
        act()
    profiler.disable()
    spent: Counter[str] = Counter()
    for (file, _, function), (_, _, own, _, callers) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined]
        if file != BUILT_IN:
            spent[package(file)] += own
        elif any(name in function for name in CRYPTOGRAPHY):
            spent["cryptography"] += own
        else:
            for (caller, _, _), (_, _, for_it, _) in callers.items():
                spent[package(caller)] += for_it
    most = spent.most_common(SHOWN)
    found = {name: round(own / spent.total(), 4) for name, own in most}
    return {**found, "others": round(1 - sum(found.values()), 4)}


def package(file: str) -> str:
    """What a function in a file belongs to: a room of ours, a package of others, or Python itself."""
    parts = Path(file).parts
    for root, name in (("authserver", "authserver.{}"), ("site-packages", "{}")):
        if root in parts:
            below = parts[len(parts) - parts[::-1].index(root)]
            return name.format(below.removesuffix(".py"))
    return "Python's library"


if __name__ == "__main__":
    main(sys.argv[1:])
