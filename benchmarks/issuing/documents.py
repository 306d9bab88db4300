"""What the documents of our server are compared with: Flask with the same bytes, under the same worker of gunicorn."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from authserver.oauth import JWKS_PATH, OPENID_METADATA_PATH
from benchmarks.issuing.contenders import JWKS, METADATA, Contender, Running
from benchmarks.issuing.loads import Answer, Keys, Load, Wrong, always, ask, get
from benchmarks.issuing.ours import GRANIAN, GUNICORN
from benchmarks.processes import LOOPBACK, free_port, listens, on, running

PATHS: Final = {JWKS: JWKS_PATH, METADATA: OPENID_METADATA_PATH}
WORKERS: Final = {GUNICORN: "authserver.hosting.worker.Worker", GRANIAN: "authserver.hosting.granian.Worker"}
"""The workers of ``authserver serve``, for any application."""

OPTIONS: Final = ("--workers", "1", "--threads", "8", "--keep-alive", "65", "--no-control-socket")
LEFT_OUT: Final = frozenset(("server", "date", "connection", "transfer-encoding", "content-length"))
"""Headers that the HTTP server writes."""


def of(running: Running) -> dict[str, Answer]:
    """The documents of our server, by their kind."""
    return {kind: ask(running.port, get(path)) for kind, path in PATHS.items()}


def contender(server: str, documents: Mapping[str, Answer], missing: str = "") -> Contender:
    """Flask with those documents, under gunicorn or granian."""
    loads = tuple(
        Load(kind, always(get(PATHS[kind])), _same(document), keys_path=JWKS_PATH)
        for kind, document in documents.items()
    )
    return Contender(f"Flask, static, {server}", partial(_started, server, documents), loads, missing=missing)


def _same(document: Answer) -> Callable[[Answer, Keys], None]:
    def check(answer: Answer, _keys: Keys) -> None:
        if (answer.status, answer.body) != (200, document.body):
            raise Wrong(f"{answer.status}: {answer.body[:200]!r}")

    return check


@contextmanager
def _started(server: str, documents: Mapping[str, Answer], folder: Path, core_list: Sequence[int]) -> Iterator[Running]:
    port, said = free_port(), folder / "documents.json"
    said.write_text(json.dumps({PATHS[kind]: _as_json(each) for kind, each in documents.items()}), encoding="utf-8")
    options = ["--bind", f"{LOOPBACK}:{port}", "--worker-class", WORKERS[server], *OPTIONS]
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", "gunicorn", *options, "--chdir", root, "benchmarks.peers.static_flask:app"]
    environment = {"BENCHMARK": str(said)}
    with running(on(core_list, command), lambda: listens(port), folder=folder, environment=environment) as pid:
        yield Running(port, pid)


def _as_json(document: Answer) -> dict[str, object]:
    headers = {name: value for name, value in document.headers.items() if name not in LEFT_OUT}
    return {"body": document.body.decode("utf-8"), "headers": headers}
