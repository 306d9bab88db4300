"""Revocation, R16 in emergencies: a key goes at once and for ever, and another that verifiers know goes on signing."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from authserver.keys.ring import KeyUnknown, State
from authserver.keys.schedule import KeyTooYoung, NewKey, advance, revoke
from tests.keys.fixtures import DAY, NOW, PLAN, active, never, new_ring, states

LATER = NOW + 3 * DAY


def test_revoking_the_active_key_switches_at_once_to_the_next_on_every_node(make: Callable[[str], NewKey]) -> None:
    ring = revoke(new_ring(), "ES256-1", LATER, PLAN, force=False)
    assert active(ring, LATER) == active(ring, LATER - 2 * PLAN.skew) == "ES256-2"
    assert [entry.kid for entry in ring.published(LATER)] == ["ES256-2"]
    assert sorted(states(advance(ring, LATER, PLAN, make), LATER).values()) == [State.ACTIVE, State.NEXT]


def test_right_after_a_hand_over_a_revocation_leaves_no_two_active_keys_on_a_slow_clock(
    make: Callable[[str], NewKey],
) -> None:
    now = NOW + 30 * DAY + 1
    ring = revoke(advance(new_ring(), now, PLAN, make), "ES256-2", now, PLAN, force=True)
    for slow in (now, now - PLAN.skew, now - 2 * PLAN.skew):
        assert list(states(ring, slow).values()).count(State.ACTIVE) == 1


def test_revoking_refuses_when_the_next_key_is_not_in_every_cache_yet() -> None:
    with pytest.raises(KeyTooYoung) as refused:
        revoke(new_ring(), "ES256-1", NOW + 10, PLAN, force=False)
    assert refused.value.kid == "ES256-2"
    assert refused.value.wait == PLAN.settled - 10


def test_force_overrides_a_next_key_that_is_too_young() -> None:
    assert active(revoke(new_ring(), "ES256-1", NOW + 10, PLAN, force=True), NOW + 10) == "ES256-2"


def test_a_key_that_nobody_has_seen_is_revoked_without_waiting() -> None:
    assert active(revoke(new_ring(served=False), "ES256-1", NOW, PLAN, force=False), NOW) == "ES256-2"


def test_revoking_the_next_key_leaves_the_active_one_until_a_fresh_one_has_had_its_lead(
    make: Callable[[str], NewKey],
) -> None:
    late = NOW + 30 * DAY - 3600
    ring = advance(revoke(new_ring(), "ES256-2", late, PLAN, force=False), late, PLAN, make)
    successor = ring.successor("ES256", late)
    assert active(ring, late) == "ES256-1"
    assert successor is not None
    assert ring.find("ES256-1").retires_at == successor.activates_at == late + PLAN.lead


def test_revoking_a_retired_key_withdraws_it_and_changes_nothing_else(make: Callable[[str], NewKey]) -> None:
    now = NOW + 30 * DAY
    ring = advance(new_ring(), now, PLAN, make)
    revoked = revoke(ring, "ES256-1", now, PLAN, force=False)
    assert [entry.kid for entry in revoked.entries] == [e.kid for e in ring.entries if e.kid != "ES256-1"]


def test_a_revoked_key_is_remembered_and_revoking_it_again_changes_nothing() -> None:
    ring = revoke(new_ring(), "ES256-1", LATER, PLAN, force=False)
    assert ring.revoked == {"ES256-1"}
    assert revoke(ring, "ES256-1", LATER, PLAN, force=False) is ring


def test_revoking_a_key_that_is_not_in_the_ring_is_an_error() -> None:
    with pytest.raises(KeyUnknown, match="no key 'nonsense'"):
        revoke(new_ring(), "nonsense", NOW, PLAN, force=True)


def test_revoking_the_last_key_of_an_algorithm_that_is_no_longer_configured_leaves_none() -> None:
    ring = revoke(new_ring(), "ES256-2", NOW, PLAN, force=False)
    assert revoke(ring, "ES256-1", NOW, PLAN, force=False).entries == ()


def test_a_gap_in_the_plan_is_closed(make: Callable[[str], NewKey]) -> None:
    """A node with a slow clock revokes the next key when a node with a fast one already made the one after it."""
    handover = new_ring().find("ES256-1").retires_at
    ring = advance(new_ring(), handover + PLAN.skew, PLAN, make)
    slow = handover - PLAN.skew
    ring = advance(revoke(ring, "ES256-2", slow, PLAN, force=True), slow, PLAN, make)
    for instant in (slow, handover + DAY, handover + 29 * DAY, handover + 31 * DAY):
        ring = advance(ring, instant, PLAN, make)
    assert active(ring, handover + 31 * DAY) is not None


def test_revoking_a_key_that_has_just_retired_leaves_no_node_with_a_slow_clock_without_a_key(
    make: Callable[[str], NewKey],
) -> None:
    """The entry of that key was what told such a node that its successor signs already."""
    handover = new_ring().find("ES256-1").retires_at
    fast, slow = handover + PLAN.skew, handover - PLAN.skew
    ring = advance(new_ring(), fast, PLAN, make)
    ring = advance(revoke(ring, "ES256-1", fast, PLAN, force=False), fast, PLAN, never)
    ring = advance(ring, slow, PLAN, never)
    assert active(ring, slow) == active(ring, fast) == "ES256-2"
    assert ring.find("ES256-2").retires_at == ring.find("ES256-11").activates_at


def test_revoking_the_first_key_of_an_added_algorithm_as_it_begins_lets_the_next_one_begin_after_its_lead(
    make: Callable[[str], NewKey],
) -> None:
    """A node with a slow clock revokes it when one with a fast clock already uses it and has made the next."""
    both = replace(PLAN, algorithms=("ES256", "RS256"))
    ring = advance(new_ring(), LATER, both, make)
    (first,) = ring.of("RS256")
    fast, slow = first.activates_at + both.skew, first.activates_at - both.skew
    ring = advance(ring, fast, both, make)
    ring = advance(revoke(ring, first.kid, slow, both, force=False), slow, both, never)
    assert active(ring, fast + both.lead - 0.001, "RS256") is None
    assert active(ring, fast + both.lead, "RS256") is not None


def test_in_a_ring_that_was_never_served_revoking_a_key_that_has_just_retired_makes_no_other_key(
    make: Callable[[str], NewKey],
) -> None:
    """The next key can begin at once. Another one would end when the key after the next does, and collide with it."""
    unseen = new_ring(served=False)
    handover = unseen.find("ES256-1").retires_at
    ring = advance(unseen, handover + PLAN.skew, PLAN, make)
    slow = handover - PLAN.skew
    ring = advance(revoke(ring, "ES256-1", slow, PLAN, force=False), slow, PLAN, never)
    assert states(ring, slow) == {"ES256-2": State.ACTIVE, "ES256-11": State.NEXT}


def test_keys_that_would_begin_at_the_same_instant_are_put_in_line(make: Callable[[str], NewKey]) -> None:
    ring = advance(new_ring(), NOW + 31 * DAY, PLAN, make)
    now, active_key = NOW + 32 * DAY, ring.find("ES256-2")
    after_next = replace(ring.find("ES256-11"), kid="ES256-12", published_at=now)
    ring = advance(ring.put(after_next), now, PLAN, never)
    for earlier, later in itertools.pairwise([active_key.kid, "ES256-11", "ES256-12"]):
        assert ring.find(earlier).retires_at == ring.find(later).activates_at


def test_a_key_that_takes_over_in_an_emergency_ends_all_that_signed_before(make: Callable[[str], NewKey]) -> None:
    """Its beginning is set so far into the past that another began later."""
    hasty = replace(PLAN, rotate_every=10, publish_ahead=0, jwks_max_age=10)
    ring = new_ring(hasty)
    for kid in ("ES256-2", "ES256-11"):
        fast = ring.find(kid).activates_at
        ring = advance(ring, fast, hasty, make)
    slow = fast - hasty.disagreement
    ring = advance(revoke(ring, "ES256-11", slow, hasty, force=True), slow, hasty, make)
    for now in (slow, slow + hasty.skew, fast):
        assert list(states(ring, now).values()).count(State.ACTIVE) == 1
