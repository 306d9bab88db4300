"""The group that every command belongs to."""

import click

from authserver._version import __version__
from authserver.cli.check import check
from authserver.cli.demo import demo
from authserver.cli.explain import explain
from authserver.cli.keys import keys
from authserver.cli.schema import schema
from authserver.cli.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def authserver() -> None:
    """Trade the identity a program already has for a short-lived, scoped token."""


for command in (check, demo, explain, keys, schema, serve):
    authserver.add_command(command)
