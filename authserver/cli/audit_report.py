"""What rules in audit mode would have done, from the audit events: which callers each would have admitted."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from authserver.cli.audit_log import Event
from authserver.cli.times import instant, is_instant


class Asker(NamedTuple):
    """Who asked for what. ``scope`` is None where the default scopes were asked for."""

    sub: str
    resource: str
    scope: str | None


@dataclass(slots=True)
class Seen:
    """How often, and when first and last, in seconds since the epoch. ``refused`` of the requests got no token."""

    first: float
    last: float
    requests: int = 0
    refused: int = 0

    def count(self, event: Event) -> None:
        """Count one more event."""
        self.first, self.last = min(self.first, event["time"]), max(self.last, event["time"])
        self.requests += 1
        self.refused += event.get("outcome") != "issued"


@dataclass(frozen=True, slots=True)
class Report:
    """The callers that one rule would have admitted."""

    rule: str
    seen: Mapping[Asker, Seen]

    @property
    def callers(self) -> int:
        """How many different callers there are."""
        return len({asker.sub for asker in self.seen})


def report(events: Iterable[Event], environment: str, rules: Iterable[str]) -> tuple[Report, ...]:
    """A report for each of ``rules``, which are in audit mode, and for every other that the events name.

    Events of another ``environment`` and events whose time is none are passed over.
    """
    found: defaultdict[str, dict[Asker, Seen]] = defaultdict(dict)
    for rule in rules:
        found[rule] = {}
    for event in events:
        if event.get("environment") == environment and is_instant(event.get("time")):
            for rule, asker in _would_have_been(event):
                found[rule].setdefault(asker, Seen(event["time"], event["time"])).count(event)
    return tuple(Report(rule, found[rule]) for rule in sorted(found))


def lines(each: Report) -> Iterator[str]:
    """A report for people."""
    if not each.seen:
        yield f"\n  audit {each.rule!r} would have admitted nobody"
        return
    requests = sum(seen.requests for seen in each.seen.values())
    refused = sum(seen.refused for seen in each.seen.values())
    yield f"\n  audit {each.rule!r} would have admitted {each.callers} callers, {requests} requests, {refused} refused"
    for asker, seen in _sorted(each):
        scope = "its default scopes" if asker.scope is None else repr(asker.scope)
        yield f"    {asker.sub!r} asked for {scope} at {asker.resource!r}"
        yield f"      {seen.requests} times, {seen.refused} refused, {instant(seen.first)} to {instant(seen.last)}"


def described(each: Report) -> dict[str, Any]:
    """A report for programs. Times are in RFC 3339."""
    return {
        "rule": each.rule,
        "callers": each.callers,
        "admissions": [
            {
                **asker._asdict(),
                "requests": seen.requests,
                "refused": seen.refused,
                "first": instant(seen.first),
                "last": instant(seen.last),
            }
            for asker, seen in _sorted(each)
        ],
    }


def _would_have_been(event: Event) -> Iterator[tuple[str, Asker]]:
    scope = event.get("unverified_scope")
    asker = Asker(str(event.get("sub")), str(event.get("resource")), scope if isinstance(scope, str) else None)
    rules = event.get("would_allow")
    yield from ((rule, asker) for rule in rules or () if isinstance(rule, str)) if isinstance(rules, list) else ()


def _sorted(each: Report) -> list[tuple[Asker, Seen]]:
    return sorted(each.seen.items(), key=lambda pair: (pair[0].sub, pair[0].resource, pair[0].scope or ""))
