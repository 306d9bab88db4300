"""What every store promises of devices and invitations; see :mod:`tests.store.contract`."""

from dataclasses import replace
from typing import Any

import pytest

from authserver.errors import Conflict, CredentialRejected, MetadataRefused, Reason
from authserver.model import Device, Invitation
from authserver.store.ports import DeviceStore
from tests.store.contract import NOW, OpenStore, race

CODE = "c" * 64
KEY = {"crv": "P-256", "kty": "EC", "x": "x of the key", "y": "y of the key"}


def invitation(code_hash: str = CODE, **changes: Any) -> Invitation:
    """Leave for one device of alice, for 600 seconds from :data:`NOW` on."""
    members: dict[str, Any] = {
        "source": "phones",
        "owner": "alice",
        "platform": "ios",
        "attributes": {"team": "blue"},
        "created_at": NOW,
        "expires_at": NOW + 600,
        **changes,
    }
    return Invitation(code_hash=code_hash, **members)


def device(number: int, **changes: Any) -> Device:
    """A device of alice, whose ``client_id`` is in the order of ``number`` and whose key is its own."""
    members: dict[str, Any] = {
        "source": "phones",
        "sub": "phones:owner/alice",
        "owner": "alice",
        "jwk": {**KEY, "x": f"x{number}"},
        "thumbprint": f"thumbprint {number}",
        "created_at": NOW + number,
        **changes,
    }
    return Device(client_id=client_id(number), **members)


def client_id(number: int) -> str:
    """The identifier of the device with this number."""
    return f"dev_{number:022d}"


def enroll(
    store: DeviceStore,
    wanted: Device,
    *,
    code_hash: str | None = None,
    max_per_owner: int | None = None,
    now: float = NOW,
) -> Device:
    """Enrol a device, with no code and no limit unless told otherwise."""
    return store.enroll(wanted, code_hash=code_hash, max_per_owner=max_per_owner, now=now)


def enrolled(store: DeviceStore, wanted: Device, **how: Any) -> bool:
    """Whether this very device can be enrolled."""
    try:
        return enroll(store, wanted, **how) == wanted
    except (CredentialRejected, MetadataRefused):
        return False


def why_not(store: DeviceStore, wanted: Device, **how: Any) -> Reason:
    """Why a device cannot be enrolled."""
    with pytest.raises((CredentialRejected, MetadataRefused)) as refused:
        enroll(store, wanted, **how)
    is_about_the_code = refused.value.reason in (Reason.CODE_UNKNOWN, Reason.CODE_EXPIRED, Reason.CODE_USED)
    assert isinstance(refused.value, CredentialRejected if is_about_the_code else MetadataRefused)
    return refused.value.reason


def rekey(store: DeviceStore, number: int, *, expected: int, new: int, key_id: str | None = None) -> Device:
    """Give the device with this number the key of another number, as one who expects the key of a third."""
    key = device(new)
    return store.replace_key(
        client_id(number),
        expected=device(expected).thumbprint,
        jwk=key.jwk,
        thumbprint=key.thumbprint,
        key_id=key_id,
    )


class DeviceStoreContract:
    """What :class:`authserver.store.ports.DeviceStore` promises."""

    @pytest.mark.parametrize(
        "changes", [{}, {"owner": None, "platform": None, "attributes": {}}, {"owner": "\u00fc: \U0001f511 '\" --"}]
    )
    def test_an_invitation_is_read_back_on_another_node(self, open_store: OpenStore, changes: dict[str, Any]) -> None:
        wanted = invitation(**changes)
        assert open_store().read_invitation(CODE) is None
        open_store().invite(wanted)
        assert open_store().read_invitation(CODE) == wanted
        assert open_store().read_invitation("d" * 64) is None

    def test_a_device_is_read_back_on_another_node_with_everything_that_it_is(self, open_store: OpenStore) -> None:
        full = device(
            1,
            key_id="mine",
            name="Alice's \U0001f4f1",
            platform="ios",
            model="iPhone17,1",
            app_id="com.example.app",
            app_version="1.0",
            attestation="none",
            attributes={"team": "blue"},
        )
        bare = device(2, owner=None, sub=f"phones:device/{client_id(2)}")
        assert open_store().read_device(client_id(1)) is None
        for wanted in (full, bare):
            assert enroll(open_store(), wanted) == wanted
            assert open_store().read_device(wanted.client_id) == wanted

    def test_a_code_is_used_up_by_the_device_that_it_gives(self, open_store: OpenStore) -> None:
        store = open_store()
        store.invite(invitation())
        enroll(store, device(1), code_hash=CODE)
        assert open_store().read_invitation(CODE) == invitation(used_by=client_id(1))
        assert why_not(store, device(2), code_hash=CODE) is Reason.CODE_USED
        assert open_store().read_device(client_id(2)) is None

    def test_a_code_enrols_until_the_instant_at_which_it_expires(self, open_store: OpenStore) -> None:
        store = open_store()
        for code in (CODE, "d" * 64):
            store.invite(invitation(code))
        assert why_not(store, device(1), code_hash=CODE, now=NOW + 600) is Reason.CODE_EXPIRED
        assert enrolled(store, device(1), code_hash="d" * 64, now=NOW + 599.999)
        assert why_not(store, device(1), code_hash="d" * 64, now=NOW + 600) is Reason.CODE_EXPIRED
        assert enrolled(store, device(2), code_hash=CODE, now=NOW - 30), "an expiry is all that time decides"

    def test_a_code_that_was_never_given_out_enrols_nothing(self, open_store: OpenStore) -> None:
        assert why_not(open_store(), device(1), code_hash=CODE) is Reason.CODE_UNKNOWN
        assert open_store().read_device(client_id(1)) is None

    def test_the_same_code_and_key_give_the_device_that_they_gave_before(self, open_store: OpenStore) -> None:
        open_store().invite(invitation())
        first = enroll(open_store(), device(1), code_hash=CODE, max_per_owner=1)
        again = device(2, thumbprint=first.thumbprint, jwk=first.jwk, name="another name", created_at=NOW + 60)
        assert enroll(open_store(), again, code_hash=CODE, max_per_owner=1, now=NOW + 599) == first
        assert open_store().read_device(client_id(2)) is None

    def test_without_a_code_the_same_key_gives_its_source_owner_and_sub_the_same_device(
        self, open_store: OpenStore
    ) -> None:
        store = open_store()
        first = enroll(store, device(1), max_per_owner=1)
        again = device(2, thumbprint=first.thumbprint)
        assert enroll(store, again, max_per_owner=1, now=NOW + 10**6) == first
        for other in ({"source": "laptops"}, {"owner": "bob"}, {"sub": "company:alice"}):
            assert why_not(store, device(2, thumbprint=first.thumbprint, **other)) is Reason.KEY_ENROLLED_BEFORE
        assert store.read_device(client_id(2)) is None

    @pytest.mark.parametrize("source", ["phones", "laptops"])
    def test_a_key_that_is_a_devices_enrols_no_other_one_and_uses_up_no_code(
        self, open_store: OpenStore, source: str
    ) -> None:
        store = open_store()
        for code in (CODE, "d" * 64):
            store.invite(invitation(code, source=source))
        first = enroll(store, device(1, source=source), code_hash=CODE)
        again = device(2, thumbprint=first.thumbprint)
        assert why_not(store, again, code_hash="d" * 64) is Reason.KEY_ENROLLED_BEFORE
        assert store.read_invitation("d" * 64) == invitation("d" * 64, source=source)
        assert enrolled(store, device(2), code_hash="d" * 64)

    def test_nothing_is_said_of_a_key_to_who_has_no_good_code(self, open_store: OpenStore) -> None:
        store = open_store()
        store.invite(invitation())
        enroll(store, device(1))
        known = device(2, thumbprint=device(1).thumbprint)
        assert why_not(store, known, code_hash="d" * 64) is Reason.CODE_UNKNOWN
        assert why_not(store, known, code_hash=CODE, now=NOW + 600) is Reason.CODE_EXPIRED
        enroll(store, device(3), code_hash=CODE)
        assert why_not(store, known, code_hash=CODE) is Reason.CODE_USED

    def test_the_key_of_a_revoked_device_never_enrols_again(self, open_store: OpenStore) -> None:
        store = open_store()
        store.invite(invitation())
        enroll(store, device(1), code_hash=CODE)
        store.revoke_device(client_id(1), NOW)
        again = device(2, thumbprint=device(1).thumbprint)
        assert why_not(store, again, code_hash=CODE) is Reason.CODE_USED
        store.invite(invitation("d" * 64))
        for code_hash in (None, "d" * 64):
            for source in ("phones", "laptops"):
                wanted = replace(again, source=source)
                assert why_not(open_store(), wanted, code_hash=code_hash) is Reason.KEY_ENROLLED_BEFORE

    def test_a_retired_key_never_returns(self, open_store: OpenStore) -> None:
        store = open_store()
        store.invite(invitation())
        enroll(store, device(1), code_hash=CODE)
        enroll(store, device(3))
        rekey(store, 1, expected=1, new=2)
        for former in (1, 2, 3):
            for number, own in ((1, 2), (3, 3)):
                with pytest.raises(MetadataRefused) as refused:
                    rekey(open_store(), number, expected=own, new=former)
                assert refused.value.reason is Reason.KEY_ENROLLED_BEFORE
        for source in ("phones", "laptops"):
            again = device(4, thumbprint=device(1).thumbprint, source=source)
            assert why_not(store, again) is Reason.KEY_ENROLLED_BEFORE
        assert why_not(store, device(1), code_hash=CODE) is Reason.CODE_USED
        assert enroll(store, device(5, thumbprint=device(2).thumbprint), code_hash=CODE).client_id == client_id(1)

    def test_an_owner_has_so_many_devices_of_a_source_that_are_not_revoked(self, open_store: OpenStore) -> None:
        store = open_store()
        store.invite(invitation())
        for number in (1, 2):
            enroll(store, device(number), max_per_owner=2)
        assert why_not(store, device(3), max_per_owner=2) is Reason.TOO_MANY_DEVICES
        assert why_not(store, device(3), code_hash=CODE, max_per_owner=2) is Reason.TOO_MANY_DEVICES
        assert store.read_invitation(CODE) == invitation()
        assert enrolled(store, device(4, owner="bob"), max_per_owner=2)
        assert enrolled(store, device(5, source="laptops"), max_per_owner=2)
        store.revoke_device(client_id(1), NOW)
        assert enrolled(store, device(3), code_hash=CODE, max_per_owner=2)

    def test_without_an_owner_or_a_limit_there_may_be_any_number(self, open_store: OpenStore) -> None:
        store = open_store()
        for number in range(3):
            assert enrolled(store, device(number, owner=None), max_per_owner=1)
            assert enrolled(store, device(number + 3), max_per_owner=None)

    def test_devices_are_listed_by_source_and_owner_in_order_and_page_by_page(self, open_store: OpenStore) -> None:
        store = open_store()
        sources, owners = ("phones", "laptops", "hosts"), ("alice", "bob", None)
        everything = [device(n, source=sources[n % 3], owner=owners[n // 3 % 3]) for n in range(18)]
        for one in reversed(everything):
            enroll(store, one)
        revoked = store.revoke_device(client_id(4), NOW)
        assert revoked is not None
        everything[4] = revoked
        store = open_store()
        for asked in ([], ["phones"], ["laptops", "phones"], ["phones", "phones", "nowhere"], list(sources)):
            for owner in (None, "alice", "bob", "nobody"):
                wanted = [one for one in everything if one.source in asked and owner in (None, one.owner)]
                assert list(store.list_devices(asked, owner=owner)) == wanted
                paged = list(store.list_devices(asked, owner=owner, limit=2))
                while paged[-1:] != wanted[-1:]:
                    paged += store.list_devices(asked, owner=owner, after=paged[-1].client_id, limit=2)
                assert paged == wanted
        assert [one.client_id for one in store.list_devices(sources, after="dev_" + "0" * 20 + "155")] == [
            client_id(16),
            client_id(17),
        ]

    def test_a_list_ends_at_a_hundred_unless_told_otherwise(self, open_store: OpenStore) -> None:
        store = open_store()
        for number in range(101):
            enroll(store, device(number))
        assert len(store.list_devices(["phones"])) == 100
        assert len(store.list_devices(["phones"], limit=101)) == 101

    def test_a_device_gets_another_key_and_stays_the_same_otherwise(self, open_store: OpenStore) -> None:
        store = open_store()
        before = enroll(store, device(1, key_id="mine", name="phone", attributes={"team": "blue"}))
        after = rekey(store, 1, expected=1, new=2, key_id="other")
        assert after == replace(before, jwk=device(2).jwk, thumbprint=device(2).thumbprint, key_id="other")
        assert open_store().read_device(client_id(1)) == after
        assert rekey(store, 1, expected=2, new=3).key_id is None

    def test_who_expects_another_key_replaces_none(self, open_store: OpenStore) -> None:
        store = open_store()
        enroll(store, device(1))
        enroll(store, device(2))
        revoked = store.revoke_device(client_id(2), NOW)
        for number, expected in ((1, 2), (2, 2), (3, 3)):
            with pytest.raises(Conflict):
                rekey(open_store(), number, expected=expected, new=9)
        assert store.read_device(client_id(1)) == device(1)
        assert store.read_device(client_id(2)) == revoked
        assert enrolled(store, device(9)), "the key was remembered although nothing came of it"

    def test_a_device_is_revoked_for_ever_and_on_every_node(self, open_store: OpenStore) -> None:
        store = open_store()
        enroll(store, device(1))
        enroll(store, device(2))
        revoked = replace(device(1), revoked_at=NOW + 5)
        assert store.revoke_device(client_id(1), NOW + 5) == revoked
        assert open_store().revoke_device(client_id(1), NOW + 60) == revoked
        assert open_store().read_device(client_id(1)) == revoked
        assert store.read_device(client_id(2)) == device(2)
        assert store.revoke_device(client_id(3), NOW) is None

    def test_of_fifty_that_enrol_with_one_code_on_two_nodes_exactly_one_does(self, open_store: OpenStore) -> None:
        nodes = [open_store(), open_store()]
        nodes[0].invite(invitation())
        outcomes = race(50, lambda number: enrolled(nodes[number % 2], device(number), code_hash=CODE))
        assert outcomes.count(True) == 1
        assert [one.client_id for one in nodes[0].list_devices(["phones"])] == [client_id(outcomes.index(True))]

    def test_of_fifty_that_enrol_one_key_with_one_code_all_get_the_same_device(self, open_store: OpenStore) -> None:
        nodes, given = [open_store(), open_store()], set[str]()
        nodes[0].invite(invitation())

        def ask(number: int) -> bool:
            wanted = device(number, thumbprint=device(0).thumbprint)
            given.add(enroll(nodes[number % 2], wanted, code_hash=CODE, max_per_owner=1).client_id)
            return True

        assert all(race(50, ask))
        assert [one.client_id for one in nodes[0].list_devices(["phones"])] == list(given)

    def test_no_race_gives_an_owner_more_devices_than_are_allowed(self, open_store: OpenStore) -> None:
        nodes = [open_store(), open_store()]
        for number in range(20):
            nodes[0].invite(invitation(f"{number:064x}"))

        def ask(number: int) -> bool:
            return enrolled(nodes[number % 2], device(number), code_hash=f"{number:064x}", max_per_owner=5)

        assert race(20, ask).count(True) == 5
        assert len(nodes[0].list_devices(["phones"])) == 5

    def test_of_many_new_keys_at_once_a_device_gets_exactly_one(self, open_store: OpenStore) -> None:
        nodes = [open_store(), open_store()]
        enroll(nodes[0], device(0))

        def ask(number: int) -> bool:
            try:
                rekey(nodes[number % 2], 0, expected=0, new=number + 1)
            except Conflict:
                return False
            return True

        outcomes = race(20, ask)
        assert outcomes.count(True) == 1
        found = nodes[1].read_device(client_id(0))
        assert found is not None
        assert found.thumbprint == device(outcomes.index(True) + 1).thumbprint

    def test_of_many_devices_that_want_one_key_exactly_one_gets_it(self, open_store: OpenStore) -> None:
        nodes = [open_store(), open_store()]
        for number in range(10):
            enroll(nodes[0], device(number))

        def ask(number: int) -> bool:
            try:
                rekey(nodes[number % 2], number, expected=number, new=99)
            except MetadataRefused:
                return False
            return True

        assert race(10, ask).count(True) == 1

    def test_a_sweep_forgets_expired_invitations_and_no_device(self, open_store: OpenStore) -> None:
        store = open_store()
        store.invite(invitation())
        store.invite(invitation("d" * 64, expires_at=NOW + 600.001))
        enroll(store, device(1), code_hash=CODE)
        enroll(store, device(2))
        store.revoke_device(client_id(2), NOW)
        store.sweep(NOW + 600)
        assert store.read_invitation(CODE) is None
        assert store.read_invitation("d" * 64) is not None
        assert why_not(store, device(3), code_hash=CODE) is Reason.CODE_UNKNOWN
        store.sweep(NOW + 10**9)
        assert [one.client_id for one in store.list_devices(["phones"])] == [client_id(1), client_id(2)]
        assert why_not(store, device(3, thumbprint=device(2).thumbprint)) is Reason.KEY_ENROLLED_BEFORE

    def test_devices_and_invitations_survive_closing_and_opening_again(self, open_store: OpenStore) -> None:
        store = open_store()
        store.invite(invitation())
        enroll(store, device(1), code_hash=CODE)
        store.close()
        assert open_store().read_invitation(CODE) == invitation(used_by=client_id(1))
        assert open_store().read_device(client_id(1)) == device(1)
