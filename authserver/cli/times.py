"""Instants, as commands read and print them."""

from datetime import UTC, datetime
from typing import Final, TypeGuard

import click

_LAST: Final = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


def read_instant(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """A callback for options: RFC 3339, or seconds since the epoch, as seconds since the epoch.

    :raises click.BadParameter: it is neither, or is not between the years 1970 and 9999.
    """
    if value is None:
        return None
    try:
        seconds = _seconds(value)
    except ValueError:
        seconds = -1.0
    if not is_instant(seconds):
        raise click.BadParameter("write 2026-12-31T23:59:59Z, or seconds since the epoch.", context, parameter)
    return seconds


def is_instant(value: object) -> TypeGuard[float]:
    """Whether this is a number of seconds since the epoch that is between the years 1970 and 9999."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LAST


def instant(seconds: float) -> str:
    """An instant in RFC 3339, UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no offset from UTC")
    return moment.timestamp()
