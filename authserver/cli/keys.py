"""``authserver keys``: the ring with its timeline, planned rotation, emergency revocation."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from authserver.cli.configuration import config_option, fail, json_option, load_settings, opened_store
from authserver.cli.times import instant
from authserver.keys.ring import Entry, KeyUnknown, State
from authserver.keys.rotate import KeyRing
from authserver.keys.schedule import KeyTooYoung
from authserver.server import open_ring

_UNITS: Final = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


@click.group()
def keys() -> None:
    """Look at the signing keys, and change them."""


@keys.command("list")
@config_option
@json_option
def list_(config: Path, as_json: bool) -> None:
    """List every key with its state and its planned times."""
    with opened_ring(config) as ring:
        show(ring, time.time(), as_json)


@keys.command()
@config_option
@json_option
def rotate(config: Path, as_json: bool) -> None:
    """Let the next keys sign as early as is safe, without any verifier noticing."""
    with opened_ring(config) as ring:
        ring.rotate_now()
        show(ring, time.time(), as_json)


@keys.command()
@click.argument("kid")
@click.option("--now", is_flag=True, help="Revoke even if verifiers may not know the next key yet.")
@config_option
@json_option
def revoke(kid: str, now: bool, config: Path, as_json: bool) -> None:
    """Withdraw the key KID at once and for ever: an emergency.

    The next key of its algorithm signs from now on. Verifiers drop KID within keys.jwks_max_age.
    """
    with opened_ring(config) as ring:
        try:
            ring.revoke(kid, force=now)
        except KeyUnknown as error:
            fail(str(error))
        except KeyTooYoung as error:
            fail(f"{error}. Wait so long, or use --now and accept that some verifiers refuse tokens until then.")
        show(ring, time.time(), as_json)


@keys.command()
@config_option
@json_option
def rewrap(config: Path, as_json: bool) -> None:
    """Wrap every private key in the store with the current master key.

    Have every server read the new configuration first. When this says 0, keys.previous_master_keys can be removed.
    """
    with opened_ring(config) as ring:
        count = ring.rewrap()
        if as_json:
            click.echo(json.dumps({"rewrapped": count}))
        else:
            click.echo(f"{count} private keys were wrapped anew with the current master key.")
            click.echo(
                "A server that has not read the new configuration still wraps with the old one: reload them all,"
            )
            click.echo("and run this again. When it says 0, no previous master key is needed any more.")


@contextmanager
def opened_ring(config: Path) -> Iterator[KeyRing]:
    """The key ring of a configuration, read from its store; what goes wrong ends the command."""
    settings = load_settings(config)
    with opened_store(settings) as store:
        ring = open_ring(settings, store)
        ring.refresh()
        yield ring


def show(ring: KeyRing, now: float, as_json: bool) -> None:
    """Print the ring at ``now``."""
    entries = sorted(ring.ring.entries, key=lambda entry: (entry.algorithm, entry.activates_at))
    if as_json:
        document = {"wrapped_by_previous_master_key": ring.wrapped_by_previous}
        click.echo(json.dumps({**document, "keys": [described(entry, now, ring) for entry in entries]}, indent=2))
        return
    for entry in entries:
        click.echo(f"{entry.algorithm:<6} {state(entry, now, ring):<8} {entry.kid}")
        for what, at in timeline(entry):
            click.echo(f"       {what:<12} {instant(at)}  {distance(at - now)}")
    if ring.wrapped_by_previous:
        click.echo(
            f"{ring.wrapped_by_previous} private keys are wrapped by a previous master key: authserver keys rewrap"
        )


def state(entry: Entry, now: float, ring: KeyRing) -> str:
    """The entry's state, by what the ring would do with it."""
    active = ring.ring.active(entry.algorithm, now)
    return State.ACTIVE.value if active is not None and active.kid == entry.kid else entry.state(now).value


def described(entry: Entry, now: float, ring: KeyRing) -> dict[str, Any]:
    """An entry for programs: times are in RFC 3339."""
    times = ("published_at", "activates_at", "retires_at", "removed_at")
    shown = {name: instant(getattr(entry, name)) for name in times}
    return {"kid": entry.kid, "alg": entry.algorithm, "state": state(entry, now, ring), **shown}


def timeline(entry: Entry) -> tuple[tuple[str, float], ...]:
    """What is planned for an entry, in order."""
    return (
        ("published", entry.published_at),
        ("signs from", entry.activates_at),
        ("signs until", entry.retires_at),
        ("shown until", entry.removed_at),
    )


def distance(seconds: float) -> str:
    """How far away an instant is, in the largest unit that fits."""
    size, unit = next((size, unit) for size, unit in _UNITS if abs(seconds) >= size or size == 1)
    count = round(abs(seconds) / size)
    amount = f"{count} {unit}" if count != 1 else f"1 {unit.removesuffix('s')}"
    return f"{amount} ago" if seconds < 0 else f"in {amount}"
