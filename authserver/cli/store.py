"""``authserver store``: copy everything to another store, back a store up, and put a backup in its place."""

import json
from pathlib import Path

import click

from authserver.cli.configuration import config_option, exit_codes, fail, json_option, load_settings
from authserver.server.moving import BackupUnsound, Copied, TargetInUse, back_up, copy_store, restore
from authserver.server.stores import has_store

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def store() -> None:
    """Copy what the server remembers, and back it up."""


@store.command("copy")
@click.argument("source", metavar="FROM", type=_FILE)
@click.argument("target", metavar="TO", type=_FILE)
@json_option
def copy_(source: Path, target: Path, as_json: bool) -> None:
    """Copy everything from the store of the configuration FROM to that of the configuration TO.

    Stop every server first. A copy that was interrupted is done again, and goes on where it was. In the end both stores
    are read and compared; the key ring is copied last, and only if all else is equal.
    """
    origin, destination = load_settings(source), load_settings(target)
    if not has_store(origin):
        fail(f"There is no store at {origin.store_path}.")
    with exit_codes():
        try:
            results = [_told(each, as_json) for each in copy_store(origin, destination)]
        except TargetInUse as in_use:
            fail(f"{in_use}, so servers may work with it. Give the copy a store, or a key_prefix, that nobody uses.")
    if as_json:
        click.echo(json.dumps({"copied": [_described(each) for each in results]}, indent=2))
    if not results[-1].is_equal:
        fail("The stores are not equal. Stop every server that works with either, and copy again.")


@store.command("backup")
@click.argument("file", metavar="FILE", type=_FILE)
@config_option
def backup(file: Path, config: Path) -> None:
    """Write a copy of a SQLite store to the new file FILE, while servers go on working with the store.

    It has every private key, wrapped by the master key: keep the two apart.
    """
    settings = load_settings(config)
    with exit_codes():
        try:
            back_up(settings, file)
        except FileExistsError:
            fail(f"There is something at {file} already.")
        except OSError as error:
            fail(f"{file} cannot be written: {error.strerror}")
    click.echo(f"The store is in {file}.")


@store.command("restore")
@click.argument("file", metavar="FILE", type=_FILE)
@config_option
def restore_(file: Path, config: Path) -> None:
    """Make the backup FILE the SQLite store. Stop every server first, and move the old store away."""
    settings = load_settings(config)
    with exit_codes():
        try:
            restore(settings, file)
        except BackupUnsound as unsound:
            fail(f"{unsound}. Nothing was changed.")
        except FileExistsError:
            fail(f"There is a store at {settings.store_path} already. Move it away, with its -wal and -shm.")
        except OSError as error:
            fail(f"{file} cannot be restored: {error.strerror}")
    click.echo(f"The store at {settings.store_path} is what the backup was.")


def _told(copied: Copied, as_json: bool) -> Copied:
    """The same, once people were told of it."""
    if not as_json:
        verdict = "equal" if copied.is_equal else "NOT EQUAL"
        digest = f"{copied.target.digest:064x}"[:16]
        click.echo(
            f"{copied.kind:<11} {copied.target.count:>9} there, {copied.written:>9} written  {verdict}  {digest}"
        )
    return copied


def _described(copied: Copied) -> dict[str, object]:
    sides = (("from", copied.source), ("to", copied.target))
    told = {name: {"count": side.count, "sha256_sum": f"{side.digest:064x}"} for name, side in sides}
    return {"kind": copied.kind.value, "written": copied.written, "equal": copied.is_equal, **told}
