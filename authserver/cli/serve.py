"""``authserver serve``."""

import logging
import os
from pathlib import Path

import click

from authserver.cli.configuration import config_option, exit_codes, load_settings
from authserver.server import prepare
from authserver.telemetry import configure_logging

_log = logging.getLogger("authserver")


@click.command()
@config_option
@click.option("--bind", help="Address to listen on, instead of the configured one.")
@click.option("--workers", type=click.IntRange(min=1), help="Number of processes, instead of the configured one.")
def serve(config: Path, bind: str | None, workers: int | None) -> None:
    """Serve under gunicorn, with settings fit for production."""
    from authserver.hosting import gunicorn  # imports a web server that other commands do without

    settings = load_settings(config)
    configure_logging()
    with exit_codes():
        prepare(settings)
    if settings.server.insecure_allow_http:
        _log.warning("insecure_allow_http is on: issuers on loopback may be http; never use this in production")
    os.environ.pop("GUNICORN_CMD_ARGS", None)  # one place for configuration is enough
    gunicorn.run(settings, config.absolute(), bind=bind, workers=workers)
