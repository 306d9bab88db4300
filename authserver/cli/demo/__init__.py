"""``authserver demo``: the whole story on this machine, over real HTTP, with nothing configured."""

import sys
import tempfile
import time
from pathlib import Path

import click
import gunicorn  # noqa: F401 (it is started as a program: who lacks it is told so before anything runs)

from authserver.cli.demo.stage import DemoFailed, Stage
from authserver.cli.demo.story import STEPS
from authserver.testing import FakeIssuer


@click.command()
def demo() -> None:
    """Show the whole story on this machine in under a minute.

    Starts a stand-in for a cluster's issuer, the server and an API, all on loopback, in a temporary folder. Exit
    code 0 only if every step did what it says.
    """
    started = time.monotonic()
    click.echo("authserver demo: every request below is real HTTP, and every server a real gunicorn.\n")
    try:
        with tempfile.TemporaryDirectory() as folder, FakeIssuer() as cluster, Stage(Path(folder), cluster) as stage:
            for number, (title, step) in enumerate(STEPS, 1):
                click.secho(f"{number}. {title}", bold=True)
                for line in step(stage):
                    click.echo(f"   {line}")
                click.echo()
    except DemoFailed as failed:
        click.secho(f"   The demo failed here: {failed}", fg="red", err=True)
        sys.exit(1)
    click.echo(f"Every step did what it says, in {time.monotonic() - started:.0f} seconds.")
    click.echo("Next: the tutorial in docs/tutorial/, and config/authserver.toml for a configuration of your own.")
