"""The limit on failures, and the memory behind it."""

import pytest

from authserver.endpoints.limits import BoundedStorage, FailureLimit
from authserver.errors import CredentialRejected, Reason, TooManyFailures
from authserver.testing import FrozenClock

WRONG = CredentialRejected(Reason.CODE_UNKNOWN)


def test_a_window_begins_with_the_first_count_and_ends_by_itself() -> None:
    clock = FrozenClock()
    storage = BoundedStorage(clock)
    assert [storage.incr("a", 60) for _ in range(3)] == [1, 2, 3]
    assert storage.get("a") == 3
    assert storage.get_expiry("a") == clock() + 60
    clock.advance(60)
    assert storage.get("a") == 0
    assert storage.incr("a", 60, amount=2) == 2


def test_the_number_of_keys_is_bounded_and_who_failed_last_is_kept() -> None:
    storage = BoundedStorage(FrozenClock(), capacity=3)
    for key in ("a", "b", "c", "a", "d"):
        storage.incr(key, 60)
    assert [storage.get(key) for key in ("a", "b", "c", "d")] == [2, 0, 1, 1]


def test_a_clock_that_is_set_back_does_not_lengthen_a_window() -> None:
    clock = FrozenClock()
    storage = BoundedStorage(clock)
    storage.incr("a", 60)
    clock.advance(-3600)
    assert storage.incr("a", 60) == 1
    assert storage.get_expiry("a") == clock() + 60


def test_keys_can_be_forgotten() -> None:
    storage = BoundedStorage(FrozenClock())
    storage.incr("a", 60)
    storage.incr("b", 60)
    storage.clear("a")
    storage.clear("never counted")
    assert (storage.get("a"), storage.get("b")) == (0, 1)
    assert storage.reset() == 1
    assert storage.check()
    assert storage.get_expiry("b") <= FrozenClock()() + 1
    assert issubclass(storage.base_exceptions, Exception)


def test_past_the_limit_a_failure_is_answered_otherwise_and_the_log_keeps_its_reason() -> None:
    clock = FrozenClock()
    limit = FailureLimit("2/minute", clock=clock)
    for _ in range(2):
        limit.count("a", WRONG)
    clock.advance(20)
    with pytest.raises(TooManyFailures) as refused:
        limit.count("a", WRONG)
    assert (refused.value.retry_after, refused.value.facts["refused_for"]) == (40, "code_unknown")
    limit.count("b", WRONG)


def test_what_could_be_guessed_is_not_looked_at_once_the_limit_is_reached() -> None:
    """R82"""
    clock = FrozenClock()
    limit = FailureLimit("2/minute", clock=clock)
    for _ in range(2):
        limit.check("a")  # which counts nothing
        limit.check("a")
        limit.count("a", WRONG)
    with pytest.raises(TooManyFailures) as refused:
        limit.check("a")
    assert (refused.value.retry_after, refused.value.facts["refused_for"]) == (60, None)
    limit.check("b")
    clock.advance(60)
    limit.check("a")


def test_the_limit_can_be_switched_off() -> None:
    limit = FailureLimit("off", clock=FrozenClock())
    for _ in range(1000):
        limit.count("a", WRONG)
        limit.check("a")
