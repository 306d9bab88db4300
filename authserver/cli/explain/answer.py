"""What the server would answer, and everything that can be said about why."""

from collections.abc import Callable
from dataclasses import dataclass

from authserver.cli.explain.caller import Caller
from authserver.errors import Refused, Unavailable
from authserver.model import Authorization, Resource, Subject
from authserver.policy.authorize import Policy
from authserver.policy.explain import Explanation, explain
from authserver.policy.suggest import lacking, suggest


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision at the time ``at``, in seconds since the epoch.

    ``explanation`` is what the rules say of ``caller``, which is None where the target was refused before. ``lacking``
    is why nothing is suggested though a rule would help, and ``proof`` what a caller must show too that the rules
    admit.
    """

    at: float
    decision: Authorization | Refused | Unavailable
    caller: Caller | None = None
    explanation: Explanation | None = None
    suggestion: str | None = None
    lacking: str | None = None
    proof: str | None = None

    @property
    def allowed(self) -> bool:
        """Whether the caller would get a token."""
        return isinstance(self.decision, Authorization)

    @property
    def notes(self) -> tuple[str, ...]:
        """What else to know."""
        notes = self.caller.notes if self.caller is not None else ()
        return (*notes, *(note for note in (self.lacking, self.proof) if note is not None))


def answer(policy: Policy, target: str, scope: str | None, find: Callable[[], Caller], at: float) -> Answer:
    """Decide as the token endpoint does, in its order: the resource, then the caller, then the rules.

    ``find`` finds the caller. One that is not believed is refused, and still shown to the rules; they suggest nothing
    for it, because a rule must not be made of what nobody verified. A DPoP proof, where one is wanted, is taken for
    granted.
    """
    try:
        resource = policy.resource((), (target,))
    except Refused as refused:
        return Answer(at, refused)
    caller = find()
    if not isinstance(caller.identity, Subject):
        claimed = caller.claimed
        return Answer(at, caller.identity, caller, explain(policy, claimed, resource, scope) if claimed else None)
    explanation = explain(policy, caller.identity, resource, scope)
    if isinstance(explanation.decision, Authorization):
        decision = explanation.decision if caller.spent is None else caller.spent
        return Answer(at, decision, caller, explanation, proof=_proof(caller, resource))
    names = {rule.name for rule in policy.rules}
    return Answer(
        at,
        explanation.decision,
        caller,
        explanation,
        suggestion=suggest(explanation, caller.identifying, names),
        lacking=lacking(explanation, caller.identifying),
    )


def _proof(caller: Caller, resource: Resource) -> str | None:
    if caller.is_device:
        return "a device needs a DPoP proof by its own key too, which is not looked at here"
    if resource.sender_constrained:
        return "this resource needs a DPoP proof by a key of the caller too, which is not looked at here"
    return None
