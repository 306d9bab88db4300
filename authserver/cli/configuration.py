"""How every command finds the configuration, and what it says when that is no good."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import click

from authserver.errors import ConfigurationError, Unavailable
from authserver.settings import Settings, load

EX_CONFIG: Final = 78

config_option = click.option(
    "--config",
    "config",
    envvar="AUTHSERVER_CONFIG",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file. AUTHSERVER_CONFIG names it too.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


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


def fail(message: str) -> NoReturn:
    """Say why, and exit 1."""
    click.echo(message, err=True)
    sys.exit(1)
