"""The smallest rule that would have let a refused request through, as text to paste into the configuration.

It is always a rule of its own. A value added to an existing rule would give the caller everything else that the rule
grants, and would admit whoever combines the new value with the old ones.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from string import ascii_letters, digits
from typing import Final

from authserver.model import Subject
from authserver.policy.explain import Claim, Explanation, Finding
from authserver.table import spelled

_BARE_KEY: Final = frozenset(ascii_letters + digits + "_-")
_PLAIN: Final = _BARE_KEY | {"."}


@dataclass(frozen=True, slots=True)
class Identifying:
    """Which ``attributes`` tell a caller from others, and which sets of them are ``enough`` for one workload."""

    attributes: Collection[str] = ()
    enough: Collection[frozenset[str]] = ()


def suggest(explanation: Explanation, identifying: Identifying, taken: Collection[str]) -> str | None:
    """A rule in TOML that admits every caller with this caller's claims to the scope that was refused, and nobody else.

    It pins the attributes that the source says are ``identifying``, and whatever the nearest rule asks about. ``taken``
    are the names that rules have already. None where a rule could not help, or where too little is known of the caller
    for a rule that admits one workload.
    """
    if not _helps(explanation):
        return None
    nearest = _same_source(explanation)
    pins = _pins(explanation.subject, nearest, identifying.attributes)
    return _rule(explanation, pins, nearest, taken) if _is_one(pins, identifying) else None


def lacking(explanation: Explanation, identifying: Identifying) -> str | None:
    """Which attributes a caller would have to have for a suggestion, where a rule would help and there is none."""
    pins = _pins(explanation.subject, _same_source(explanation), identifying.attributes)
    if not _helps(explanation) or _is_one(pins, identifying):
        return None
    missing = sorted((sorted(each - pins.keys()) for each in identifying.enough), key=lambda names: (len(names), names))
    return f"no rule is suggested, for it would admit several workloads: the caller lacks {_either(missing)}"


def toml_string(text: str) -> str:
    """``text`` as a basic string of TOML, in which nothing is left that a terminal could act on."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _helps(explanation: Explanation) -> bool:
    return explanation.wants_a_rule and bool(explanation.needed)


def _is_one(pins: Mapping[str, str], identifying: Identifying) -> bool:
    return any(each <= pins.keys() for each in identifying.enough)


def _either(sets: Iterable[Iterable[str]]) -> str:
    return ", or ".join(" and ".join(each) for each in sets)


def _same_source(explanation: Explanation) -> Finding | None:
    # Claims live with their issuer: what a rule of another source asks about says nothing of this caller.
    nearest = explanation.nearest
    return nearest if nearest is not None and nearest.rule.source == explanation.subject.source else None


def _pins(subject: Subject, nearest: Finding | None, identifying: Collection[str]) -> dict[str, str]:
    asked = {claim.attribute: claim for claim in nearest.claims} if nearest is not None else {}
    candidates = {
        name: _pin(values, asked.get(name), name in identifying)
        for name, values in subject.attributes.items()
        if name in identifying or name in asked
    }
    return {name: value for name, value in {**candidates, **subject.named_only}.items() if value}


def _pin(values: tuple[str, ...], claim: Claim | None, identifies: bool) -> str | None:
    """The one value to pin of an attribute. A list that was wrong as a whole tells nothing, unless it identifies."""
    if claim is not None and claim.wanted is not None and claim.mismatch is None:
        return next(value for value in values if claim.wanted.matches(value))
    return next(filter(None, values), None) if identifies or len(values) == 1 else None


def _rule(explanation: Explanation, pins: Mapping[str, str], nearest: Finding | None, taken: Collection[str]) -> str:
    lifetime = nearest.rule.lifetime if nearest is not None else None
    match = ", ".join(f"{_key(name)} = {toml_string(value)}" for name, value in pins.items())
    lines = [
        "[[allow]]",
        f"name = {toml_string(_name(explanation, taken))}",
        f"source = {toml_string(explanation.subject.source)}",
        f"match = {{ {match} }}",
        f"resource = {toml_string(explanation.resource.identifier)}",
        f"scope = [{', '.join(map(toml_string, explanation.needed))}]",
        *([f'lifetime = "{spelled(lifetime)}"'] if lifetime is not None else []),
    ]
    return "\n".join([*_cautions(explanation.subject), *lines]) + "\n"


def _cautions(subject: Subject) -> Iterable[str]:
    for name, value in subject.named_only.items():
        yield f"# {name} = {toml_string(value)} is dangerous, so a rule has to spell it out. Be sure that you mean it."


def _name(explanation: Explanation, taken: Collection[str]) -> str:
    wanted = _plain(f"{explanation.subject.source}-to-{explanation.resource.name}")
    return next(name for name in _numbered(wanted) if name not in taken)


def _plain(name: str) -> str:
    """``name`` with a hyphen for whatever is no ASCII letter, digit, hyphen, underscore or dot."""
    words = "".join(character if character in _PLAIN else " " for character in name).split()
    return "-".join(words).strip("-")


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in count(2))


def _key(name: str) -> str:
    return name if name and _BARE_KEY.issuperset(name) else toml_string(name)


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) <= 0xFFFF else f"\\U{ord(character):08x}"
