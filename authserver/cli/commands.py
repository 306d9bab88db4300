"""The group that every command belongs to."""

from importlib import import_module
from typing import Final

import click

from authserver._version import __version__
from authserver.cli.output import fail

_NAMES: Final = ("check", "demo", "devices", "enroll", "explain", "keys", "schema", "serve")
"""Each is a module of this package, with a command of the same name in it."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def authserver() -> None:
    """Trade the identity a program already has for a short-lived, scoped token."""


def _command(name: str) -> click.Command:
    """The command of this name. Where only the client is installed, one of the server's says what it lacks."""
    try:
        command: click.Command = getattr(import_module(f"authserver.cli.{name}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "authserver":
            raise
        return _absent(name, error.name)
    return command


def _absent(name: str, package: str | None) -> click.Command:
    remedy = 'pip install "authserver[server]"'

    def say() -> None:
        fail(f"authserver {name}: {package} is not installed. For the server: {remedy}")

    leave_to_it = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(
        name, callback=say, help=f"Not installed: {remedy}", context_settings=leave_to_it, add_help_option=False
    )


for _name in _NAMES:
    authserver.add_command(_command(_name))
