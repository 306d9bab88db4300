"""``authserver reload``."""

import os
import signal
import time
from pathlib import Path
from typing import Final

import click

from authserver.cli.configuration import EX_CONFIG, config_option, fail
from authserver.telemetry import reloads, shared
from authserver.telemetry.reloads import Outcome, Reloads

PATIENCE: Final = 60.0
"""Seconds that a server may take: to try the new configuration, and to let requests in flight end."""

_ENDED: Final = "The server ended."
FAILED: Final = 1
EXIT_CODES: Final[dict[Outcome, int]] = {"taken": 0, "failed": FAILED, "unusable": EX_CONFIG}


@click.command()
@config_option
@click.pass_context
def reload(context: click.Context, /, config: Path) -> None:
    """Let the server that runs with this configuration read it again, and say whether it was taken.

    The file is read whole, and its policy tests are run. If anything is wrong, the last good configuration stays in
    use, and every problem is on standard error. Run it where the server runs, as the server's user.

    Exit codes: 0 every worker has the new configuration, 1 a policy test failed or no server answered, 2 usage, 78 the
    configuration cannot be used.
    """
    running = _running(config.absolute())
    if not running:
        fail(f"No server of this user runs here with {config}.")
    for before in running.values():
        _send(before.pid, signal.SIGHUP)
    context.exit(max(_said(_ended(directory, before)) for directory, before in running.items()))


def _running(configuration: Path) -> dict[Path, Reloads]:
    """Every server of this user that serves this configuration, by its directory."""
    said = {directory: reloads.read(directory) for directory in shared.in_use()}
    return {where: each for where, each in said.items() if each and each.configuration == str(configuration)}


def _ended(directory: Path, before: Reloads) -> Reloads:
    """What became of a reload that began after ``before``: one that had begun may not have seen the file as it is."""
    deadline = time.monotonic() + PATIENCE
    while (now := reloads.read(directory)) and now.ended <= before.begun:
        if time.monotonic() > deadline:
            fail(f"The server has not answered within {PATIENCE:.0f} seconds.")
        _send(before.pid, 0)
        time.sleep(0.05)
    return now or fail(_ENDED)


def _send(pid: int, signal_number: int) -> None:
    """Send a signal. 0 is none, and finds out whether there is anybody to send it to."""
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        fail(_ENDED)


def _said(ended: Reloads) -> int:
    # All of it on standard error: where a unit of systemd reloads, standard output is the audit log.
    if ended.outcome == "taken":
        click.echo("The configuration was taken.", err=True)
    else:
        click.echo("The configuration was not taken; the last good one stays in use.", err=True)
        for problem in ended.problems:
            click.echo(problem, err=True)
    return EXIT_CODES[ended.outcome]
