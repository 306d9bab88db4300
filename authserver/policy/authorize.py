"""The decision: default deny, and never more than the rules say."""

from collections.abc import Iterable, Mapping

from authserver.errors import CallerNotAdmitted, Reason
from authserver.model import Authorization, Resource, Subject
from authserver.policy.index import RuleIndex
from authserver.policy.rules import Rule
from authserver.policy.scope import refuse_beyond, requested
from authserver.policy.target import target


class Policy:
    """All rules, and the resources they are about. Immutable, so that any number of threads may share it.

    ``resources`` maps identifiers to resources; ``lifetime`` is in seconds, and the most that any token lives.
    """

    def __init__(self, rules: Iterable[Rule], resources: Mapping[str, Resource], lifetime: int) -> None:
        self.rules = tuple(rules)
        self._resources = dict(resources)
        self._lifetime = lifetime
        # What only observes is kept apart, so that no decision can read it by mistake.
        self._enforced = RuleIndex(rule for rule in self.rules if rule.enforced)
        self._audited = RuleIndex(rule for rule in self.rules if not rule.enforced)

    def resource(self, resources: tuple[str, ...], audiences: tuple[str, ...]) -> Resource:
        """The one resource that a request is for; see :func:`authserver.policy.target.target`.

        :raises TargetRefused: it names none, several, an unknown one, or one that is no URI.
        """
        return target(self._resources, resources, audiences)

    def authorize(self, subject: Subject, resource: Resource, scope: str | None) -> Authorization:
        """What ``subject`` gets at ``resource`` when it asks for ``scope``, the wire's string or None.

        The scopes of all matching rules add up, and the shortest lifetime among the rules that grant something
        that was asked for wins.

        :raises CallerNotAdmitted: ``no_rule``; no rule lets this subject have anything at this resource.
        :raises ScopeRefused: the scope is malformed, missing, unknown, or more than the rules grant.
        """
        rules = self._enforced.matching(subject, resource.identifier)
        if not rules:
            raise CallerNotAdmitted(Reason.NO_RULE, resource=resource.identifier)
        wanted = requested(scope, resource)
        refuse_beyond(wanted, frozenset().union(*[rule.scope for rule in rules]))
        granting = _granting(rules, wanted)
        lifetime = min([self._lifetime, *[rule.lifetime for rule in granting if rule.lifetime is not None]])
        return Authorization(subject, resource, wanted, lifetime, tuple([rule.name for rule in granting]))

    def would_allow(self, subject: Subject, resource: Resource, scope: str | None) -> tuple[str, ...]:
        """The rules in audit mode that would have granted something of what was asked for. They grant nothing.

        It answers for every request alike, whatever :meth:`authorize` decides, so that one audit event can hold both.
        """
        rules = self._audited.matching(subject, resource.identifier)
        if not rules:
            return ()
        wanted = scope.split(" ") if scope else resource.default_scopes
        return tuple([rule.name for rule in _granting(rules, wanted)])


def _granting(rules: Iterable[Rule], wanted: Iterable[str]) -> list[Rule]:
    asked = frozenset(wanted)
    return [rule for rule in rules if not asked.isdisjoint(rule.scope)]
