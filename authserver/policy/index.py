"""Finding the rules that could match, without looking at all the others."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from authserver.model import Subject
from authserver.policy.rules import Condition, Rule

_Spelled = tuple[str, str]


class RuleIndex:
    """Rules by source and resource, and within that by the rarest value that a rule spells out.

    The cost of a look-up grows with the rules that share a caller's rarest spelling, and with those that spell
    nothing out; not with the number of rules.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        groups: defaultdict[tuple[str, str], list[Rule]] = defaultdict(list)
        for rule in rules:
            groups[rule.source, rule.resource].append(rule)
        self._groups = {key: _Group(group) for key, group in groups.items()}

    def matching(self, subject: Subject, resource: str) -> tuple[Rule, ...]:
        """The rules for this resource that match the subject, in the order of the configuration."""
        group = self._groups.get((subject.source, resource))
        return () if group is None else group.matching(subject)


class _Group:
    """The rules of one source for one resource."""

    def __init__(self, rules: list[Rule]) -> None:
        frequency = Counter(spelled for rule in rules for each in _literal(rule) for spelled in _spelled(each))
        self._spelled: defaultdict[_Spelled, list[tuple[int, Rule]]] = defaultdict(list)
        self._scanned: list[tuple[int, Rule]] = []
        for position, rule in enumerate(rules):
            spelled = [list(_spelled(each)) for each in _literal(rule)]
            rarest = min(spelled, key=lambda values: sum(frequency[value] for value in values), default=None)
            if rarest is None:
                self._scanned.append((position, rule))
            for value in rarest or ():
                self._spelled[value].append((position, rule))
        self._attributes = frozenset(attribute for attribute, _ in self._spelled)

    def matching(self, subject: Subject) -> tuple[Rule, ...]:
        # A rule with two spellings that a subject both has is found twice, and counts once.
        candidates = dict(self._candidates(subject))
        return tuple(candidates[position] for position in sorted(candidates) if candidates[position].matches(subject))

    def _candidates(self, subject: Subject) -> Iterator[tuple[int, Rule]]:
        yield from self._scanned
        for attribute in self._attributes:
            for value in subject.attributes.get(attribute, ()):
                yield from self._spelled.get((attribute, value), ())


def _literal(rule: Rule) -> Iterator[Condition]:
    return (condition for condition in rule.conditions if not condition.pattern.globs)


def _spelled(condition: Condition) -> Iterator[_Spelled]:
    return ((condition.attribute, value) for value in condition.pattern.literals)
