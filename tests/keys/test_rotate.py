"""The key ring at work: its store, its master keys, and what it answers. R11 to R14, R16 and R18."""

import json
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.errors import Conflict, Reason, Unavailable
from authserver.jose.jwk import import_public, thumbprint
from authserver.keys.ring import KeyUnknown, RingUnreadable, decode
from authserver.keys.rotate import ATTEMPTS, KeyRing
from authserver.keys.schedule import KeyTooYoung, Plan
from authserver.keys.wrapping import MasterKeys, MasterKeyWrong
from authserver.store.ports import RingRecord
from tests.keys.fixtures import DAY, ISSUER, NOW, PLAN, Clock
from tests.keys.memory import Line, SharedRing

MASTER = MasterKeys(bytes(range(32)))
THREE = replace(PLAN, algorithms=("ES256", "RS256", "EdDSA"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shared() -> SharedRing:
    return SharedRing()


@pytest.fixture
def line(shared: SharedRing) -> Line:
    return Line(shared)


def node(line: Line, clock: Clock, plan: Plan = PLAN, master: MasterKeys = MASTER) -> KeyRing:
    return KeyRing(line, plan, ISSUER, master, clock)


@pytest.fixture
def ring(line: Line, clock: Clock) -> KeyRing:
    ring = node(line, clock)
    ring.refresh()
    return ring


def keys(ring: KeyRing, now: float) -> list[dict[str, str]]:
    members: list[dict[str, str]] = json.loads(ring.jwks(now).body)["keys"]
    return members


# What it shows


def test_the_jwks_has_one_member_and_each_key_is_public_named_and_bound(line: Line, clock: Clock) -> None:
    """R11, R12, R13, R14, R15"""
    ring = node(line, clock, THREE)
    ring.refresh()
    document = json.loads(ring.jwks(NOW).body)
    assert document.keys() == {"keys"}
    assert sorted(key["alg"] for key in document["keys"]) == ["ES256", "ES256", "EdDSA", "EdDSA", "RS256", "RS256"]
    assert len({key["kid"] for key in document["keys"]}) == 6
    for key in document["keys"]:
        assert key["use"] == "sig"
        assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & key.keys()
        assert key["kid"] == thumbprint(key)
        import_public(key, (key["alg"],))


def test_the_etag_is_strong_and_changes_with_the_keys_alone(ring: KeyRing, clock: Clock) -> None:
    """R18"""
    first = ring.jwks(NOW)
    assert first.etag.startswith('"')
    clock.now += DAY
    ring.refresh()
    assert ring.jwks(clock.now)[:2] == first[:2]
    ring.revoke(ring.ring.entries[0].kid)
    assert ring.jwks(clock.now).etag != first.etag


def test_two_nodes_show_the_same_document(ring: KeyRing, shared: SharedRing, clock: Clock) -> None:
    other = node(Line(shared), clock)
    other.refresh()
    assert other.jwks(NOW) == ring.jwks(NOW)


def test_that_keys_were_shown_is_durable_before_they_are(ring: KeyRing, line: Line, shared: SharedRing) -> None:
    line.writable = False
    with pytest.raises(Unavailable):
        ring.jwks(NOW)
    line.writable = True
    ring.jwks(NOW)
    assert shared.record is not None
    assert decode(shared.record.document).served


def test_showing_keys_again_reads_and_writes_nothing(ring: KeyRing, line: Line) -> None:
    before = ring.jwks(NOW)
    line.readable = line.writable = False
    assert ring.jwks(NOW) == before


@given(seconds=st.floats(0, 60 * DAY))
def test_a_jwks_is_never_kept_beyond_the_next_removal(seconds: float) -> None:
    """R18"""
    clock = Clock()
    ring = node(Line(SharedRing()), clock)
    ring.refresh()
    ring.jwks(NOW)
    clock.now += 30 * DAY
    ring.refresh()
    now = clock.now + seconds
    age = ring.jwks(now).max_age
    assert 0 <= age <= PLAN.jwks_max_age
    assert {entry.kid for entry in ring.ring.published(now + age - 1e-6)} >= {e.kid for e in ring.ring.published(now)}


# What signs


def test_only_the_active_key_of_the_algorithm_signs(ring: KeyRing) -> None:
    """R14"""
    key = ring.signing_key("ES256", NOW)
    entry = ring.ring.active("ES256", NOW)
    assert entry is not None
    public = import_public(entry.public_jwk, ("ES256",))
    public.verify(b"message", key.sign(b"message"))
    assert (key.kid, key.algorithm) == (entry.kid, "ES256")
    assert ring.ready(NOW) == ("ES256",)


def test_an_algorithm_that_was_added_waits_and_says_how_long(ring: KeyRing, shared: SharedRing, clock: Clock) -> None:
    ring.jwks(NOW)
    later = node(Line(shared), clock, replace(PLAN, algorithms=("ES256", "EdDSA")))
    later.refresh()
    assert later.ready(NOW) == ("ES256",)
    for seconds, retry_after in ((0, 60), (DAY - 30, 30), (DAY - 0.5, 1)):
        with pytest.raises(Unavailable) as outage:
            later.signing_key("EdDSA", NOW + seconds)
        assert outage.value.reason is Reason.NO_ACTIVE_KEY
        assert outage.value.retry_after == retry_after
    assert later.signing_key("EdDSA", NOW + DAY).algorithm == "EdDSA"


def test_a_node_that_is_cut_off_signs_by_the_plan_until_its_last_known_key_ends(ring: KeyRing, line: Line) -> None:
    ring.jwks(NOW)
    line.readable = line.writable = False
    first, second = ring.ring.of("ES256")
    for now, kid in ((NOW, first.kid), (first.retires_at, second.kid), (second.retires_at - 1, second.kid)):
        with pytest.raises(Unavailable):
            ring.refresh()
        assert ring.signing_key("ES256", now).kid == kid
    with pytest.raises(Unavailable) as outage:
        ring.signing_key("ES256", second.retires_at)
    assert outage.value.reason is Reason.NO_ACTIVE_KEY
    assert ring.ready(second.retires_at) == ()
    assert ring.jwks(second.retires_at).max_age == 0


def test_before_the_store_was_ever_read_there_is_nothing(line: Line, clock: Clock) -> None:
    ring = node(line, clock)
    line.readable = False
    with pytest.raises(Unavailable):
        ring.refresh()
    for call in (lambda: ring.ring, lambda: ring.signing_key("ES256", NOW), lambda: ring.jwks(NOW)):
        with pytest.raises(Unavailable) as outage:
            call()
        assert outage.value.reason is Reason.STORE_UNAVAILABLE
    assert ring.ready(NOW) == ()


def test_a_store_that_can_only_be_read_still_tells_what_others_changed(
    ring: KeyRing, shared: SharedRing, clock: Clock
) -> None:
    ring.jwks(NOW)
    reader = Line(shared)
    other = node(reader, clock)
    other.refresh()
    clock.now += DAY
    ring.revoke(ring.signing_key("ES256", clock.now).kid)
    clock.now += 31 * DAY  # something is due that cannot be written
    reader.writable = False
    with pytest.raises(Unavailable):
        other.refresh()
    assert other.ring == ring.ring


# Changes


def test_nothing_is_written_while_nothing_is_due(ring: KeyRing, line: Line, clock: Clock) -> None:
    writes = line.writes
    for _ in range(10):
        clock.now += 5
        ring.refresh()
    assert line.writes == writes == 1


def test_a_key_is_unwrapped_once(ring: KeyRing, clock: Clock) -> None:
    before = ring.signing_key("ES256", NOW)
    clock.now += DAY
    ring.rotate_now()
    assert ring.signing_key("ES256", clock.now) is before


def test_a_planned_rotation_and_a_revocation_reach_the_other_nodes(
    ring: KeyRing, shared: SharedRing, clock: Clock
) -> None:
    other = node(Line(shared), clock)
    first, second = (entry.kid for entry in ring.ring.of("ES256"))
    ring.jwks(NOW)
    clock.now += DAY
    ring.rotate_now()
    clock.now += PLAN.reread_every
    other.refresh()
    assert other.signing_key("ES256", clock.now).kid == second
    clock.now += DAY
    ring.revoke(second)
    other.refresh()
    assert other.signing_key("ES256", clock.now).kid not in (first, second)
    assert second not in {key["kid"] for key in keys(other, clock.now)}


def test_a_revocation_is_refused_while_the_next_key_is_too_young_and_changes_nothing(ring: KeyRing) -> None:
    ring.jwks(NOW)
    kid = ring.signing_key("ES256", NOW).kid
    with pytest.raises(KeyTooYoung):
        ring.revoke(kid)
    assert ring.signing_key("ES256", NOW).kid == kid
    ring.revoke(kid, force=True)
    assert ring.signing_key("ES256", NOW).kid != kid


def test_a_revocation_of_what_the_ring_never_had_is_an_error(ring: KeyRing) -> None:
    with pytest.raises(KeyUnknown):
        ring.revoke("nonsense")


def test_a_private_half_leaves_memory_when_it_leaves_the_store(ring: KeyRing, clock: Clock) -> None:
    ring.jwks(NOW)
    kid = ring.signing_key("ES256", NOW).kid
    clock.now = ring.ring.find(kid).retires_at
    ring.refresh()
    assert kid not in ring._known().keys


def test_nodes_that_start_at_once_agree_on_one_ring(shared: SharedRing, clock: Clock) -> None:
    lock, together = threading.Lock(), threading.Barrier(8)

    class Serial(Line):
        def replace_ring(self, document: str, *, expected: int | None) -> RingRecord:
            with lock:
                return super().replace_ring(document, expected=expected)

    nodes = [node(Serial(shared), clock) for _ in range(8)]

    def start(ring: KeyRing) -> None:
        together.wait()
        ring.refresh()

    threads = [threading.Thread(target=start, args=(ring,)) for ring in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({ring.signing_key("ES256", NOW).kid for ring in nodes}) == 1


def test_a_change_that_always_comes_second_gives_up(shared: SharedRing, clock: Clock) -> None:
    class Busy(Line):
        def replace_ring(self, document: str, *, expected: int | None) -> RingRecord:
            assert document
            self.writes += 1
            raise Conflict(str(expected))

    line = Busy(shared)
    with pytest.raises(Unavailable):
        node(line, clock).refresh()
    assert line.writes == ATTEMPTS


def test_a_store_that_lost_the_ring_gets_it_back_from_a_node_that_knows_it(
    ring: KeyRing, shared: SharedRing, clock: Clock
) -> None:
    ring.jwks(NOW)
    before = ring.ring
    shared.record = None
    ring.refresh()
    assert ring.ring == before
    fresh = node(Line(shared), clock)
    fresh.refresh()
    assert fresh.ring == before


# Master keys


@pytest.mark.usefixtures("ring")
def test_a_wrong_master_key_changes_nothing_in_the_store(shared: SharedRing, clock: Clock) -> None:
    before = shared.record
    clock.now += 31 * DAY
    with pytest.raises(MasterKeyWrong):
        node(Line(shared), clock, master=MasterKeys(bytes(32))).refresh()
    assert shared.record == before


def test_a_previous_master_key_still_opens_the_ring(ring: KeyRing, shared: SharedRing, clock: Clock) -> None:
    replaced = node(Line(shared), clock, master=MasterKeys(bytes(32), [bytes(range(32))]))
    replaced.refresh()
    assert replaced.signing_key("ES256", NOW).kid == ring.signing_key("ES256", NOW).kid


@pytest.mark.usefixtures("ring")
def test_a_ring_of_another_issuer_does_not_open(shared: SharedRing, clock: Clock) -> None:
    with pytest.raises(MasterKeyWrong):
        KeyRing(Line(shared), PLAN, "https://other.test", MASTER, clock).refresh()


def test_a_ring_that_was_damaged_is_an_error_and_what_is_in_memory_stays_in_use(
    ring: KeyRing, shared: SharedRing
) -> None:
    shared.record = RingRecord(2, "{}")
    with pytest.raises(RingUnreadable):
        ring.refresh()
    assert ring.ready(NOW) == ("ES256",)
