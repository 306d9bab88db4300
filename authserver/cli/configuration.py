"""How every command finds the configuration, and what it says when that is no good."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from authserver.cli.output import fail, json_option
from authserver.errors import ConfigurationError, Unavailable
from authserver.server import has_store, open_store
from authserver.settings import Settings, load
from authserver.store.ports import Store

__all__ = ["EX_CONFIG", "config_option", "exit_codes", "fail", "json_option", "load_settings", "opened_store"]

EX_CONFIG: Final = 78

config_option = click.option(
    "--config",
    "config",
    envvar="AUTHSERVER_CONFIG",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file. AUTHSERVER_CONFIG names it too.",
)


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn what can go wrong into a line on standard error and the exit code that says which kind it was."""
    try:
        yield
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(EX_CONFIG)
    except Unavailable as unavailable:
        fail(f"unavailable: {unavailable.reason.value}")


def load_settings(config: Path) -> Settings:
    """The settings, or every problem with them and exit 78."""
    with exit_codes():
        return load(config)


@contextmanager
def opened_store(settings: Settings) -> Iterator[Store]:
    """The store of a configuration, which the server must have made; what goes wrong ends the command."""
    if not has_store(settings):
        fail(f"There is no store at {settings.store_path} yet. The server makes it when it starts.")
    with exit_codes():
        store = open_store(settings)
        try:
            yield store
        finally:
            store.close()
