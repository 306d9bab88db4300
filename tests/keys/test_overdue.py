"""An alarm, in the log and as a number, when rotation is overdue."""

import logging
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.keys import schedule
from authserver.keys.overdue import TURNS, RotationAlarm, due_since, next_change
from authserver.keys.ring import Ring
from authserver.keys.rotate import KeyRing
from authserver.keys.wrapping import MasterKeys
from tests.keys.fixtures import DAY, ISSUER, NOW, PLAN, Clock, key_maker, new_ring
from tests.keys.memory import Line, SharedRing

ES256 = "ES256"
PATIENCE = TURNS * PLAN.reread_every


make = key_maker()
for _ in range(10):  # the names that a new ring's own keys have
    make(ES256)


def moved_on(ring: Ring, now: float) -> Ring:
    return schedule.advance(ring, now, PLAN, make)


@given(st.lists(st.floats(1.0, 200 * DAY), min_size=1, max_size=6))
def test_work_is_waiting_exactly_when_advancing_would_do_something(steps: list[float]) -> None:
    ring, now = new_ring(), NOW
    for step in steps:
        now += step
        since = due_since(ring, ES256, now)
        assert (since is not None) == (moved_on(ring, now) != ring)
        assert since is None or since <= now
        ring = moved_on(ring, now)
        assert due_since(ring, ES256, now) is None
        assert next_change(ring, ES256, now) > now


def test_the_next_change_is_when_the_next_key_takes_over() -> None:
    ring = new_ring()
    takes_over = ring.successor(ES256, NOW)
    assert takes_over is not None
    assert next_change(ring, ES256, NOW) == takes_over.activates_at


def test_a_change_that_was_not_made_stays_the_next_one() -> None:
    ring = new_ring()
    due = next_change(ring, ES256, NOW)
    assert next_change(ring, ES256, due + DAY) == due_since(ring, ES256, due + DAY) == due


def test_an_algorithm_without_any_key_has_been_waiting_for_ever() -> None:
    assert due_since(Ring(), ES256, NOW) == -math.inf


def test_an_algorithm_that_waits_for_its_first_key_to_be_due_is_not_overdue() -> None:
    both = replace(PLAN, algorithms=(ES256, "RS256"))
    ring = schedule.advance(new_ring(), NOW, both, key_maker())
    assert ring.active("RS256", NOW) is None
    assert due_since(ring, "RS256", NOW) is None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def line() -> Line:
    return Line(SharedRing())


@pytest.fixture
def ring(line: Line, clock: Clock) -> KeyRing:
    read = KeyRing(line, PLAN, ISSUER, MasterKeys(bytes(range(32))), clock)
    read.refresh()
    return read


def test_the_alarm_is_raised_once_and_called_off_once(
    ring: KeyRing, line: Line, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    alarm = RotationAlarm(ring, PLAN, clock)
    due = next_change(ring.ring, ES256, NOW)
    line.writable = False
    for clock.now in (NOW, due, due + PATIENCE):
        alarm.check()
        assert not alarm.is_overdue(ring.ring, ES256, clock.now)
    assert caplog.records == []
    for clock.now in (due + PATIENCE + 1, due + DAY):
        alarm.check()
        assert alarm.is_overdue(ring.ring, ES256, clock.now)
    line.writable = True
    ring.refresh()
    alarm.check()
    alarm.check()
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "key rotation is overdue"),
        (logging.WARNING, "key rotation is no longer overdue"),
    ]


def test_an_emergency_is_no_alarm(ring: KeyRing, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    alarm = RotationAlarm(ring, PLAN, clock)
    clock.now += 2 * DAY
    active = ring.ring.active(ES256, clock.now)
    assert active is not None
    ring.revoke(active.kid)
    alarm.check()
    clock.now += PATIENCE + 1
    alarm.check()
    assert caplog.records == []


def test_a_ring_that_was_never_read_is_overdue_and_who_reads_it_tells(
    line: Line, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    alarm = RotationAlarm(KeyRing(line, PLAN, ISSUER, MasterKeys(bytes(range(32))), clock), PLAN, clock)
    alarm.check()
    assert caplog.records == []
    assert alarm.is_overdue(Ring(), ES256, clock.now)
    assert next_change(Ring(), ES256, clock.now) == -math.inf
