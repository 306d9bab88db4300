"""Policy tests: what the rules are expected to decide, and what they do decide."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field, PlainValidator, WithJsonSchema

from authserver.errors import Reason, Refused, ScopeRefused
from authserver.model import NOTHING, Subject
from authserver.policy.authorize import Policy
from authserver.policy.explain import Finding, explain
from authserver.policy.rules import SCALAR_SCHEMA, ScopeTokens, spelling
from authserver.table import Mistake, Table

Values = tuple[str, ...]


def read_values(value: Any) -> Values:
    """Read the values of an attribute in a policy test.

    :raises Mistake: one of them is not something that a claim can be.
    """
    if isinstance(value, dict):
        raise Mistake("is a table, and a claim is not", "Write the value that a caller would have, or a list of them.")
    return tuple(map(spelling, value if isinstance(value, list) else [value]))


_Name = Annotated[str, Field(min_length=1)]
_VALUES_SCHEMA: Final = {"anyOf": [SCALAR_SCHEMA, {"type": "array", "items": SCALAR_SCHEMA}]}
_Values = Annotated[Values, PlainValidator(read_values), WithJsonSchema(_VALUES_SCHEMA)]


class ExpectTable(Table):
    """``[[expect]]``: a caller with these attributes asks for this; the decision must be so."""

    name: _Name
    """What `check` calls it."""
    source: _Name
    """The name of the source that the caller comes from."""
    claims: dict[str, _Values]
    """The attributes that the caller has, each a string, a whole number, a boolean, or a list of these."""
    resource: _Name
    """The identifier of the resource that it asks for."""
    scope: ScopeTokens = ()
    """The scopes that it asks for, each a scope of the resource."""
    decision: Literal["allow", "deny"]
    """What must be decided."""

    def compile(self, named_only: Mapping[str, str] = NOTHING) -> "Expectation":
        """The test, ready to be run. ``named_only`` is what the source says of these attributes."""
        subject = Subject(self.source, self.name, self.claims, credential_id="", named_only=named_only)
        return Expectation(self.name, subject, self.resource, self.scope, self.decision == "allow")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a policy test went. ``reason`` is why the request was denied, None when it was allowed."""

    expectation: "Expectation"
    reason: Reason | None
    explanation: str

    @property
    def passed(self) -> bool:
        """Whether the decision was the expected one."""
        return self.expectation.allowed == (self.reason is None)


@dataclass(frozen=True, slots=True)
class Expectation:
    """A policy test that is ready to be run."""

    name: str
    subject: Subject
    resource: str
    scope: tuple[str, ...]
    allowed: bool

    def run(self, policy: Policy) -> Verdict:
        """Ask the policy as the token endpoint would, and compare."""
        try:
            resource = policy.resource((), (self.resource,))
        except Refused as refused:
            return Verdict(self, refused.reason, f"denied, because of the resource ({refused.reason.value})")
        explanation = explain(policy, self.subject, resource, " ".join(self.scope) or None)
        decision = explanation.decision
        if isinstance(decision, ScopeRefused):
            return Verdict(self, decision.reason, f"denied, {_beyond(decision)}")
        if isinstance(decision, Refused):
            return Verdict(self, decision.reason, f"denied, {_far_from(explanation.nearest)}")
        rules = ", ".join(map(repr, decision.rules))
        return Verdict(self, None, f"allowed {' '.join(decision.scope)}, by {rules}")


def _far_from(nearest: Finding | None) -> str:
    if nearest is None or nearest.elsewhere:
        return "no rule is about this source and this resource"
    return f"no rule matches; nearest is {nearest.rule.name!r}, but {'; '.join(nearest.differences)}"


def _beyond(refused: ScopeRefused) -> str:
    beyond, allowed = refused.facts.get("refused"), refused.facts.get("allowed")
    if isinstance(beyond, tuple) and isinstance(allowed, tuple):
        return f"{' '.join(beyond)} is beyond what the rules grant, which is {' '.join(allowed)}"
    return f"because of the scope ({refused.reason.value})"
