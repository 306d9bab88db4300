"""An answer for people. Whatever a caller wrote is printed with its odd characters escaped."""

import json
from collections.abc import Iterator
from typing import Final

from authserver.cli.explain.answer import Answer
from authserver.cli.explain.caller import Basis
from authserver.cli.reasons import meanings
from authserver.errors import Refused, Unavailable
from authserver.model import Authorization
from authserver.policy.explain import Explanation, Finding
from authserver.table import spelled

_NAMED: Final = 5
"""How many other rules are named."""

_BASIS: Final = {
    Basis.VERIFIED: "verified",
    Basis.UNVERIFIED: "NOT verified, so this is only what the rules would say if it were",
    Basis.SUPPOSED: "as described; no token was looked at",
}


def lines(answer: Answer) -> Iterator[str]:
    """The decision first, then the caller, then the rules, then what would change it."""
    yield from _decided(answer.decision)
    yield from (f"  note: {note}" for note in answer.notes)
    explanation = answer.explanation
    if answer.caller is None or explanation is None:
        return
    yield from ("", *_asked(explanation, answer.caller.basis))
    if isinstance(explanation.decision, Refused) and explanation.decision is not answer.decision:
        yield f"the rules would refuse it too: {explanation.decision.reason}"
    yield from _ruled(explanation)
    if answer.suggestion is not None:
        yield from (
            "",
            "this rule would admit every caller with these claims, and nobody else:",
            "",
            answer.suggestion.rstrip(),
        )


def reason_lines(reason: str) -> Iterator[str]:
    """What a reason means, and what to do about it."""
    meaning = meanings().get(reason)
    if meaning is not None:
        yield f"  meaning: {meaning.meaning}"
        yield f"  what to do: {meaning.remedy}"


def _decided(decision: Authorization | Refused | Unavailable) -> Iterator[str]:
    if isinstance(decision, Authorization):
        yield f"allowed: {' '.join(decision.scope)}, for {spelled(decision.lifetime)}"
        yield f"  decided by: {', '.join(map(repr, decision.rules))}"
        return
    yield f"{'unavailable' if isinstance(decision, Unavailable) else 'denied'}: {decision.reason}"
    yield from reason_lines(decision.reason)
    yield from (f"  {name}: {json.dumps(value)}" for name, value in decision.facts.items())


def _asked(explanation: Explanation, basis: Basis) -> Iterator[str]:
    subject = explanation.subject
    caller = repr(subject.sub) if subject.subject else f"of the source {subject.source!r}"
    yield f"caller {caller} ({_BASIS[basis]})"
    for name, values in subject.attributes.items():
        yield f"  {name}: {', '.join(map(repr, values))}"
    scope = "its default scopes" if explanation.scope is None else repr(explanation.scope)
    yield f"asks for {scope} at {explanation.resource.identifier!r}"


def _ruled(explanation: Explanation) -> Iterator[str]:
    applying = [finding for finding in explanation.findings if finding.applies]
    nearest = explanation.nearest
    for finding in applying:
        yield from ("", f"rule {finding.rule.name!r} matches", *_claims(finding))
    if nearest is not None and nearest not in applying:
        yield from ("", f"nearest rule {nearest.rule.name!r} does not", *_claims(nearest))
    if not explanation.findings:
        yield from ("", "no rule is about this source or this resource")
    others = [each.rule.name for each in explanation.findings if each not in applying and each is not nearest]
    if others:
        more = ", …" if len(others) > _NAMED else ""
        yield f"\nother rules, which do not match ({len(others)}): {', '.join(map(repr, others[:_NAMED]))}{more}"
    if explanation.next_refusal is not None:
        yield f"\nits scope would be refused next: {explanation.next_refusal.reason}"


def _claims(finding: Finding) -> Iterator[str]:
    for claim in finding.claims:
        yield f"  {'yes' if claim.mismatch is None else 'no '}  {claim}"
    told = set(map(str, finding.mismatches))
    yield from (f"  no   {difference}" for difference in finding.differences if difference not in told)
    yield f"       grants {' '.join(finding.rule.scope)}"
