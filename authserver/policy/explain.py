"""The decision, opened up: what each rule made of a request, and how little keeps the nearest one from admitting it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from authserver.errors import CallerNotAdmitted, Reason, Refused, ScopeRefused
from authserver.model import Authorization, Resource, Subject
from authserver.policy.authorize import Policy
from authserver.policy.rules import Difference, Mismatch, Pattern, Rule
from authserver.policy.scope import requested

_DECIDED_BY_RULES: Final = frozenset((Reason.NO_RULE, Reason.SCOPE_NOT_ALLOWED))


@dataclass(frozen=True, slots=True)
class Claim:
    """How one attribute of the caller stands to a rule: it meets what is ``wanted``, or there is a ``mismatch``.

    ``wanted`` is None where the rule does not ask for the attribute, and would have to spell it out.
    """

    attribute: str
    values: tuple[str, ...]
    wanted: Pattern | None
    mismatch: Mismatch | None

    def __str__(self) -> str:
        if self.mismatch is not None:
            return str(self.mismatch)
        values = ", ".join(map(repr, self.values))
        return f"{self.attribute} is {values}" + ("" if values == str(self.wanted) else f", which fits {self.wanted}")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule made of a request, claim by claim.

    ``lacking`` holds the scope tokens that were still needed and that the rule does not grant, and ``elsewhere`` what
    else it is about than this source and this resource.
    """

    rule: Rule
    claims: tuple[Claim, ...]
    lacking: tuple[str, ...]
    elsewhere: tuple[str, ...]

    @property
    def mismatches(self) -> tuple[Mismatch, ...]:
        """The claims that keep the rule from matching."""
        return tuple(claim.mismatch for claim in self.claims if claim.mismatch is not None)

    @property
    def applies(self) -> bool:
        """Whether the rule is among those that the decision was made with."""
        return self.rule.enforced and not self.elsewhere and not self.mismatches

    @property
    def differences(self) -> tuple[str, ...]:
        """Everything that would have to be otherwise for the rule to grant what was needed."""
        return (
            *self.elsewhere,
            *map(str, self.mismatches),
            *(() if self.rule.enforced else ('its mode is "audit"',)),
            *(f"it does not grant {token}" for token in self.lacking),
        )

    @property
    def distance(self) -> tuple[int, int, str]:
        """A key that sorts the nearest rule to the front: the fewest differences, then the name."""
        return len(self.differences), len(self.lacking), self.rule.name


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision and how it came about.

    ``needed`` holds the scope tokens that the rules had to grant and, if the request was refused, did not.
    ``findings`` are about the rules for this source and this resource, the nearest first; where there are none, about
    those that share the source or the resource. ``next_refusal`` is what would have refused the request after this.
    """

    subject: Subject
    resource: Resource
    scope: str | None
    decision: Authorization | Refused
    needed: tuple[str, ...]
    findings: tuple[Finding, ...]
    next_refusal: ScopeRefused | None

    @property
    def refused(self) -> Refused | None:
        """What the policy raised, or None if it granted."""
        return self.decision if isinstance(self.decision, Refused) else None

    @property
    def wants_a_rule(self) -> bool:
        """Whether another rule would have changed the decision."""
        return self.refused is not None and self.refused.reason in _DECIDED_BY_RULES

    @property
    def nearest(self) -> Finding | None:
        """The rule with the smallest difference, where a rule would have changed the decision."""
        return self.findings[0] if self.wants_a_rule and self.findings else None


def explain(policy: Policy, subject: Subject, resource: Resource, scope: str | None) -> Explanation:
    """Let ``policy`` decide as it does for the token endpoint, and say how each rule stood to the request."""
    decision = _decide(policy, subject, resource, scope)
    wanted, scope_refused = _wanted(resource, scope)
    needed = _beyond(decision) or wanted
    findings = (_find(rule, subject, resource, needed) for rule in _concerned(policy.rules, subject, resource))
    return Explanation(
        subject=subject,
        resource=resource,
        scope=scope,
        decision=decision,
        needed=needed,
        findings=tuple(sorted(findings, key=lambda finding: finding.distance)),
        next_refusal=scope_refused if isinstance(decision, CallerNotAdmitted) else None,
    )


def _decide(policy: Policy, subject: Subject, resource: Resource, scope: str | None) -> Authorization | Refused:
    try:
        return policy.authorize(subject, resource, scope)
    except Refused as refused:
        return refused


def _wanted(resource: Resource, scope: str | None) -> tuple[tuple[str, ...], ScopeRefused | None]:
    try:
        return requested(scope, resource), None
    except ScopeRefused as refused:
        return (), refused


def _beyond(decision: Authorization | Refused) -> tuple[str, ...]:
    tokens = decision.facts.get("refused") if isinstance(decision, ScopeRefused) else None
    return tokens if isinstance(tokens, tuple) else ()


def _concerned(rules: Iterable[Rule], subject: Subject, resource: Resource) -> Iterable[Rule]:
    own = (subject.source, resource.identifier)
    related = [rule for rule in rules if rule.source == own[0] or rule.resource == own[1]]
    return [rule for rule in related if (rule.source, rule.resource) == own] or related


def _find(rule: Rule, subject: Subject, resource: Resource, needed: tuple[str, ...]) -> Finding:
    return Finding(
        rule=rule,
        claims=tuple(_claims(rule, subject)),
        lacking=tuple(token for token in needed if token not in rule.scope),
        elsewhere=tuple(_elsewhere(rule, subject, resource)),
    )


def _claims(rule: Rule, subject: Subject) -> Iterator[Claim]:
    mismatches = tuple(rule.mismatches(subject))
    unmet = {each.attribute: each for each in mismatches if each.difference is not Difference.NOT_SPELLED_OUT}
    for condition in rule.conditions:
        name = condition.attribute
        yield Claim(name, subject.attributes.get(name, ()), condition.pattern, unmet.get(name))
    for mismatch in mismatches:
        if mismatch.difference is Difference.NOT_SPELLED_OUT:
            yield Claim(mismatch.attribute, mismatch.values, None, mismatch)


def _elsewhere(rule: Rule, subject: Subject, resource: Resource) -> Iterator[str]:
    if rule.source != subject.source:
        yield f"it is for the source {rule.source!r}, and the caller is from {subject.source!r}"
    if rule.resource != resource.identifier:
        yield f"it is for the resource {rule.resource!r}"
