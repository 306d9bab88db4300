"""The memory behind the limit on failures."""

from authserver.endpoints.limits import BoundedStorage
from authserver.testing import FrozenClock


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
