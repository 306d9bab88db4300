"""Finding the rules that could match, without looking at all the others."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, product
from typing import Final, NamedTuple

from authserver.model import Subject
from authserver.policy.rules import Condition, Rule

MOST_PATHS: Final = 16
"""By how many paths a rule is found that lists several values of several attributes. Each takes some 400 bytes."""


class RuleIndex:
    """Rules by source and resource, and within that by all that they spell out.

    A literal is looked up whole, and a glob by what stands before its first ``*`` and after its last. So the cost of a
    look-up grows with the number of ways in which rules spell things out (which attributes, and how long the ends of
    globs are), and with the rules that have nothing to be looked up by, such as ``*-web-*`` alone; not with the number
    of rules.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._roots: dict[tuple[str, str], _Node] = {}
        for position, rule in enumerate(rules):
            root = self._roots.setdefault((rule.source, rule.resource), _Node())
            for path in _paths(rule):
                root.at(path).rules.append((position, rule))

    def matching(self, subject: Subject, resource: str) -> tuple[Rule, ...]:
        """The rules for this resource that match the subject, in the order of the configuration."""
        root = self._roots.get((subject.source, resource))
        if root is None:
            return ()
        candidates = _candidates(root, subject.attributes)
        if len(candidates) > 1:
            # A rule with two spellings that a subject both has is found twice, and counts once.
            candidates = sorted(dict(candidates).items())
        return tuple([rule for _, rule in candidates if rule.matches(subject)])


class _Look(NamedTuple):
    """What of an attribute is looked at: the characters of each value from ``start`` to ``stop``."""

    attribute: str
    start: int | None = None
    stop: int | None = None


_Path = Sequence[tuple[_Look, str]]
"""What must be seen by several looks, one after the other."""


class _Node:
    """What is known after some looks: the rules that need no other, with their positions, and where others lead."""

    __slots__ = ("branches", "rules")

    def __init__(self) -> None:
        self.rules: list[tuple[int, Rule]] = []
        self.branches: dict[_Look, dict[str, _Node]] = {}

    def at(self, path: _Path) -> "_Node":
        """The node that a path leads to, made if there is none."""
        node = self
        for look, text in path:
            node = node.branches.setdefault(look, {}).setdefault(text, _Node())
        return node


def _candidates(root: _Node, attributes: Mapping[str, tuple[str, ...]]) -> list[tuple[int, Rule]]:
    found: list[tuple[int, Rule]] = []
    nodes = [root]
    for node in nodes:  # which grows on the way
        found += node.rules
        for (attribute, start, stop), children in node.branches.items():
            # Each text once, however many values have it: or a caller with many would multiply them at every look.
            for text in {value[start:stop] for value in attributes.get(attribute, ())}:
                child = children.get(text)
                if child is not None:
                    nodes.append(child)
    return found


def _paths(rule: Rule) -> Iterator[_Path]:
    """The paths by which a rule is found. Each has a look at every attribute, unless there would be too many paths.

    The longest list of values is never left out: it says most of whom the rule is about.
    """
    chosen: list[Sequence[_Path]] = []
    paths = 1
    for ways in sorted(map(_ways, rule.conditions), key=len, reverse=True):
        if ways and (not chosen or len(ways) == 1 or paths * len(ways) <= MOST_PATHS):
            chosen.append(ways)
            paths *= len(ways)
    return (sorted(chain.from_iterable(path), key=_attribute) for path in product(*chosen))


def _ways(condition: Condition) -> Sequence[_Path]:
    """In how many ways a condition can be met, as paths; none if it can be met in a way that cannot be looked up."""
    ways: list[_Path] = [[(_Look(condition.attribute), literal)] for literal in condition.pattern.literals]
    ways += (list(_ends(condition.attribute, glob.pattern)) for glob in condition.pattern.globs)
    return ways if all(ways) else ()


def _ends(attribute: str, glob: str) -> Iterator[tuple[_Look, str]]:
    beginning, end = glob.partition("*")[0], glob.rpartition("*")[2]
    if beginning:
        yield _Look(attribute, stop=len(beginning)), beginning
    if end:
        yield _Look(attribute, start=-len(end)), end


def _attribute(step: tuple[_Look, str]) -> str:
    return step[0].attribute
