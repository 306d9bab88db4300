"""Verifiers without number: what they were shown, which tokens they hold, and what the contract promises them.

One has asked each node at each observed instant, had its answer after the longest possible way, and keeps it to the
last second that it was told, never asking again because of an unknown ``kid``. So what is checked is checked for the
unluckiest of them.
"""

import json
import math
from functools import lru_cache
from typing import NamedTuple

from authserver.errors import Unavailable
from authserver.keys.ring import Ring
from authserver.keys.rotate import KeySetDocument
from authserver.keys.schedule import Plan
from tests.keys.fleet import INSTANT, Fleet, Node


class Answer(NamedTuple):
    """The keys that a verifier was shown, and whether by a node that had not re-read the ring in time."""

    kids: frozenset[str]
    outdated: bool


@lru_cache(maxsize=64)
def kids_of(body: bytes) -> frozenset[str]:
    kids = [key["kid"] for key in json.loads(body)["keys"]]
    assert len(kids) == len(set(kids))
    return frozenset(kids)


class Verifiers:
    """Of the plan only the times count here, and those never change."""

    def __init__(self, fleet: Fleet, plan: Plan) -> None:
        self.world, self.store, self.plan = fleet.world, fleet.store, plan
        self.accepted_until: dict[str, float] = {}  # the last token of each key, by the slowest verifier's clock
        self.kept_until: dict[Answer, float] = {}  # by the verifier that keeps such an answer for longest
        self.revoked: set[str] = set()
        self.hurried: set[str] = set()  # keys brought forward in an emergency
        self.forced: dict[str, float] = {}  # those brought forward by force, and until when verifiers may lack them

    def hold_a_token(self, kid: str, node: Node) -> None:
        """One that was signed just now, with a leeway of skew, and a clock as slow as that."""
        if kid not in self.store.before_any_answer:
            self._check_lead(kid)
        expires_at = math.floor(node.clock) + self.plan.longest_lifetime
        self.accepted_until[kid] = max(expires_at + 2 * self.plan.skew, self.accepted_until.get(kid, 0.0))

    def ask(self, node: Node) -> None:
        try:
            document = node.ring.jwks(node.clock)
        except Unavailable:
            return
        self.store.shown = True
        answer = Answer(kids_of(document.body), outdated=not node.in_time)
        self._check_document(document, answer.kids, node)
        if node.in_time:
            self._check_tokens(answer)
        if document.max_age > 0:
            until = self.world.now + document.max_age + self.plan.reread_every
            self.kept_until[answer] = max(until, self.kept_until.get(answer, 0.0))

    def check_every_token(self) -> None:
        self.kept_until = {answer: until for answer, until in self.kept_until.items() if until > self.world.now}
        for answer in self.kept_until:
            self._check_tokens(answer)

    def note_a_revocation(self, kid: str, before: Ring, *, by_force: bool) -> None:
        """What it brought forward, compared with the ring before, or with the lead of a key that it made itself."""
        self.revoked.add(kid)
        planned = {entry.kid: entry.activates_at for entry in before.entries}
        for entry in self.store.ring.entries:
            if entry.activates_at < planned.get(entry.kid, entry.published_at + self.plan.lead):
                self.hurried.add(entry.kid)
                if by_force:
                    self.forced[entry.kid] = self._in_every_cache(entry.kid)

    def _in_every_cache(self, kid: str) -> float:
        """When the last answer without this key is over, if only nodes that re-read in time were asked."""
        return self.store.first_stored[kid] + self.plan.jwks_max_age + 2 * self.plan.reread_every

    def _check_lead(self, kid: str) -> None:
        """R16"""
        now = self.world.now + INSTANT
        if kid not in self.forced:
            assert now >= self._in_every_cache(kid), "a key signs before every cache has it"
        if kid not in self.hurried:
            lead = self.plan.publish_ahead - self.plan.disagreement
            assert now >= self.store.first_stored[kid] + lead, "a key signs before its lead has passed"

    def _check_document(self, document: KeySetDocument, kids: frozenset[str], node: Node) -> None:
        """R18"""
        assert 0 <= document.max_age <= self.plan.jwks_max_age
        for entry in node.known.entries:
            if entry.wrapped_private is not None:
                assert entry.kid in kids, "a key that may yet sign is not shown"
            if entry.kid in kids and entry.removed_at > node.clock:
                assert node.clock + document.max_age <= entry.removed_at, "an answer is kept beyond a removal"

    def _check_tokens(self, answer: Answer) -> None:
        for kid, until in self.accepted_until.items():
            if self.world.now < until and self._is_promised(kid, answer):
                assert kid in answer.kids, "an unexpired token is refused"

    def _is_promised(self, kid: str, answer: Answer) -> bool:
        """Whether the contract says that a verifier with this answer knows this key.

        It does not for a revoked key; for one that was forced to sign before verifiers could know it, until they
        can; and for one that was hurried in an emergency while the verifier had asked a node that was cut off.
        """
        if kid in self.revoked or self.world.now < self.forced.get(kid, 0.0):
            return False
        return not (kid in self.hurried and answer.outdated)
