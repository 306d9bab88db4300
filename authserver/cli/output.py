"""What every command has in common, those of the server and those of its clients."""

import sys
from typing import NoReturn

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def fail(message: str) -> NoReturn:
    """Say why, and exit 1."""
    click.echo(message, err=True)
    sys.exit(1)
