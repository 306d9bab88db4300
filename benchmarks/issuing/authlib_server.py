"""Authlib's authorization server as a contender (``benchmarks/peers/authlib_server.py``), under gunicorn."""

import importlib.util
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.issuing.answers import AUDIENCE, SCOPE, Expected, token_check
from benchmarks.issuing.callers import Client
from benchmarks.issuing.contenders import ES256, RS256, Contender, Running
from benchmarks.issuing.loads import Load
from benchmarks.issuing.ours import ISSUER, Callers
from benchmarks.issuing.signing import Signer
from benchmarks.processes import LOOPBACK, free_port, listens, on, running

SYNC: Final = "sync"
GTHREAD: Final = "gthread"
OPTIONS: Final = {SYNC: (), GTHREAD: ("--threads", "4", "--keep-alive", "65")}
"""gunicorn's sync worker keeps no connection alive; with more threads than these the others answer no sooner."""


def contender(callers: Callers, worker: str) -> Contender:
    """The server under a worker of gunicorn, with a client for each algorithm."""
    clients = [Client(signer, f"service-{signer.algorithm}", ISSUER) for signer in (callers.es256, callers.rs256)]
    document = {
        "issuer": ISSUER,
        "private_jwk": Signer.generate("ES256").private_jwk,
        "clients": [{"client_id": client.client_id, "jwk": client.signer.jwk} for client in clients],
        "audience": AUDIENCE,
        "scope": SCOPE,
    }
    loads = tuple(_load(kind, client) for kind, client in zip((ES256, RS256), clients, strict=True))
    missing = "" if importlib.util.find_spec("authlib") else "Authlib is not installed"
    return Contender(f"Authlib, Flask, gunicorn {worker}", partial(_started, document, worker), loads, missing=missing)


def _load(kind: str, client: Client) -> Load:
    check = token_check(Expected(ISSUER, client.client_id))
    return Load(kind, client.requests("/token"), check, single_use=True, keys_path="/jwks")


@contextmanager
def _started(document: dict[str, Any], worker: str, folder: Path, core_list: Sequence[int]) -> Iterator[Running]:
    port, said = free_port(), folder / "authlib.json"
    said.write_text(json.dumps(document), encoding="utf-8")
    options = [
        "--bind",
        f"{LOOPBACK}:{port}",
        "--workers",
        "1",
        "--worker-class",
        worker,
        *OPTIONS[worker],
        "--no-control-socket",
    ]
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "gunicorn", *options, "--chdir", str(root), "benchmarks.peers.authlib_server:app"]
    # It refuses plain HTTP unless it is told that a proxy speaks TLS for it, as one would.
    environment = {"BENCHMARK": str(said), "AUTHLIB_INSECURE_TRANSPORT": "1"}
    with running(on(core_list, command), lambda: listens(port), folder=folder, environment=environment) as pid:
        yield Running(port, pid)
