"""Policy tests: what the rules are expected to decide, and what they do decide."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from authserver.errors import Reason, Refused, ScopeRefused
from authserver.model import NOTHING, Subject
from authserver.policy.authorize import Policy
from authserver.policy.rules import ScopeTokens, spelling
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


class ExpectTable(Table):
    """``[[expect]]``: a caller with these attributes asks for this; the decision must be so."""

    name: _Name
    source: _Name
    claims: dict[str, Annotated[Values, PlainValidator(read_values)]]
    resource: _Name
    scope: ScopeTokens = ()
    decision: Literal["allow", "deny"]

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
            authorization = policy.authorize(self.subject, resource, " ".join(self.scope) or None)
        except ScopeRefused as refused:
            return Verdict(self, refused.reason, f"denied, {_beyond(refused)}")
        except Refused as refused:
            return Verdict(self, refused.reason, f"denied, {self._nearest(policy)}")
        rules = ", ".join(map(repr, authorization.rules))
        return Verdict(self, None, f"allowed {' '.join(authorization.scope)}, by {rules}")

    def _nearest(self, policy: Policy) -> str:
        rules = [
            (rule, [str(mismatch) for mismatch in rule.mismatches(self.subject)])
            for rule in policy.rules
            if rule.enforced and (rule.source, rule.resource) == (self.subject.source, self.resource)
        ]
        if not rules:
            return "no rule is about this source and this resource"
        rule, mismatches = min(rules, key=lambda pair: len(pair[1]))
        return f"no rule matches; nearest is {rule.name!r}, but {'; '.join(mismatches)}"


def _beyond(refused: ScopeRefused) -> str:
    beyond, allowed = refused.facts.get("refused"), refused.facts.get("allowed")
    if isinstance(beyond, tuple) and isinstance(allowed, tuple):
        return f"{' '.join(beyond)} is beyond what the rules grant, which is {' '.join(allowed)}"
    return f"because of the scope ({refused.reason.value})"
