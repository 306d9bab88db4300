"""Rules as they are written, and as they are applied."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from authserver.glob import Glob
from authserver.model import Subject
from authserver.oauth import LONGEST_LIFETIME
from authserver.policy.glob import read_glob
from authserver.policy.scope import is_scope_token
from authserver.table import IN_SECONDS, Keywords, Mistake, Strings, Table, within

_VALUES: Final = 'Write a string, a whole number, true or false, a list of these, or { glob = "…" }.'

# What JSON Schema can say of a scope token, of a scalar, and of a value in `match`.
_SCOPE_SCHEMA: Final = {"type": "string", "pattern": r"^[\x21\x23-\x5B\x5D-\x7E]+$"}
SCALAR_SCHEMA: Final = {"type": ["string", "integer", "boolean"], "minLength": 1}
_GLOB_SCHEMA: Final = {
    "type": "object",
    "properties": {"glob": {"type": "string", "pattern": "[*]"}},
    "required": ["glob"],
    "additionalProperties": False,
}
_ONE_VALUE: Final = {"anyOf": [SCALAR_SCHEMA, _GLOB_SCHEMA]}
_VALUE_SCHEMA: Final = {"anyOf": [SCALAR_SCHEMA, _GLOB_SCHEMA, {"type": "array", "items": _ONE_VALUE, "minItems": 1}]}


@dataclass(frozen=True, slots=True)
class Pattern:
    """What one attribute must be: any of some spellings, or something that fits any of some globs."""

    literals: frozenset[str]
    globs: tuple[Glob, ...] = ()

    def matches(self, value: str) -> bool:
        """Whether one value of the attribute fits."""
        return value in self.literals or any(glob.matches(value) for glob in self.globs)

    def __str__(self) -> str:
        return " or ".join([*sorted(map(repr, self.literals)), *(f"like {glob.pattern!r}" for glob in self.globs)])


class Difference(StrEnum):
    """Why an attribute does not satisfy a rule."""

    MISSING = "missing"
    UNEQUAL = "unequal"
    NOT_SPELLED_OUT = "not_spelled_out"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One attribute that keeps a rule from matching: what it is, and what the rule wants it to be."""

    attribute: str
    difference: Difference
    values: tuple[str, ...]
    wanted: Pattern | None

    def __str__(self) -> str:
        values = ", ".join(map(repr, self.values))
        if self.difference is Difference.MISSING:
            return f"{self.attribute} is missing, and must be {self.wanted}"
        if self.difference is Difference.NOT_SPELLED_OUT:
            return f"{self.attribute} is {values}, which the rule does not spell out"
        return f"{self.attribute} is {values}, and must be {self.wanted}"


@dataclass(frozen=True, slots=True)
class Condition:
    """What a rule asks of one attribute."""

    attribute: str
    pattern: Pattern

    def is_met(self, subject: Subject) -> bool:
        """Whether one of the subject's values of the attribute fits. A missing attribute never does."""
        return any(map(self.pattern.matches, subject.attributes.get(self.attribute, ())))

    def mismatch(self, subject: Subject) -> Mismatch | None:
        """What is wrong with the subject's attribute, or None."""
        if self.is_met(subject):
            return None
        values = subject.attributes.get(self.attribute, ())
        return Mismatch(self.attribute, Difference.UNEQUAL if values else Difference.MISSING, values, self.pattern)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that is ready to be applied. ``lifetime`` is in seconds; None leaves it to the policy."""

    name: str
    source: str
    conditions: tuple[Condition, ...]
    resource: str
    scope: tuple[str, ...]
    lifetime: int | None
    enforced: bool

    def mismatches(self, subject: Subject) -> Iterator[Mismatch]:
        """Everything that keeps this rule from matching a subject of its own source; nothing if it matches."""
        for condition in self.conditions:
            mismatch = condition.mismatch(subject)
            if mismatch is not None:
                yield mismatch
        for attribute, value in subject.named_only.items():
            if not self._spells_out(attribute, value):
                yield Mismatch(attribute, Difference.NOT_SPELLED_OUT, (value,), None)

    def matches(self, subject: Subject) -> bool:
        """Whether every condition is met. The source and the resource are the index's to compare."""
        for condition in self.conditions:
            if not condition.is_met(subject):
                return False
        return not subject.named_only or all(self._spells_out(*each) for each in subject.named_only.items())

    def _spells_out(self, attribute: str, value: str) -> bool:
        return any(each.attribute == attribute and value in each.pattern.literals for each in self.conditions)


def spelling(value: Any) -> str:
    """How a scalar is spelled when it is compared with a claim: ``123`` as "123", ``true`` as "true".

    :raises Mistake: it is not a string, an integer or a boolean, or is an empty string.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int) or value == "":
        raise Mistake("cannot be compared with a claim", _VALUES)
    return str(value)


def read_pattern(value: Any) -> Pattern:
    """Read a value of a rule's ``match`` table.

    :raises Mistake: it is empty, or not something that a claim can be compared with.
    """
    members = value if isinstance(value, list) else [value]
    if not members:
        raise Mistake("is an empty list, which nothing matches", _VALUES)
    literals = frozenset(spelling(member) for member in members if not isinstance(member, dict))
    return Pattern(literals, tuple(_read_glob(member) for member in members if isinstance(member, dict)))


def _read_glob(table: Mapping[str, Any]) -> Glob:
    pattern = table.get("glob")
    if len(table) != 1 or not isinstance(pattern, str):
        raise Mistake("is a table that is not a glob", _VALUES)
    return read_glob(pattern)


def _some_condition(match: dict[str, Pattern]) -> dict[str, Pattern]:
    if not match:
        raise Mistake(
            "is empty, so the rule would admit every caller of its source",
            'Name the callers, for example match = { namespace = "media" }.',
        )
    return match


def _scope_tokens(scope: tuple[str, ...]) -> tuple[str, ...]:
    if not all(map(is_scope_token, scope)):
        raise Mistake(
            "has a scope with a character that no scope may have",
            "Use printable ASCII without space, quotation mark and backslash (RFC 6749 section 3.3).",
        )
    return scope


def _some_scope(scope: tuple[str, ...]) -> tuple[str, ...]:
    if not scope:
        raise Mistake("is an empty list", "Name at least one scope, or remove the whole table.")
    return scope


ScopeTokens = Annotated[Strings, AfterValidator(_scope_tokens), Keywords({"items": _SCOPE_SCHEMA})]
"""A list of different scope tokens, which may be empty."""

SomeScopeTokens = Annotated[ScopeTokens, AfterValidator(_some_scope), Keywords({"minItems": 1})]
"""A list of different scope tokens, at least one."""

TokenLifetime = Annotated[int, IN_SECONDS, AfterValidator(within(1, LONGEST_LIFETIME))]
"""A number of seconds that an access token may live."""

_Name = Annotated[str, Field(min_length=1)]
_Pattern = Annotated[Pattern, PlainValidator(read_pattern), WithJsonSchema(_VALUE_SCHEMA)]
_Match = Annotated[dict[str, _Pattern], AfterValidator(_some_condition), Keywords({"minProperties": 1})]


class RuleTable(Table):
    """``[[allow]]``: callers of one source that match may have some scopes of one resource."""

    name: _Name
    """What audit events call it."""
    source: _Name
    """The name of the source whose callers it is about."""
    match: _Match
    """What the caller's attributes must be, all of them."""
    resource: _Name
    """The identifier of the resource."""
    scope: SomeScopeTokens
    """The scopes that it grants, each a scope of the resource."""
    lifetime: TokenLifetime | None = None
    """How long the token lives."""
    mode: Literal["enforce", "audit"] = "enforce"
    """In `"audit"` the rule grants nothing."""

    def compile(self) -> Rule:
        """The rule, ready to be applied."""
        conditions = tuple(Condition(attribute, pattern) for attribute, pattern in self.match.items())
        enforced = self.mode == "enforce"
        return Rule(self.name, self.source, conditions, self.resource, self.scope, self.lifetime, enforced)
