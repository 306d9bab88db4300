"""The schedule: when a key is made, signs, retires and goes. R14, R16 and R18 at the level of the ring."""

import itertools
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from authserver.keys.ring import KeyUnknown, Ring, State
from authserver.keys.schedule import NewKey, Plan, advance, max_age, revoke, rotate
from tests.keys.fixtures import DAY, NOW, PLAN, active, key_maker, never, new_ring, states

LATER = NOW + 3 * DAY


def test_the_first_key_of_a_ring_that_was_never_served_is_active_at_once() -> None:
    ring = advance(Ring(), NOW, PLAN, key_maker())
    assert states(ring, NOW) == {"ES256-1": State.ACTIVE, "ES256-2": State.NEXT}


def test_the_first_key_is_active_on_a_node_whose_clock_is_behind() -> None:
    ring = advance(Ring(), NOW, PLAN, key_maker())
    assert active(ring, NOW - 2 * PLAN.skew) == "ES256-1"


def test_a_new_key_does_not_sign_at_once(make: Callable[[str], NewKey]) -> None:
    """R16. attacks.md: "new key signs at once": a key that is added later waits its lead."""
    both = replace(PLAN, algorithms=("ES256", "RS256"))
    ring = advance(new_ring(), LATER, both, make)
    (first,) = ring.of("RS256")
    assert first.published_at == LATER
    assert first.activates_at == LATER + both.lead
    assert active(ring, first.activates_at - 0.001, "RS256") is None
    assert active(ring, first.activates_at, "RS256") == first.kid


def test_an_algorithm_added_before_anything_was_served_is_active_at_once(make: Callable[[str], NewKey]) -> None:
    both = replace(PLAN, algorithms=("ES256", "RS256"))
    ring = advance(new_ring(served=False), LATER, both, make)
    assert active(ring, LATER, "RS256") is not None


def test_nothing_changes_while_nothing_is_due() -> None:
    ring = new_ring()
    assert advance(ring, NOW + 29 * DAY, PLAN, never) is ring


def test_one_instant_ends_a_key_and_begins_the_next() -> None:
    ring = new_ring()
    handover = ring.find("ES256-1").retires_at
    assert ring.find("ES256-2").activates_at == handover
    assert active(ring, handover - 0.001) == "ES256-1"
    assert active(ring, handover) == "ES256-2"


def test_when_the_next_key_becomes_active_another_is_published(make: Callable[[str], NewKey]) -> None:
    ring = new_ring()
    now = ring.find("ES256-1").retires_at
    ring = advance(ring, now, PLAN, make)
    assert sorted(states(ring, now).values()) == [State.ACTIVE, State.NEXT, State.RETIRED]
    newest = ring.successor("ES256", now)
    assert newest is not None
    assert newest.published_at == now
    assert newest.activates_at == ring.find("ES256-2").retires_at == now + PLAN.rotate_every


def test_the_private_half_is_forgotten_at_retirement_and_the_public_half_later(make: Callable[[str], NewKey]) -> None:
    """R16"""
    ring = new_ring()
    first = ring.find("ES256-1")
    ring = advance(ring, first.retires_at, PLAN, make)
    assert ring.find(first.kid).wrapped_private is None
    assert first.removed_at >= first.retires_at + 3600 + 3 * PLAN.skew
    ring = advance(ring, first.removed_at - 0.001, PLAN, make)
    assert first.kid in {entry.kid for entry in ring.published(first.removed_at - 0.001)}
    ring = advance(ring, first.removed_at, PLAN, make)
    with pytest.raises(KeyUnknown):
        ring.find(first.kid)


def test_a_node_with_a_slow_clock_follows_the_node_that_has_already_retired_a_key(
    make: Callable[[str], NewKey],
) -> None:
    handover = new_ring().find("ES256-1").retires_at
    ring = advance(new_ring(), handover + PLAN.skew, PLAN, make)
    slow = handover - PLAN.skew
    assert active(ring, slow) == "ES256-2"
    assert advance(ring, slow, PLAN, never) is ring


def test_that_a_key_was_retired_early_never_hurries_a_key_that_is_not_its_successor(
    make: Callable[[str], NewKey],
) -> None:
    ring = new_ring()
    stripped = [replace(e, wrapped_private=None) for e in ring.entries if e.kid == "ES256-1"]
    ring = Ring(tuple(stripped), served=True)
    ring = advance(ring, NOW + DAY, PLAN, make)
    assert active(ring, NOW + DAY) is None


def test_a_rotation_that_takes_longer_than_it_lasts_waits_for_the_lead(make: Callable[[str], NewKey]) -> None:
    hasty = replace(PLAN, rotate_every=10)
    ring = advance(Ring(), NOW, hasty, make)
    first, second = ring.of("ES256")
    assert first.retires_at == second.activates_at == NOW + hasty.lead


def test_a_ring_that_slept_goes_on_with_its_last_key_until_a_new_one_has_had_its_lead(
    make: Callable[[str], NewKey],
) -> None:
    ring, awake = new_ring(), NOW + 400 * DAY
    assert active(ring, awake) is None
    ring = advance(ring, awake, PLAN, make)
    assert active(ring, awake) == "ES256-2"
    successor = ring.successor("ES256", awake)
    assert successor is not None
    assert successor.activates_at == awake + PLAN.lead == ring.find("ES256-2").retires_at
    assert ring.find("ES256-2").removed_at == awake + PLAN.lead + PLAN.tail
    with pytest.raises(KeyUnknown):
        ring.find("ES256-1")


def test_a_ring_without_any_private_half_waits_for_its_new_key(make: Callable[[str], NewKey]) -> None:
    stripped = tuple(replace(entry, wrapped_private=None) for entry in new_ring().entries)
    ring = advance(Ring(stripped, served=True), LATER, PLAN, make)
    assert active(ring, LATER) is None
    assert active(ring, LATER + PLAN.lead) is not None


def test_an_algorithm_that_is_no_longer_configured_runs_out() -> None:
    gone = replace(PLAN, algorithms=())
    ring = new_ring()
    for entry in ring.of("ES256"):
        ring = advance(ring, entry.retires_at, gone, never)
    last = ring.find("ES256-2")
    assert last.wrapped_private is None
    assert advance(ring, last.removed_at, gone, never).entries == ()


def test_a_key_that_may_still_sign_is_published_whatever_its_times_say() -> None:
    ring = new_ring()
    assert {entry.kid for entry in ring.published(NOW + 400 * DAY)} == {"ES256-1", "ES256-2"}


def test_the_order_of_the_entries_means_nothing(make: Callable[[str], NewKey]) -> None:
    """attacks.md: "meaning carried by list order of keys"."""
    ring = advance(new_ring(), NOW + 31 * DAY, PLAN, make)
    now = NOW + 32 * DAY
    for order in itertools.permutations(ring.entries):
        shuffled = replace(ring, entries=order)
        assert active(shuffled, now) == active(ring, now)
        assert shuffled.published(now) == ring.published(now)
        assert rotate(shuffled, now, PLAN) == rotate(ring, now, PLAN)


def test_a_key_has_one_algorithm_and_signs_for_no_other(make: Callable[[str], NewKey]) -> None:
    """R14. attacks.md: "one key, two algorithms"."""
    ring = advance(Ring(), NOW, replace(PLAN, algorithms=("ES256", "RS256")), make)
    assert active(ring, NOW, "ES256") != active(ring, NOW, "RS256")
    assert active(ring, NOW, "PS256") is None


# Planned rotation


def test_a_rotation_hands_over_in_a_few_seconds_when_the_next_key_is_old_enough(make: Callable[[str], NewKey]) -> None:
    ring = rotate(new_ring(), LATER, PLAN)
    assert ring.find("ES256-1").retires_at == ring.find("ES256-2").activates_at == LATER + PLAN.reread_every
    assert ring.find("ES256-2").retires_at == LATER + PLAN.reread_every + PLAN.rotate_every
    after = LATER + PLAN.reread_every
    assert sorted(states(advance(ring, after, PLAN, make), after).values()) == ["active", "next", "retired"]


def test_a_rotation_waits_for_a_next_key_that_is_too_young() -> None:
    """R16"""
    ring = rotate(new_ring(), NOW + 60, PLAN)
    assert ring.find("ES256-2").activates_at == NOW + PLAN.lead


def test_a_second_rotation_does_not_put_off_the_first() -> None:
    once = rotate(new_ring(), LATER, PLAN)
    assert rotate(once, LATER + 3, PLAN) == once


def test_a_rotation_never_withdraws_a_public_half_earlier_than_planned(make: Callable[[str], NewKey]) -> None:
    """R16. A node that is cut off from the store may sign with it until then."""
    planned = new_ring()
    ring = advance(rotate(planned, LATER, PLAN), LATER + 10, PLAN, make)
    for kid in ("ES256-1", "ES256-2"):
        assert ring.find(kid).removed_at >= planned.find(kid).removed_at


def test_a_rotation_of_an_algorithm_without_a_key_is_harmless() -> None:
    assert rotate(Ring(served=True), NOW, PLAN) == Ring(served=True)


# How long a JWKS may be kept


def test_a_jwks_is_kept_for_the_configured_time_while_the_ring_is_read_regularly() -> None:
    """R18"""
    short = replace(PLAN, publish_ahead=0)
    for seconds in (0, PLAN.reread_every):
        assert max_age(new_ring(short), NOW + seconds, NOW, short) == 300


def test_a_jwks_is_not_kept_beyond_the_removal_of_a_key(make: Callable[[str], NewKey]) -> None:
    """R18"""
    ring = advance(new_ring(), NOW + 30 * DAY, PLAN, make)
    removal = ring.find("ES256-1").removed_at
    for ahead in (299.5, 100, 1, 0.5):
        assert max_age(ring, removal - ahead, removal - ahead, PLAN) == int(ahead)
    assert max_age(ring, removal, removal, PLAN) == 300


def test_the_jwks_of_a_node_that_is_cut_off_is_kept_less_and_less_and_then_not_at_all() -> None:
    """R18. The others may sign with a key that this node never heard of, once that had its lead."""
    answered_by = NOW + PLAN.lead - PLAN.disagreement
    ring, end = new_ring(), answered_by - PLAN.reread_every
    assert max_age(ring, end - 300, NOW, PLAN) == 300
    assert max_age(ring, end - 120, NOW, PLAN) == 120
    assert max_age(ring, end + 5, NOW, PLAN) == 0


def test_a_lead_covers_caches_clocks_and_re_reading_even_when_publish_ahead_is_short() -> None:
    """R16"""
    short = replace(PLAN, publish_ahead=1)
    assert short.lead == short.settled >= short.jwks_max_age + 2 * short.skew + 2 * short.reread_every
    assert PLAN.lead == PLAN.publish_ahead


def test_any_order_of_operations_leaves_a_chain_without_gaps() -> None:
    chance, maker = random.Random(2), key_maker()
    for _ in range(100):
        plan = Plan(("ES256",), chance.choice([5, 500, 30 * DAY]), chance.choice([0, DAY]), 300, 30)
        ring, now = replace(advance(Ring(), NOW, plan, maker), served=True), NOW
        for _ in range(20):
            now += chance.choice([0, 1, 100, DAY, 20 * DAY, 90 * DAY])
            ring = advance(ring, now, plan, maker)
            if chance.random() < 0.5:
                ring = rotate(ring, now, plan)
            else:
                ring = revoke(ring, chance.choice(ring.entries).kid, now, plan, force=True)
            ring = advance(ring, now, plan, maker)
            able = [entry for entry in ring.of("ES256") if entry.wrapped_private is not None]
            assert active(ring, now) == able[0].kid
            for earlier, later in itertools.pairwise(able):
                assert earlier.retires_at == later.activates_at
