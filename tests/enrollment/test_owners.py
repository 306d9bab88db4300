"""Whose devices they are: what an authority covers, whatever is asked for."""

from pathlib import Path

import pytest

from authserver.enrollment.owners import Authority, DeviceRegister, Owner
from authserver.enrollment.rules import EnrollmentRules
from authserver.errors import CredentialRejected, DeviceAbsent, Reason
from authserver.model import Device
from authserver.store.sqlite import SqliteStore

RULES = {
    "phones": EnrollmentRules(max_per_owner=5, code_lifetime=600, enroll_with=("company",)),
    "laptops": EnrollmentRules(max_per_owner=5, code_lifetime=600, enroll_with=()),
}
DEVICES = {"one": ("phones", "company:alice"), "two": ("phones", "company:bob"), "three": ("laptops", "company:alice")}
EVERYTHING = Authority(frozenset(RULES))


@pytest.fixture
def register(tmp_path: Path) -> DeviceRegister:
    store = SqliteStore(tmp_path / "store.db")
    for name, (source, owner) in DEVICES.items():
        device = Device(name, source, owner, owner, jwk={}, thumbprint=name, created_at=1.0)
        store.enroll(device, code_hash=None, max_per_owner=None, now=1.0)
    return DeviceRegister(store, RULES, clock=lambda: 2.0)


def names(register: DeviceRegister, authority: Authority, owner: str | None = None, *sources: str) -> set[str]:
    """Which devices are listed."""
    page = register.list(authority, sources=sources or tuple(RULES), owner=owner, after="", limit=100)
    assert page.is_last
    return {device.client_id for device in page.devices}


def test_an_owner_has_authority_over_the_own_devices_where_the_owner_may_enrol(register: DeviceRegister) -> None:
    alice = register.owned_by(Owner("company", "alice"))
    assert alice == Authority(frozenset({"phones"}), "company:alice")
    with pytest.raises(CredentialRejected) as caught:
        register.owned_by(Owner("strangers", "alice"))
    assert caught.value.reason is Reason.ENROLLMENT_NOT_ALLOWED


def test_a_list_never_goes_beyond_the_authority_whatever_is_asked_for(register: DeviceRegister) -> None:
    alice = register.owned_by(Owner("company", "alice"))
    assert names(register, alice) == names(register, alice, "company:alice") == {"one"}
    assert names(register, alice, "company:bob") == set()
    assert names(register, alice, None, "laptops") == set()
    assert names(register, EVERYTHING) == {"one", "two", "three"}
    assert names(register, EVERYTHING, "company:alice") == {"one", "three"}
    assert names(register, EVERYTHING, None, "laptops") == {"three"}


def test_only_what_is_covered_can_be_revoked(register: DeviceRegister) -> None:
    alice = register.owned_by(Owner("company", "alice"))
    for name in ("two", "three", "four"):
        with pytest.raises(DeviceAbsent):
            register.revoke(alice, name)
    assert register.revoke(alice, "one").revoked_at == 2.0
    assert register.revoke(EVERYTHING, "three").revoked_at == 2.0
