"""What an answer costs in each of gunicorn's worker classes and in ours, and what a stalled request costs the others.

Run it with ``python -m benchmarks.workers``; it needs `wrk`. Each class serves an application that does nothing, and
then ``POST /token`` with everything on, in one worker. What counts is the processor time of the worker for each answer,
the least of some rounds in turn. The C parser is measured where `gunicorn_h1c` is installed. It prints a table.
"""

import importlib.util
import io
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gunicorn.app.base import BaseApplication

from authserver.hosting import wire
from authserver.hosting.doorway import Doorway
from authserver.hosting.gunicorn import _PRODUCTION
from authserver.hosting.worker import Worker
from authserver.oauth import TOKEN_PATH
from authserver.server import build, prepare
from authserver.settings import load
from benchmarks import processes
from benchmarks.generator import fire, write_pool
from benchmarks.issuing import ours
from benchmarks.issuing.callers import Workload
from benchmarks.issuing.loads import get
from benchmarks.rounds import turns

ROUNDS: Final = 3
SECONDS: Final = 3
IDENTITIES: Final = 2000
STALLED: Final = (1, 7)
STALL: Final = 3.0
"""Seconds."""

CLASSES: Final = {"sync": "sync", "gthread": "gthread", "asgi, in line": "asgi", "ours": Worker}
PARSERS: Final = {"Python": "python", "C": "fast"}
HEAD: Final = ("worker", "parser", "nothing, µs", "token, µs", "bytes kept", "behind 1 stalled, s", "behind 7, s")

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


def main() -> None:
    """Measure every class with every parser, and print a table."""
    parsers = [name for name in PARSERS if name == "Python" or importlib.util.find_spec("gunicorn_h1c") is not None]
    contenders = [(name, parser) for name in CLASSES for parser in parsers]
    callers = ours.Callers.generate()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        write_pool(folder / "nothing", [get("/")])
        write_pool(folder / "tokens", Workload(callers.es256, ours.ISSUER).exchanges(TOKEN_PATH)(IDENTITIES))
        served = {each: _started(stack, each, folder / str(hash(each)), callers) for each in contenders}
        costs: dict[Any, list[list[float]]] = {each: [[], []] for each in contenders}
        for _, each in turns(contenders, ROUNDS):
            for server, pool, found in zip(served[each], ("nothing", "tokens"), costs[each], strict=True):
                found.append(server.cost(folder / pool))
        print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
        for each in contenders:
            nothing = served[each][0]
            waits = [f"{nothing.wait_behind(count):.2f}" for count in STALLED]
            figures = [*(f"{min(found):.0f}" for found in costs[each]), str(nothing.keep()), *waits]
            print(f"| {' | '.join([*each, *figures])} |", flush=True)


@dataclass(frozen=True)
class _Server:
    """A server by its port, and its one worker."""

    port: int
    pid: int

    def cost(self, pool: Path) -> float:
        """Microseconds of processor time for an answer."""
        before = processes.worked(self.pid)
        fired = fire(self.port, pool, SECONDS, core_list=[processes.cores()[1]])
        return (processes.worked(self.pid) - before) / fired.requests * 1e6

    def keep(self) -> int:
        """Bytes that the worker keeps of each connection that has ended."""
        _closed_connections(self.port)
        before = processes.resident(self.pid)
        count = _closed_connections(self.port)
        return round((processes.resident(self.pid) - before) / count)

    def wait_behind(self, count: int) -> float:
        """Seconds that a request waits while so many others are stalled."""
        with ExitStack() as stack:
            for _ in range(count):
                _connected(self.port, stack).sendall(get("/stalled"))
            time.sleep(0.2)
            connection = _connected(self.port, stack)
            begun = time.monotonic()
            connection.sendall(get("/"))
            connection.recv(1)
            waited = time.monotonic() - begun
        time.sleep(STALL)
        return waited


def _connected(port: int, stack: ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_connection((processes.LOOPBACK, port)))


def _closed_connections(port: int) -> int:
    """How many connections with one request each were opened and closed in some seconds."""
    command = ["wrk", "-t1", "-c8", f"-d{SECONDS}s", "-H", "Connection: close", f"http://{processes.LOOPBACK}:{port}/"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return next(int(line.split()[0]) for line in said.splitlines() if "requests in" in line)


def _started(stack: ExitStack, contender: Sequence[str], folder: Path, callers: ours.Callers) -> Sequence[_Server]:
    """Two servers of one class: one that serves nothing, and one that serves tokens."""
    folder.mkdir()
    file = folder / "authserver.toml"
    ours.configure(file, callers, processes.free_port(), "sqlite:authserver.db")
    return [stack.enter_context(_serving(contender, folder, what)) for what in ("", str(file))]


@contextmanager
def _serving(contender: Sequence[str], folder: Path, file: str) -> Iterator[_Server]:
    """A server that serves nothing, or tokens by a configuration."""
    port = processes.free_port()
    command = [sys.executable, "-m", "benchmarks.workers", *contender, str(port), file]
    core_list = [processes.cores()[0]]
    ready = lambda: processes.listens(port)  # noqa: E731
    with processes.running(processes.on(core_list, command), ready, folder=folder) as pid:
        time.sleep(2)
        yield _Server(port, processes.tree(pid)[1])


class _Served(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """One worker of a class, with the settings of ``authserver serve``."""

    def __init__(self, worker_class: str, parser: str, port: str, file: str) -> None:
        self._options = {"worker_class": CLASSES[worker_class], "http_parser": PARSERS[parser]}
        self._options["bind"] = f"{processes.LOOPBACK}:{port}"
        self._options["threads"] = 1 if worker_class == "sync" else 8
        self._file = file
        super().__init__()

    def load_config(self) -> None:
        for name, value in {**_PRODUCTION, **self._options, "max_requests": 0}.items():
            self.cfg.set(name, value)

    def load(self) -> object:
        if self._options["http_parser"] == "fast":
            wire._Parser = _c_parser()  # type: ignore[misc]  # for this measurement alone
        application = _nothing
        if self._file:
            settings = load(Path(self._file))
            service = build(settings, master_keys=prepare(settings))
            service.ensure_running()
            application = Doorway(service)
        return _in_line(application) if self._options["worker_class"] == "asgi" else application


def _c_parser() -> type[Any]:
    """gunicorn_h1c's parser, with the names of header fields in lower case as gunicorn's own has them."""
    parser: Any = importlib.import_module("gunicorn_h1c").H1CProtocol
    return type("_CParser", (parser,), {"headers": property(lambda found: found.asgi_headers)})


def _nothing(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/stalled":
        time.sleep(STALL)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def _in_line(application: Wsgi) -> Callable[..., Any]:
    """A WSGI application as an ASGI application that calls it in the event loop, as far as this measurement needs."""

    async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        started: list[Any] = []
        content = b"".join(application(_environ(scope, body), lambda *given: started.extend(given)))
        headers = [(name.lower().encode(), value.encode()) for name, value in started[1]]
        await send({"type": "http.response.start", "status": int(started[0][:3]), "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return asgi


def _environ(scope: dict[str, Any], body: bytes) -> dict[str, Any]:
    environ = {f"HTTP_{name.decode().upper().replace('-', '_')}": value.decode() for name, value in scope["headers"]}
    return environ | {
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": scope["path"],
        "QUERY_STRING": scope["query_string"].decode(),
        "REMOTE_ADDR": scope["client"][0],
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": environ.get("HTTP_CONTENT_TYPE", ""),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
        "wsgi.input_terminated": True,
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        arguments = sys.argv[1:]
        sys.argv[1:] = []  # or gunicorn would read them
        _Served(*arguments).run()
    else:
        main()
