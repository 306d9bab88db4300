"""``authserver devices``: invite them, list them, revoke them."""

import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
import segno

from authserver.cli.configuration import config_option, fail, json_option, load_settings, opened_store
from authserver.cli.times import instant
from authserver.enrollment.invitation import MOST_ATTRIBUTES, enrollment_url
from authserver.enrollment.rules import LONGEST_TEXT
from authserver.errors import RequestMalformed
from authserver.model import Device, Invitation
from authserver.server.invitations import build_invitations
from authserver.settings import Settings
from authserver.store.ports import DeviceStore
from authserver.table import Mistake, seconds

_PAGE: Final = 1000
_WHITE, _BLACK = 231, 16  # of the 256 colours, whose shades no terminal's theme changes

_WRONG: Final[Mapping[str, tuple[str, str]]] = {
    "source": ("--source", "the configuration has no device source of this name."),
    "owner": (
        "--owner",
        f"write 1 to {LONGEST_TEXT} printable characters, which do not begin with the name of a source in enroll_with"
        " and a colon.",
    ),
    "lifetime": ("--lifetime", "it is more than the source's enrollment_code_lifetime, or nothing."),
    "platform": ("--platform", f"write 1 to {LONGEST_TEXT} printable characters."),
    "attributes": (
        "--attribute",
        f"write at most {MOST_ATTRIBUTES} of them, each as name=value: the name in lower-case letters, digits and"
        f" underscores, and none that every device has; the value in 1 to {LONGEST_TEXT} printable characters.",
    ),
}
"""The option for each part of an invitation, and what to say of one that is wrong."""


@click.group()
def devices() -> None:
    """Invite devices, look at them, and revoke them."""


def _read_lifetime(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    try:
        return None if value is None else seconds(value)
    except Mistake as mistake:
        raise click.BadParameter(mistake.remedy, context, parameter) from mistake


def _read_attributes(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=")[::2] for value in values]
    if len(dict(pairs)) != len(pairs):
        raise click.BadParameter("an attribute is given twice.", context, parameter)
    return dict(pairs)


@devices.command()
@click.option("--source", required=True, metavar="NAME", help="The device source that the device will belong to.")
@click.option("--owner", metavar="OWNER", help="Whom the device is for, as rules name the owner.")
@click.option("--no-owner", is_flag=True, help="The device is for nobody: a host, a kiosk.")
@click.option("--platform", metavar="PLATFORM", help="The only platform that will do.")
@click.option(
    "--attribute",
    "attributes",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_read_attributes,
    help="An attribute that the device will have. May be repeated.",
)
@click.option(
    "--lifetime", metavar="DURATION", callback=_read_lifetime, help="How long the code can be used, such as 5m."
)
@config_option
@json_option
def invite(
    source: str,
    owner: str | None,
    no_owner: bool,
    platform: str | None,
    attributes: dict[str, str],
    lifetime: int | None,
    config: Path,
    as_json: bool,
) -> None:
    """Invite one device: print its enrolment code, also to scan.

    The code is printed once and kept nowhere.
    """
    if (owner is None) != no_owner:
        raise click.UsageError("Say whom the device is for: --owner OWNER, or --no-owner.")
    settings = load_settings(config)
    with opened_store(settings) as store:
        try:
            code, invitation = build_invitations(settings, store).invite(
                source, owner=owner, lifetime=lifetime, platform=platform, attributes=attributes
            )
        except RequestMalformed as malformed:
            option, advice = _WRONG[str(malformed.facts["parameter"])]
            raise click.BadParameter(advice, param_hint=f"'{option}'") from malformed
    _show_invitation(settings, code, invitation, as_json)


@devices.command("list")
@click.option("--source", metavar="NAME", help="Only the devices of this device source.")
@click.option("--owner", metavar="OWNER", help="Only the devices of this owner.")
@click.option("--all", "revoked_too", is_flag=True, help="Revoked devices too.")
@config_option
@json_option
def list_(source: str | None, owner: str | None, revoked_too: bool, config: Path, as_json: bool) -> None:
    """List devices, in the order of their client_id."""
    settings = load_settings(config)
    if source is not None and source not in settings.device_sources:
        raise click.BadParameter(_WRONG["source"][1], param_hint="'--source'")
    sources = list(settings.device_sources) if source is None else [source]
    with opened_store(settings) as store:
        found = (each for each in _listed(store, sources, owner) if revoked_too or each.revoked_at is None)
        if as_json:
            click.echo(json.dumps({"devices": [described(each) for each in found]}, indent=2))
            return
        for each in found:
            click.echo(f"{each.client_id}  {_name(each)}  {_place(each.source, each.owner)}{_revoked(each)}")


@devices.command()
@click.argument("id_", metavar="ID")
@config_option
@json_option
def show(id_: str, config: Path, as_json: bool) -> None:
    """Show everything about the device whose client_id is ID."""
    _one(config, lambda store: store.read_device(id_), id_, as_json)


@devices.command()
@click.argument("id_", metavar="ID")
@config_option
@json_option
def revoke(id_: str, config: Path, as_json: bool) -> None:
    """Revoke the device whose client_id is ID, at once and for ever.

    It gets no more tokens. Who verifies without asking the server accepts what it holds until that expires.
    """
    _one(config, lambda store: store.revoke_device(id_, time.time()), id_, as_json)


def described(device: Device) -> dict[str, Any]:
    """A device for programs: times are in RFC 3339, and what is not known is null."""
    return {
        "client_id": device.client_id,
        "source": device.source,
        "owner": device.owner,
        "sub": device.sub,
        "client_name": device.name,
        "device": {name: getattr(device, name) for name in ("platform", "model", "app_id", "app_version")},
        "attestation": device.attestation,
        "attributes": dict(device.attributes),
        "created_at": instant(device.created_at),
        "revoked_at": None if device.revoked_at is None else instant(device.revoked_at),
        "thumbprint": device.thumbprint,
    }


def qr_code(content: str) -> str:
    """A QR code for a terminal: light on dark, whatever the colours of the terminal are."""
    drawn = io.StringIO()
    segno.make_qr(content).terminal(drawn, compact=True)
    return "\n".join(click.style(line, fg=_WHITE, bg=_BLACK) for line in drawn.getvalue().splitlines())


def _show_invitation(settings: Settings, code: str, invitation: Invitation, as_json: bool) -> None:
    url = enrollment_url(settings.server.issuer, code)
    if as_json:
        members = {"source": invitation.source, "owner": invitation.owner, "expires_at": instant(invitation.expires_at)}
        click.echo(json.dumps({"code": code, "url": url, **members}, indent=2))
        return
    click.echo(code)
    place = _place(invitation.source, invitation.owner)
    click.echo(f"For one device of {place}, until {instant(invitation.expires_at)}.")
    click.echo(f"Scan it in the app, or run on the device: authserver enroll --issuer {settings.server.issuer}")
    click.echo(qr_code(url))


def _listed(store: DeviceStore, sources: list[str], owner: str | None) -> Iterator[Device]:
    """Every device, page by page."""
    page = store.list_devices(sources, owner=owner, limit=_PAGE)
    while page:
        yield from page
        page = store.list_devices(sources, owner=owner, after=page[-1].client_id, limit=_PAGE)


def _one(config: Path, find: Callable[[DeviceStore], Device | None], client_id: str, as_json: bool) -> None:
    """Print one device as it is after ``find``, or say that there is none."""
    with opened_store(load_settings(config)) as store:
        device = find(store)
    if device is None:
        fail(f"There is no device {client_id}.")
    if as_json:
        click.echo(json.dumps(described(device), indent=2))
        return
    click.echo(f"{device.client_id}  {_name(device)}{_revoked(device)}")
    for what, value in _facts(device):
        click.echo(f"  {what:<12} {value}")


def _facts(device: Device) -> Iterator[tuple[str, str]]:
    """What is known of a device, beside its name."""
    members = described(device)
    told = {**members, **members["device"], **{f"attribute {name}": v for name, v in device.attributes.items()}}
    for name in ("client_id", "client_name", "device", "attributes"):
        del told[name]
    return ((name, value) for name, value in told.items() if value is not None)


def _name(device: Device) -> str:
    return device.name or "without a name"


def _place(source: str, owner: str | None) -> str:
    return f"{source}, without an owner" if owner is None else f"{source}, owner {owner}"


def _revoked(device: Device) -> str:
    return "" if device.revoked_at is None else f"  revoked {instant(device.revoked_at)}"
