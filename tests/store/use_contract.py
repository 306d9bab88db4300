"""What every store promises of what devices use; see :mod:`tests.store.contract`."""

from dataclasses import replace

import pytest

from authserver.errors import Conflict
from authserver.model import DeviceRecord, Use
from authserver.store.ports import Store
from tests.store.contract import NOW, OpenStore, race, token_id
from tests.store.device_contract import client_id, device, enroll, rekey


def enrolled(store: Store, number: int = 1) -> DeviceRecord:
    """A device of this number, which is enrolled with this, as the store has it."""
    enroll(store, device(number))
    return known(store, number)


def known(store: Store, number: int = 1) -> DeviceRecord:
    """A device as the store has it now."""
    record = store.read_record(client_id(number))
    assert record is not None
    return record


def uses(number: int, *, until: float = NOW + 60) -> list[Use]:
    """An assertion and a proof of one key, which no other number has."""
    return [Use(source, f"thumbprint.{token_id(number)}", until) for source in ("phones", "DPoP")]


class DeviceUseContract:
    """What :class:`authserver.store.ports.DeviceReplayStore` promises."""

    def test_a_record_is_the_device_with_what_tells_it_from_what_it_becomes(self, open_store: OpenStore) -> None:
        store = open_store()
        assert store.read_record(client_id(1)) is None
        first = enrolled(store)
        assert first.device == store.read_device(client_id(1))
        assert known(open_store()) == first
        rekey(open_store(), 1, expected=1, new=2)
        second = known(store)
        store.revoke_device(client_id(1), NOW)
        third = known(store)
        assert len({first.version, second.version, third.version}) == 3

    def test_what_a_device_used_is_used_whichever_way_it_comes_again(self, open_store: OpenStore) -> None:
        """R37, R64"""
        store = open_store()
        record = enrolled(store)
        assertion, proof = uses(1)
        assert store.use_while(record, [assertion, proof], NOW) is None
        other = open_store()
        assert other.use_while(record, [assertion, proof], NOW + 59) == assertion
        assert other.use_together([proof], NOW + 59) == proof
        assert other.use_while(record, [uses(2)[0], proof], NOW) == proof
        assert other.use_while(record, uses(2), NOW) is None, "it was used up for nothing"
        assert other.use_while(record, uses(1, until=NOW + 120), NOW + 60) is None, "it had expired"

    def test_what_anybody_used_a_device_cannot_use(self, open_store: OpenStore) -> None:
        """R37"""
        record = enrolled(open_store())
        assertion, proof = uses(1)
        open_store().use_once(proof.source, proof.token_id, expires_at=NOW + 60, now=NOW)
        assert open_store().use_while(record, [assertion, proof], NOW) == proof
        assert open_store().use_while(record, [assertion], NOW) is None

    def test_a_device_that_changed_meanwhile_uses_nothing(self, open_store: OpenStore) -> None:
        store = open_store()
        before = enrolled(store)
        rekey(open_store(), 1, expected=1, new=2)
        with pytest.raises(Conflict):
            store.use_while(before, uses(1), NOW)
        after = known(store)
        open_store().revoke_device(client_id(1), NOW)
        with pytest.raises(Conflict):
            store.use_while(after, uses(1), NOW)
        assert store.use_while(known(store), uses(1), NOW) is None, "it was used up for nothing"

    def test_a_device_that_is_not_there_uses_nothing(self, open_store: OpenStore) -> None:
        store = open_store()
        record = enrolled(store)
        stranger = DeviceRecord(replace(record.device, client_id=client_id(9)), record.version)
        with pytest.raises(Conflict):
            store.use_while(stranger, uses(1), NOW)
        assert store.use_together(uses(1), NOW) is None

    def test_of_many_that_use_the_same_while_the_device_stays_exactly_one_succeeds(self, open_store: OpenStore) -> None:
        """R37"""
        nodes = [open_store(), open_store()]
        record = enrolled(nodes[0])
        assert race(20, lambda number: nodes[number % 2].use_while(record, uses(1), NOW) is None).count(True) == 1

    def test_no_use_succeeds_after_the_device_was_revoked_however_many_try(self, open_store: OpenStore) -> None:
        nodes = [open_store(), open_store()]
        record = enrolled(nodes[0])

        def use(number: int) -> bool:
            if number == 0:
                nodes[0].revoke_device(client_id(1), NOW)
            try:
                nodes[number % 2].use_while(record, uses(number), NOW)
            except Conflict:
                return False
            return True

        assert race(10, use)[0] is False
        assert race(10, use).count(True) == 0
