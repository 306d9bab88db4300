"""How ``authserver serve`` runs gunicorn."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from flask import Flask
from gunicorn.app.base import BaseApplication

from authserver.hosting.flask import create_app
from authserver.server import Service, build
from authserver.settings import Settings, load

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
    # One thread blocked on a slow store leaves the others to answer.
    "worker_class": "gthread",
    "threads": 4,
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
    "control_socket_disable": True,
    "umask": 0o077,
    "proc_name": "authserver",
    "logconfig_dict": _LOGGING,
}


class _Application(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's application object, configured by ours."""

    def __init__(self, config: Path, options: Mapping[str, Any]) -> None:
        self._config = config
        self._options = options
        self._service: Service | None = None
        super().__init__()

    def load_config(self) -> None:
        for name, value in {**_PRODUCTION, **self._options, "worker_exit": self._worker_exit}.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Runs in each worker, after the fork."""
        self._service = build(load(self._config))
        self._service.housekeeping.ensure_running()
        return create_app(self._service)

    def _worker_exit(self, _server: object, _worker: object) -> None:
        if self._service is not None:
            self._service.close()


def run(settings: Settings, config: Path, *, bind: str | None = None, workers: int | None = None) -> None:
    """Serve until stopped. ``bind`` and ``workers`` override the configuration."""
    options = {"bind": bind or settings.server.bind, "workers": workers or settings.server.workers}
    _Application(config, options).run()
