"""The worker of ``authserver serve``: what gunicorn asks of one, and the crew that does the work."""

import contextlib
import os
import select
from typing import Final

from gunicorn.sock import ssl_wrap_socket
from gunicorn.workers.base import Worker as Base

from authserver.hosting.connection import Terms
from authserver.hosting.crew import Crew
from authserver.hosting.environ import of_worker

_LIMITS: Final = ("limit_request_line", "limit_request_fields", "limit_request_field_size")


class Worker(Base):  # type: ignore[misc]  # gunicorn has no types
    """Speaks HTTP/1.1, in the clear or over TLS, to a WSGI application whose answers fit into memory.

    The main thread waits for signals and does nothing else, so a stalled request delays none.
    """

    def run(self) -> None:
        """Serve until told to stop, until enough requests were answered, or until the main process is gone."""
        crew = self._crew = self._mustered()
        crew.start()
        while self.alive and not crew.ended.is_set():
            self._wait_for_a_signal()
        crew.stop()
        crew.ended.wait(self.cfg.graceful_timeout)
        for listener in self.sockets:
            listener.close()

    def _mustered(self) -> Crew:
        config = self.cfg
        terms = Terms(
            application=self.wsgi,
            environ=of_worker(config),
            keepalive=config.keepalive,
            limits={name: getattr(config, name) for name in _LIMITS},
            wrap=lambda plain: ssl_wrap_socket(plain, config),
            is_tls=config.is_ssl,
        )
        listeners = [listener.sock for listener in self.sockets]
        return Crew(terms, listeners, threads=config.threads, most=config.worker_connections, pulse=self._pulse)

    def _wait_for_a_signal(self) -> None:
        """Return when there was one, or after a second: the crew may have ended. gunicorn writes signals to a pipe."""
        select.select([self.PIPE[0]], [], [], 1.0)
        with contextlib.suppress(BlockingIOError):
            os.read(self.PIPE[0], 4096)

    def _pulse(self) -> None:
        """Runs in a thread of the crew, about once a second."""
        self.notify()
        if self.alive and self._crew.answers >= self.max_requests:
            self.log.info("Autorestarting worker after %d requests.", self._crew.answers)
            self._end()
        if self.alive and self.ppid != os.getppid():
            self.log.info("Parent changed, shutting down: %s", self)
            self._end()

    def _end(self) -> None:
        self.alive = False
        with contextlib.suppress(BlockingIOError):
            os.write(self.PIPE[1], b".")
