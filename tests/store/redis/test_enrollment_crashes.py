"""A process that enrols a device dies at any step: nothing is lost, no code is used twice, and no limit is exceeded.

A step is one round trip. Dying before it is sent is the same as dying after the one before it was answered.
"""

from collections.abc import Callable

import pytest

from authserver.errors import Conflict, CredentialRejected, MetadataRefused, Reason
from authserver.model import Device
from authserver.store.redis import RedisStore
from authserver.store.redis_enrollment import COMMITTED
from authserver.store.redis_session import Call
from tests.store.contract import NOW
from tests.store.device_contract import CODE, client_id, device, enroll, enrolled, invitation, rekey, why_not
from tests.store.redis.opened import opened

MOST_STEPS = 20
STEPS = range(1, MOST_STEPS)
OTHER_CODE = "d" * 64


class Killed(BaseException):
    """The process is gone."""


class Trips:
    """Counts round trips, and ends the process before one of them."""

    def __init__(self, deadly: int | None = None) -> None:
        self.count = 0
        self.deadly = deadly

    def __call__(self) -> None:
        self.count += 1
        if self.count == self.deadly:
            raise Killed


@pytest.fixture
def store(open_store: Callable[[], RedisStore]) -> RedisStore:
    """Another process, which lives. It makes the server know every script, so that each step is one round trip."""
    store = open_store()
    enroll(store, device(90, owner="carol"))
    rekey(store, 90, expected=90, new=91)
    return store


@pytest.fixture
def dies(url: str, prefix: str) -> Callable[[int, Callable[[RedisStore], object]], bool]:
    """Do something in a process that dies at a step. Whether it did, or had done it before."""

    def die(step: int, work: Callable[[RedisStore], object]) -> bool:
        store = opened(url, prefix, trip=Trips(step))
        try:
            work(store)
        except Killed:
            return True
        finally:
            store.close()
        return False

    return die


Dies = Callable[[int, Callable[[RedisStore], object]], bool]


def devices_of(store: RedisStore, owner: str = "alice") -> list[Device]:
    return list(store.list_devices(["phones"], owner=owner))


def test_there_are_fewer_steps_than_are_tried(url: str, prefix: str, store: RedisStore) -> None:
    store.invite(invitation())
    trips = Trips()
    enroll(opened(url, prefix, trip=trips), device(1), code_hash=CODE, max_per_owner=2)
    assert 5 < trips.count < MOST_STEPS


@pytest.mark.parametrize("step", STEPS)
def test_who_tries_again_gets_one_device(dies: Dies, store: RedisStore, step: int) -> None:
    store.invite(invitation())
    died = dies(step, lambda mortal: enroll(mortal, device(1), code_hash=CODE, max_per_owner=1))
    again = device(2, thumbprint=device(1).thumbprint, jwk=device(1).jwk)
    given = enroll(store, again, code_hash=CODE, max_per_owner=1)
    assert given.client_id == client_id(1) or (died and given.client_id == client_id(2))
    assert devices_of(store) == [given]
    assert list(store.list_devices(["phones"]))[:1] == [given]
    assert store.read_device(given.client_id) == given
    assert store.read_invitation(CODE) == invitation(used_by=given.client_id)
    assert enroll(store, again, code_hash=CODE, max_per_owner=1) == given


@pytest.mark.parametrize("step", STEPS)
def test_no_code_is_used_twice(dies: Dies, store: RedisStore, step: int) -> None:
    store.invite(invitation())
    dies(step, lambda mortal: enroll(mortal, device(1), code_hash=CODE))
    second = enrolled(store, device(2), code_hash=CODE)
    first = enrolled(store, device(1), code_hash=CODE)
    assert first != second
    assert devices_of(store) == [device(1 if first else 2)]
    assert store.read_invitation(CODE) == invitation(used_by=client_id(1 if first else 2))


@pytest.mark.parametrize("step", STEPS)
def test_no_owner_has_too_many_and_none_is_kept_from_what_is_due(dies: Dies, store: RedisStore, step: int) -> None:
    for code in (CODE, OTHER_CODE):
        store.invite(invitation(code))
    dies(step, lambda mortal: enroll(mortal, device(1), code_hash=CODE, max_per_owner=1))
    second = enrolled(store, device(2), code_hash=OTHER_CODE, max_per_owner=1)
    first = enrolled(store, device(1), code_hash=CODE, max_per_owner=1)
    assert first != second
    assert len(devices_of(store)) == 1
    used, left = (CODE, OTHER_CODE) if first else (OTHER_CODE, CODE)
    assert store.read_invitation(left) == invitation(left), "a code was used up for nothing"
    assert store.read_invitation(used) == invitation(used, used_by=devices_of(store)[0].client_id)


@pytest.mark.parametrize("step", STEPS)
def test_an_attempt_whose_code_has_run_out_strands_nobody(dies: Dies, store: RedisStore, step: int) -> None:
    for code, lifetime in ((CODE, 600), (OTHER_CODE, 6000)):
        store.invite(invitation(code, expires_at=NOW + lifetime))
    dies(step, lambda mortal: enroll(mortal, device(1), code_hash=CODE, max_per_owner=1))
    if store.read_device(client_id(1)) is None and not _is_decided(store):
        assert enrolled(store, device(1), code_hash=OTHER_CODE, max_per_owner=1, now=NOW + 600)
    assert len(devices_of(store)) <= 1


@pytest.mark.parametrize("step", STEPS)
def test_without_a_code_it_is_the_same(dies: Dies, store: RedisStore, step: int) -> None:
    dies(step, lambda mortal: enroll(mortal, device(1), max_per_owner=1))
    given = enroll(store, device(1), max_per_owner=1)
    assert given == device(1)
    assert devices_of(store) == [given]
    assert why_not(store, device(2), max_per_owner=1) is Reason.TOO_MANY_DEVICES
    store.revoke_device(client_id(1), NOW)
    assert enrolled(store, device(2), max_per_owner=1)


@pytest.mark.parametrize("step", STEPS)
def test_a_refusal_that_dies_uses_up_no_code_and_no_place(dies: Dies, store: RedisStore, step: int) -> None:
    store.invite(invitation())
    enroll(store, device(3), max_per_owner=1)

    def refused(mortal: RedisStore) -> None:
        with pytest.raises(MetadataRefused):
            enroll(mortal, device(1), code_hash=CODE, max_per_owner=1)

    dies(step, refused)
    assert store.read_device(client_id(1)) is None
    store.revoke_device(client_id(3), NOW)
    second = enrolled(store, device(2), code_hash=CODE, max_per_owner=1)
    first = enrolled(store, device(1), code_hash=CODE, max_per_owner=1)
    assert first != second
    assert [one.client_id for one in devices_of(store)] == [client_id(1 if first else 2), client_id(3)]


@pytest.mark.parametrize("step", STEPS)
def test_a_device_has_its_old_key_or_its_new_one_and_no_other_has_either(
    dies: Dies, store: RedisStore, step: int
) -> None:
    for number in (1, 2):
        enroll(store, device(number))
    dies(step, lambda mortal: rekey(mortal, 1, expected=1, new=8))
    taken = not _succeeds(lambda: rekey(store, 2, expected=2, new=8))
    one, other = (store.read_device(client_id(number)) for number in (1, 2))
    assert one is not None
    assert other is not None
    assert [one.thumbprint, other.thumbprint].count(device(8).thumbprint) == 1
    assert (one.thumbprint == device(8).thumbprint) == taken
    for thumbprint in (one.thumbprint, other.thumbprint, device(1).thumbprint, device(8).thumbprint):
        assert why_not(store, device(4, thumbprint=thumbprint, source="laptops")) is Reason.KEY_ENROLLED_BEFORE


@pytest.mark.parametrize("step", STEPS)
def test_a_key_that_was_a_devices_only_for_a_moment_never_returns(dies: Dies, store: RedisStore, step: int) -> None:
    enroll(store, device(1))
    dies(step, lambda mortal: rekey(mortal, 1, expected=1, new=8))
    had_it = store.read_device(client_id(1)) != device(1)
    rekey(store, 1, expected=8 if had_it else 1, new=9)
    assert enrolled(store, device(2, thumbprint=device(8).thumbprint)) == (not had_it)


@pytest.mark.parametrize("step", STEPS)
def test_a_device_that_is_being_revoked_is_revoked_in_the_end(dies: Dies, store: RedisStore, step: int) -> None:
    enroll(store, device(1), max_per_owner=1)
    if dies(step, lambda mortal: mortal.revoke_device(client_id(1), NOW)):
        store.revoke_device(client_id(1), NOW + 1)
    revoked = store.read_device(client_id(1))
    assert revoked is not None
    assert revoked.revoked_at in (NOW, NOW + 1)
    assert enrolled(store, device(2), max_per_owner=1), "its place was not given back"


@pytest.mark.parametrize("step", range(1, 8))
def test_a_place_that_a_dead_process_did_not_give_back_is_found(dies: Dies, store: RedisStore, step: int) -> None:
    enroll(store, device(1), max_per_owner=1)
    dies(step, lambda mortal: mortal.revoke_device(client_id(1), NOW))
    gone = store.read_device(client_id(1)) != device(1)
    assert enrolled(store, device(2), max_per_owner=1) == gone


def _is_decided(store: RedisStore) -> bool:
    """Whether the attempt with the key of the first device is past all return."""
    read = Call("HGET", (store._keys.key(device(1).thumbprint),), ("state",))
    return bool(store._client.run(lambda session: session.one(read)) == COMMITTED)


def _succeeds(work: Callable[[], object]) -> bool:
    try:
        work()
    except (Conflict, CredentialRejected, MetadataRefused):
        return False
    return True
