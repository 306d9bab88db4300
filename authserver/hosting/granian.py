"""How ``authserver serve --server granian`` runs granian.

Processes, sockets, signals, reloads and what systemd is told are gunicorn's as ever, and so keep every promise that
``serve`` makes about them. Only the worker is another: the HTTP in it is granian's, which is compiled.
"""

import atexit
import contextlib
import logging
import os
import resource
import select
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from granian import __version__, _granian
from granian.http import HTTP1Settings
from gunicorn.workers.base import Worker as Base

from authserver.errors import ConfigurationError, Problem
from authserver.hosting.exchanges import Exchanges, Here
from authserver.hosting.heads import Heads
from authserver.hosting.wire import MAX_HEAD
from authserver.settings import Settings

_INSIDE: Final = "2.8."
"""The releases of granian that are known to be the same inside, where this reaches."""

_UNREAD: Final = 30_000
"""Milliseconds that the other end may take no byte of an answer before the kernel ends the connection."""

_THREADS_STAY: Final = 600
"""Seconds without work. To keep a thread costs less than to start one for the next burst."""

_log = logging.getLogger("authserver")


def refuse(settings: Settings) -> None:
    """Refuse what granian cannot do.

    :raises ConfigurationError: the configuration needs gunicorn, or the granian that is installed is another.
    """
    if not __version__.startswith(_INSIDE):
        wrong = f"this works with granian {_INSIDE}x, and granian {__version__} is installed"
        raise ConfigurationError([Problem("", "--server", wrong, 'Install authserver with the extra "fast".')])
    if settings.server.tls is not None:
        wrong = "is for gunicorn: granian shows no certificate of a client, and takes no renewed one of the server"
        remedy = "Serve without --server granian, or leave TLS to a proxy."
        raise ConfigurationError([Problem(str(settings.file), "server.tls", wrong, remedy)])


class Worker(Base):  # type: ignore[misc]  # gunicorn has no types
    """A worker process of gunicorn whose HTTP is granian's."""

    alive: bool

    def run(self) -> None:
        """Serve until told to stop, until enough requests were answered, or until the main process is gone."""
        # granian's threads abort a process that they find ending, so it ends before they can.
        atexit.register(os._exit, 0)
        exchanges = Exchanges(Heads(self.cfg), self.wsgi, self._count)
        servers = [Server(each.sock, exchanges, self.cfg, self.age, self._wake) for each in self.sockets]
        while self.alive and os.getppid() == self.ppid:
            self._tick(exchanges)
        for server in servers:
            server.stop()
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while not all(server.has_ended for server in servers):
            if time.monotonic() > deadline:
                _log.warning("a worker ends although requests have not")
                os._exit(1)  # the threads that they are in would keep the process
            self._tick(exchanges)

    def _tick(self, exchanges: Exchanges) -> None:
        """Do what is due every second, and wait for the next one or for something to happen."""
        self.notify()
        exchanges.give_up(time.monotonic())
        if select.select([self.PIPE[0]], [], [], 1.0)[0]:  # gunicorn writes signals to this pipe
            os.read(self.PIPE[0], 4096)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # so much has happened that it wakes anyway
            os.write(self.PIPE[1], b".")

    def _count(self) -> None:
        self.nr += 1
        if self.alive and self.nr >= self.max_requests:  # several threads count, and one may count past it
            self.log.info("Autorestarting worker after %d requests.", self.nr)
            self.alive = False
            self._wake()


class Server:
    """granian's HTTP on one listening socket. ``wake`` is called when its last connection has ended."""

    def __init__(
        self, listener: socket.socket, exchanges: Exchanges, config: Any, number: int, wake: Callable[[], None]
    ) -> None:
        self.has_ended = False
        self._wake = wake
        self._signal = _granian.WorkerSignal()
        self._signal.add_cb(self._end)
        # granian has no patience that ends with a caller who reads nothing.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD)
        loop = Here()
        scheduler = _granian.CallbackScheduler(loop, None, None, None, None)
        scheduler._schedule_fn = exchanges.begin
        _worker(listener, config, number).serve_mtr(scheduler, loop, self._signal)

    def stop(self) -> None:
        """Accept no more connections, and let those that are there end with the request that they are at."""
        self._signal.set()

    def _end(self) -> None:
        self.has_ended = True
        self._wake()


def _worker(listener: socket.socket, config: Any, number: int) -> Any:
    return _granian.ASGIWorker(
        worker_id=number,
        # The socket is one for all workers, so no connection that waits on it is lost with one of them.
        sock=(None, _granian.SocketHolder(os.dup(listener.fileno()), False, config.backlog)),
        ipc=None,
        py_threads=config.threads,
        py_threads_idle_timeout=_THREADS_STAY,
        backpressure=_most_connections(config.worker_connections),
        http_mode="1",
        # The time for a head is at the same time that of a connection between two requests.
        http1_opts=HTTP1Settings(header_read_timeout=config.keepalive * 1000, max_buffer_size=MAX_HEAD),
        websockets_enabled=False,
    )


def _most_connections(allowed: int) -> int:
    """How many there may be: each is a file, and with none left for the next accepting would go round in circles."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return allowed if files == resource.RLIM_INFINITY else min(allowed, files // 2)
