"""A decision that was made, from its audit event: what the caller was not told."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from authserver.cli.audit_log import Event, events
from authserver.cli.explain.document import described
from authserver.cli.explain.human import reason_lines
from authserver.policy.rules import Rule

_TOLD: Final = frozenset(("event", "outcome", "reason"))


def find(log: Iterable[bytes], request_id: str) -> tuple[Event, ...]:
    """The events of a request, of which there is one unless logs were joined."""
    return tuple(event for event in events(log) if event.get("request_id") == request_id)


def lines(event: Event, rules: Iterable[Rule]) -> Iterator[str]:
    """An event for people, with what its reason means and which rules are about it now."""
    reason = event.get("reason")
    yield f"{_plain(event.get('outcome'))}: {_plain(reason)}" if reason else _plain(event.get("outcome"))
    yield from reason_lines(str(reason))
    yield from (f"  {name}: {json.dumps(value)}" for name, value in event.items() if name not in _TOLD)
    about = _about(event, rules)
    if about is not None:
        yield f"  rules about this source and resource now: {', '.join(map(repr, about)) or 'none'}"


def document(event: Event, rules: Iterable[Rule]) -> Mapping[str, Any]:
    """An event for programs, with what its reason means and which rules are about it now."""
    reason = event.get("reason")
    return {**event, **described(reason if isinstance(reason, str) else None), "rules_now": _about(event, rules)}


def _about(event: Event, rules: Iterable[Rule]) -> list[str] | None:
    asked = (event.get("source"), event.get("resource"))
    return None if None in asked else [rule.name for rule in rules if (rule.source, rule.resource) == asked]


def _plain(value: object) -> str:
    """A word of ours as it is, and anything else, which a log can hold too, escaped."""
    return value if isinstance(value, str) and value.isidentifier() and value.isascii() else json.dumps(value)
