"""What protection costs a request to Flask when there is no server around it: the application is called as WSGI has it.

Each application is asked for its open page and for its protected one with a known token, over and over, in rounds; what
is told is the difference of the two, in microseconds of this thread.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final
from wsgiref.types import WSGIApplication, WSGIEnvironment

from werkzeug.test import create_environ

from benchmarks.middleware.apis import OPEN, PROTECTED
from benchmarks.middleware.flask_peers import WAYS, protected_in
from benchmarks.middleware.verifiers import Setting
from benchmarks.rounds import Spread, turns

CALLS: Final = 300
WARM_UP: Final = 2


def measured(setting: Setting, token: str, rounds: int) -> dict[str, Mapping[str, Mapping[str, float]]]:
    """For each way the spread of what an open request costs, and of what protection adds to it."""
    applications = {name: protected_in(name, setting).wsgi_app for name in WAYS}
    environs = {path: environ(path, token) for path in (OPEN, PROTECTED)}
    took: dict[str, dict[str, list[float]]] = {name: {"open": [], "again": []} for name in applications}
    for number, name in turns(list(applications), WARM_UP + rounds):
        paths = (OPEN, PROTECTED) if number % 2 == 0 else (PROTECTED, OPEN)
        costs = {path: cost(applications[name], environs[path]) for path in paths}
        if number >= WARM_UP:
            took[name]["open"].append(costs[OPEN])
            took[name]["again"].append(costs[PROTECTED] - costs[OPEN])
    return {name: {kind: Spread.of(values).as_json() for kind, values in of.items()} for name, of in took.items()}


def environ(path: str, token: str) -> WSGIEnvironment:
    """What a server would call the application with."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    return create_environ(path, "https://images.example.com", headers=headers)


def cost(application: WSGIApplication, environ: WSGIEnvironment) -> float:
    """Microseconds of this thread for a request, the copy of the environment included."""
    started = time.thread_time_ns()
    for _ in range(CALLS):
        body = application(environ.copy(), _accepted)
        b"".join(body)
        _close(body)
    return (time.thread_time_ns() - started) / CALLS / 1000


def _accepted(status: str, _headers: Any, _error: object = None) -> Any:
    if not status.startswith("200"):
        raise SystemExit(f"a request was answered with {status}")
    return _write


def _write(_body: bytes) -> None:
    raise SystemExit("Flask never writes so")


def _close(body: Iterable[bytes]) -> None:
    close = getattr(body, "close", None)
    if close is not None:
        close()
