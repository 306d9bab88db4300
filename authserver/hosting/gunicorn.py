"""How ``authserver serve`` runs gunicorn."""

import contextlib
import gc
import logging
import os
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from authserver.errors import Unavailable
from authserver.hosting.doorway import Doorway
from authserver.hosting.reload import NotTaken, candidate
from authserver.hosting.tls import server_tls
from authserver.keys.wrapping import MasterKeys
from authserver.server import Service, build
from authserver.settings import Settings
from authserver.telemetry.reloads import Reloads

_LOGGING: Final[Mapping[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "authserver.telemetry.json_formatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}},
    "root": {"level": "INFO", "handlers": ["stderr"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["stderr"], "propagate": False, "qualname": "gunicorn.error"}
    },
}

_PRODUCTION: Final[Mapping[str, Any]] = {
    # So many requests may be stalled at a time, on a store that does not answer, before the next one waits.
    "threads": 8,
    # Each worker opens its own store and keys after the fork; nothing is shared that must not be.
    "preload_app": False,
    # A worker is replaced now and then, not all at the same moment.
    "max_requests": 200_000,
    "max_requests_jitter": 50_000,
    "timeout": 30,
    "graceful_timeout": 20,
    "keepalive": 65,
    "limit_request_line": 4096,
    "limit_request_fields": 64,
    "limit_request_field_size": 16_384,
    # Whose forwarding headers are believed is our own setting, `trusted_proxies`.
    "forwarded_allow_ips": "",
    "forwarder_headers": "",
    # WSGI cannot tell Client_Cert, which a proxy may pass on, from Client-Cert, which it removes.
    "header_map": "drop",
    "control_socket_disable": True,
    "umask": 0o077,
    "proc_name": "authserver",
    "logconfig_dict": _LOGGING,
}

_log = logging.getLogger("authserver")


class _Application(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's application object, configured by ours.

    Workers are given the settings and the master keys that were good when the server started, or was last told to
    reload. So a worker that is replaced can neither fail over a file that was edited since nor decide by other rules
    than its neighbours.
    """

    def __init__(self, settings: Settings, master_keys: MasterKeys, options: Mapping[str, Any]) -> None:
        self._settings = settings
        self._master_keys = master_keys
        self._options = options
        self._service: Service | None = None
        self._asked_for: dict[str, tuple[x509.Certificate, ...]] = {}
        self._tls = server_tls(settings, self._authorities)
        super().__init__()

    def load_config(self) -> None:
        options = {**_PRODUCTION, **self._options, "worker_exit": self._worker_exit}
        if self._tls is not None:
            # The names of the files are what tells gunicorn that it is to speak TLS.
            named = {"certfile": str(self._tls.cert_file), "keyfile": str(self._tls.key_file)}
            options |= {**named, "ssl_context": self._tls_context}
        for name, value in options.items():
            self.cfg.set(name, value)

    def take_new(self) -> None:
        """Read the configuration again, for the workers that are started from now on.

        :raises NotTaken: something is wrong with it; the last good one stays in use.
        """
        taken = candidate(self._settings.file, self._authorities)
        if (taken.tls is None) != (self._tls is None):
            raise NotTaken("failed", ["server.tls: whether the server speaks TLS takes a restart to change"])
        self._settings, self._master_keys, self._tls = taken

    def reload(self) -> None:
        """Nothing: gunicorn's own settings are those of the start."""

    def load(self) -> Doorway:
        """Runs in each worker, after the fork."""
        self._service = build(self._settings, master_keys=self._master_keys)
        self._service.ensure_running()
        application = Doorway(self._service)
        # What is there now stays. To look through it for garbage again and again would cost a tenth of every request.
        gc.collect()
        gc.freeze()
        return application

    def _tls_context(self, _config: object, _default: object) -> ssl.SSLContext | None:
        return self._tls.context() if self._tls is not None else None

    def _authorities(self) -> Iterator[x509.Certificate]:
        """Whose certificates clients may show to this worker now; of a source that is away, those that it last had.

        Nobody is believed by them. But who is not asked for a certificate cannot be told to come again later.
        """
        for source in self._service.certificate_sources if self._service is not None else ():
            with contextlib.suppress(Unavailable):
                self._asked_for[source.name] = tuple(source.authorities(time.time()))
            yield from self._asked_for.get(source.name, ())

    def _worker_exit(self, _server: object, _worker: object) -> None:
        if self._service is not None:
            self._service.close()


class _Arbiter(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's main process, which keeps its workers when there is nothing good to replace them for."""

    def __init__(self, app: _Application, directory: Path, configuration: Path) -> None:
        super().__init__(app)
        self._directory = directory
        self._reloads = Reloads(os.getpid(), str(configuration))

    def init_signals(self) -> None:
        """Say where the server is only when SIGHUP, which that invites, no longer ends it."""
        super().init_signals()
        self._say()

    def reload(self) -> None:
        """Take the new configuration (SIGHUP) and replace every worker, or keep both if anything is wrong with it."""
        self._say(begun=self._reloads.begun + 1)
        try:
            self.app.take_new()
        except NotTaken as refused:
            problems = list(refused.problems)
            _log.error(
                "the configuration was not reloaded; the last good one stays in use", extra={"problems": problems}
            )
            self._say(ended=self._reloads.begun, outcome=refused.outcome, problems=refused.problems)
        except Exception:  # nothing that is wrong with a file may end a server that works
            _log.exception("the configuration was not reloaded; the last good one stays in use")
            self._say(ended=self._reloads.begun, outcome="failed", problems=("it failed; the log says why",))
        else:
            super().reload()  # returns when the old workers have answered what they were asked, and are gone
            _log.info("the configuration was reloaded")
            self._say(ended=self._reloads.begun, outcome="taken", problems=())

    def _say(self, **changes: Any) -> None:
        self._reloads = replace(self._reloads, **changes)
        with contextlib.suppress(OSError):  # who asked is not told, and the server goes on
            self._reloads.write(self._directory)


def run(
    settings: Settings,
    master_keys: MasterKeys,
    directory: Path,
    worker_class: type[Worker],
    *,
    bind: str | None = None,
    workers: int | None = None,
) -> None:
    """Serve until stopped. ``bind`` and ``workers`` override the configuration; a ``worker_class`` speaks HTTP.

    ``directory`` is this server's own, where it says what became of reloads.
    """
    options = {
        "bind": bind or settings.server.bind,
        "workers": workers or settings.server.workers,
        "worker_class": worker_class,
    }
    _Arbiter(_Application(settings, master_keys, options), directory, settings.file.absolute()).run()
