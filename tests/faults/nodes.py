"""Nodes of a site: ``authserver serve``, each a process of its own, with a store and a clock that a test decides."""

import base64
import contextlib
import os
import resource
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

from tests.devices import PHONES
from tests.served import Server, free_port, write_configuration

_MANAGER: Final = """
[[allow]]
name = "thumbnailer-manages"
source = "cluster"
match = {{ namespace = "media", service_account = "thumbnailer" }}
resource = "{issuer}"
scope = ["introspect:images", "devices:invite:phones", "devices:manage:phones"]
"""

_CLOCK: Final = """
import os, time
_true, _file = time.time, os.open(os.environ["FAULTS_CLOCK"], os.O_RDONLY)
time.time = lambda: _true() + float(os.pread(_file, 32, 0))
"""
"""A ``sitecustomize.py``: Python imports it before anything else, so that no part of the server knows better."""


class Clock:
    """A clock that may be wrong, read from a file by every process of a node."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "sitecustomize.py").write_text(_CLOCK, encoding="ascii")
        self.folder = folder
        self.file = folder / "offset"
        self.set(0.0)

    def __call__(self) -> float:
        """Seconds since the epoch, by this clock."""
        return time.time() + self._offset

    def set(self, offset: float) -> None:
        """Let it be wrong by so many seconds. One write, so that nobody ever reads half of it."""
        self._offset = offset
        descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT, 0o600)
        os.pwrite(descriptor, f"{offset:<31}\n".encode("ascii"), 0)
        os.close(descriptor)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.set(self._offset + seconds)


class Node(Server):
    """One node. Its output goes through a pipe, unless it is ``logging_to_disk``, so that a full disk leaves it be."""

    def __init__(
        self, configuration: Path, clock: Clock, *, before: Sequence[str] = (), logging_to_disk: bool = False
    ) -> None:
        super().__init__(configuration)
        self.clock = clock
        self._before = before
        self._logging_to_disk = logging_to_disk

    def start(self, *, wait: bool = True) -> Self:
        """Start, and return when it answers."""
        command = [*self._before, sys.executable, "-m", "authserver", "serve", "--config", str(self.configuration)]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(self.clock.folder), os.environ.get("PYTHONPATH")])),
            "FAULTS_CLOCK": str(self.clock.file),
        }
        log = self.output.open("ab", buffering=0)
        output = log if self._logging_to_disk else subprocess.PIPE
        self.process = subprocess.Popen(
            command, stdout=output, stderr=output and subprocess.STDOUT, start_new_session=True, env=environment
        )
        if self.process.stdout is not None:
            threading.Thread(target=_copy, args=(self.process.stdout, log), daemon=True).start()
        else:
            log.close()
        if wait:
            self.wait_until_live()
        return self

    def limit_files(self, size: int = resource.RLIM_INFINITY) -> None:
        """Let no process of it write beyond so many bytes of any file, as a disk that is full would not."""
        assert self.process is not None
        for pid in (self.process.pid, *self.workers()):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _copy(source: Any, log: Any) -> None:
    with source, log:
        while chunk := source.read1(65536):
            log.write(chunk)


def configure(
    folder: Path,
    *,
    cluster: str,
    issuer: str | None = None,
    store: str | None = None,
    more: str = "",
    keys: str = 'algorithms = ["ES256"]',
    workers: int = 1,
    **options: Any,
) -> Path:
    """The configuration of a node whose store is ``store``, lines for ``[store]``; a SQLite one of its own if None."""
    port = options.pop("port", None) or free_port()
    issuer = issuer or f"http://127.0.0.1:{port}"
    all_of_it = PHONES.format(phones="max_per_owner = 100000") + _MANAGER.format(issuer=issuer) + more
    file = write_configuration(
        folder,
        cluster=cluster,
        issuer=issuer,
        port=port,
        workers=workers,
        keys=keys,
        reports=options.pop("reports", ""),
        more=all_of_it,
        **options,
    )
    if store is not None:
        file.write_text(file.read_text("utf-8").replace('url = "sqlite:authserver.db"', store), "utf-8")
    return file


@contextlib.contextmanager
def running_nodes(folder: Path, cluster: str, places: Sequence[tuple[str, Clock]]) -> Iterator[list[Node]]:
    """Nodes of one site, each with its lines for ``[store]`` and its clock; the address of the first is the site's."""
    port = free_port()
    issuer, master_key = f"http://127.0.0.1:{port}", base64.b64encode(secrets.token_bytes(32))
    with contextlib.ExitStack() as stack:
        nodes = []
        for number, (store, clock) in enumerate(places):
            at = None if number else port
            file = configure(folder / f"node-{number}", cluster=cluster, issuer=issuer, port=at, store=store)
            write_master_key(file.with_name("master.key"), master_key)
            nodes.append(stack.enter_context(Node(file, clock)))
        yield nodes


def write_master_key(file: Path, key: bytes) -> None:
    """What a server makes for itself only where no other host can use its store."""
    file.write_bytes(key)
    file.chmod(0o600)
