"""Reading audit events back from where the server's standard output was kept."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import click

Event = Mapping[str, Any]

_KINDS: Final = frozenset(("decision", "revocation", "introspection", "enrollment", "invitation", "device"))

audit_log_option = click.option(
    "--audit-log",
    "audit_log",
    type=click.File("rb"),
    help="A file with audit events, or - for standard input. Lines that are none are passed over.",
)


def events(lines: Iterable[bytes]) -> Iterator[Event]:
    """The audit events among ``lines``, as the server wrote them. Whatever else is there is passed over."""
    for line in lines:
        event = _object(line)
        if event.get("event") in _KINDS:
            yield event


def _object(line: bytes) -> Event:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):  # a log may hold anything
        return {}
    return value if isinstance(value, dict) else {}
