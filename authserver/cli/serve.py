"""``authserver serve``."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

import click

from authserver.cli.configuration import config_option, exit_codes, fail, load_settings
from authserver.server import prepare
from authserver.settings import Settings
from authserver.settings.urls import bind_address
from authserver.table import Mistake
from authserver.telemetry import configure_logging
from authserver.telemetry.shared import DIRECTORY, shared_directory

_log = logging.getLogger("authserver")


def _address(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else bind_address(value)
    except Mistake as mistake:
        raise click.BadParameter(f"{mistake}. {mistake.remedy}") from mistake


@click.command()
@config_option
@click.option("--bind", callback=_address, help="Address to listen on, host:port, instead of the configured one.")
@click.option("--workers", type=click.IntRange(min=1), help="Number of processes, instead of the configured one.")
@click.option(
    "--server",
    type=click.Choice(["gunicorn", "granian"]),
    default="gunicorn",
    help='What speaks HTTP in the processes; granian, which is compiled, comes with the extra "fast".',
)
def serve(config: Path, bind: str | None, workers: int | None, server: str) -> None:
    """Serve under gunicorn, with settings fit for production."""
    from authserver.hosting import gunicorn, tls, worker  # import a web server, and what other commands do without

    settings = load_settings(config)
    configure_logging()
    if sys.stdout is None:
        fail("Standard output is closed, and audit events go there. Without a record nothing can be decided.")
    with exit_codes():
        worker_class = worker.Worker if server == "gunicorn" else _granian_worker(settings)
        master_keys = prepare(settings)
        tls.server_tls(settings)
    if settings.server.insecure_allow_http:
        _log.warning("insecure_allow_http is on: issuers on loopback may be http; never use this in production")
    os.environ.pop("GUNICORN_CMD_ARGS", None)  # one place for configuration is enough
    with shared_directory() as directory:
        os.environ[DIRECTORY] = str(directory)
        gunicorn.run(settings, master_keys, directory, worker_class, bind=bind, workers=workers)


def _granian_worker(settings: Settings) -> type[Any]:
    try:
        from authserver.hosting import granian
    except ModuleNotFoundError as error:
        if error.name != "granian":
            raise
        fail('granian is not installed. For it, install authserver with the extra "fast".')
    granian.refuse(settings)
    return granian.Worker
