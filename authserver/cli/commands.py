"""The group that every command belongs to."""

from importlib import import_module
from typing import Final

import click

from authserver._version import __version__
from authserver.cli.output import fail

_NAMES: Final = (
    "check",
    "demo",
    "devices",
    "enroll",
    "exec",
    "explain",
    "health",
    "keys",
    "reload",
    "schema",
    "serve",
    "store",
    "token",
)
"""Each is a module of this package, with a command of the same name in it."""


class _Commands(click.Group):
    """Imports the command that is asked for, and no other: what only calls starts without waiting for the server's."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See :meth:`click.Group.list_commands`."""
        del ctx
        return list(_NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See :meth:`click.Group.get_command`."""
        del ctx
        return _command(cmd_name) if cmd_name in _NAMES else None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
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
    remedy = 'install authserver with the extra "server"'

    def say() -> None:
        fail(f"authserver {name}: {package} is not installed. For the server, {remedy}")

    leave_to_it = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(
        name, callback=say, help=f"Not installed: {remedy}", context_settings=leave_to_it, add_help_option=False
    )
