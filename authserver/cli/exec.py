"""``authserver exec``: a command that finds a fresh access token in a file for as long as it runs.

Needs the extra ``cli`` and nothing of the server.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import click

from authserver.cli.child import Mask, hold_signals, interrupted, run
from authserver.cli.keeper import Keeper
from authserver.cli.output import fail
from authserver.cli.token import make_client, token_options
from authserver.cli.token_file import token_file
from authserver.client.failures import CallFailed

VARIABLE: Final = "AUTHSERVER_TOKEN_FILE"
"""The variable that tells the command where its token is."""

_POLL: Final = 0.05  # seconds, while there is no command yet that would be slowed down


@click.command(context_settings={"allow_interspersed_args": False})
@token_options
@click.option("--resource", required=True, metavar="URI", help="The API that the token is for.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND...")
def exec(  # noqa: A001 (the command's name)
    issuer: str, resource: str, scopes: tuple[str, ...], audience: str | None, command: tuple[str, ...]
) -> None:
    """Run the command after -- with a fresh access token in the file that AUTHSERVER_TOKEN_FILE names.

    The file is replaced before its token expires, so the command reads it for each request. It is readable by this
    user alone, kept in memory where the system has a place for that, and removed at the end. The command gets the
    signals that are sent to this process, and its exit code is passed on.
    """
    client = make_client(issuer, resource, scopes, audience)
    mask = hold_signals()
    try:
        with token_file(os.environ) as file:
            code = _run(command, Keeper(client, file), {**os.environ, VARIABLE: str(file.path)}, mask)
    except OSError as error:
        fail(f"authserver exec: there is no place for the token: {error.strerror}")
    sys.exit(code)


def _run(command: Sequence[str], keeper: Keeper, environ: Mapping[str, str], mask: Mask) -> int:
    """:raises OSError: the token cannot be written."""
    keeper.start()
    try:
        while not keeper.ready.wait(_POLL):
            code = interrupted()
            if code is not None:
                return code
        if keeper.failure is not None:
            raise keeper.failure
        return run(command, environ, mask)
    except CallFailed as failure:
        fail(f"authserver exec: {failure}")
    finally:
        keeper.stop()
