"""An answer for programs."""

from collections.abc import Mapping
from typing import Any

from authserver.cli.explain.answer import Answer
from authserver.cli.explain.caller import Caller
from authserver.cli.reasons import meanings
from authserver.cli.times import instant
from authserver.errors import Refused, Unavailable
from authserver.model import Authorization
from authserver.policy.explain import Claim, Explanation, Finding


def document(answer: Answer) -> Mapping[str, Any]:
    """The answer as one JSON object. A member that does not apply is null."""
    explanation = answer.explanation
    return {
        "at": instant(answer.at),
        **_decision(answer.decision),
        "notes": answer.notes,
        "caller": _caller(answer.caller, explanation),
        "rules": None if explanation is None else _rules(explanation),
        "suggestion": answer.suggestion,
    }


def described(reason: str | None) -> Mapping[str, str | None]:
    """A reason with its meaning and its remedy."""
    meaning = meanings().get(reason or "")
    return {
        "reason": reason,
        "meaning": meaning.meaning if meaning else None,
        "remedy": meaning.remedy if meaning else None,
    }


def _decision(decision: Authorization | Refused | Unavailable) -> Mapping[str, Any]:
    if isinstance(decision, Authorization):
        granted = {"scope": decision.scope, "lifetime": decision.lifetime, "rules": decision.rules}
        return {"decision": "allow", **described(None), "facts": {}, "granted": granted}
    word = "unavailable" if isinstance(decision, Unavailable) else "deny"
    return {"decision": word, **described(decision.reason.value), "facts": decision.facts, "granted": None}


def _caller(caller: Caller | None, explanation: Explanation | None) -> Mapping[str, Any] | None:
    if caller is None or explanation is None:
        return None
    subject = explanation.subject
    return {
        "basis": caller.basis,
        "source": subject.source,
        "sub": subject.sub if subject.subject else None,
        "attributes": subject.attributes,
    }


def _rules(explanation: Explanation) -> Mapping[str, Any]:
    refused, nearest = explanation.refused, explanation.nearest
    return {
        "decision": "allow" if refused is None else "deny",
        "reason": refused.reason if refused else None,
        "resource": explanation.resource.identifier,
        "scope": explanation.scope,
        "needed": explanation.needed,
        "nearest": nearest.rule.name if nearest else None,
        "next_reason": explanation.next_refusal.reason if explanation.next_refusal else None,
        "findings": list(map(_finding, explanation.findings)),
    }


def _finding(finding: Finding) -> Mapping[str, Any]:
    rule = finding.rule
    return {
        "name": rule.name,
        "source": rule.source,
        "resource": rule.resource,
        "mode": "enforce" if rule.enforced else "audit",
        "scope": rule.scope,
        "applies": finding.applies,
        "claims": list(map(_claim, finding.claims)),
        "differences": finding.differences,
    }


def _claim(claim: Claim) -> Mapping[str, Any]:
    return {
        "attribute": claim.attribute,
        "values": claim.values,
        "wanted": str(claim.wanted) if claim.wanted else None,
        "difference": claim.mismatch.difference if claim.mismatch else None,
    }
