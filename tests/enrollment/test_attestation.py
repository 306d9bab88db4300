"""The seam for attestations: a format vouches, and what it vouches for is what rules match."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from authserver.enrollment.attest import Attested, Format
from authserver.enrollment.attestation import FORMATS
from authserver.enrollment.enroll import Enrollment
from authserver.enrollment.invitation import hash_code, make_code
from authserver.enrollment.metadata import read_metadata
from authserver.enrollment.owners import Owner
from authserver.enrollment.rules import EnrollmentRules
from authserver.errors import MetadataRefused, Reason
from authserver.identity.sources.device import device_attributes
from authserver.model import Invitation
from authserver.store.sqlite import SqliteStore
from tests.devices import DeviceKey

RULES = {"phones": EnrollmentRules(max_per_owner=5, code_lifetime=600, enroll_with=("company",))}
ALICE = Owner("company", "alice")


class Notary:
    """A format of our own, which believes who knows the word and the key."""

    def __init__(self, attested: Attested) -> None:
        self.attested = attested

    def attest(self, unverified_members: Mapping[str, Any], *, thumbprint: str, now: float) -> Attested:
        if unverified_members != {"word": "please", "key": thumbprint, "at": now}:
            raise MetadataRefused(Reason.ATTESTATION_UNSUPPORTED)
        return self.attested


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(tmp_path / "store.db")


def enrolling(store: SqliteStore, formats: Mapping[str, Format]) -> Enrollment:
    return Enrollment(store, RULES, clock=lambda: 1000.0, randomness=secrets.token_urlsafe, formats=formats)


def enrollment(store: SqliteStore, attested: Attested) -> Enrollment:
    return enrolling(store, {"notary": Notary(attested)})


def statement(key: DeviceKey, **changes: object) -> dict[str, object]:
    return {"format": "notary", "word": "please", "key": key.thumbprint, "at": 1000.0, **changes}


def test_what_a_format_attests_is_what_rules_match(store: SqliteStore) -> None:
    key = DeviceKey()
    room = enrollment(store, Attested("notary-strong", model="the real model", app_id="com.example.real"))
    candidate = room.owned(ALICE, read_metadata(key.registration(attestation=statement(key))))
    device = room.complete(candidate)
    assert device_attributes(device)["attestation"] == ("notary-strong",)
    assert (device.platform, device.model, device.app_id) == ("ios", "the real model", "com.example.real")
    assert store.read_device(device.client_id) == device


def test_a_format_is_told_of_the_key_and_may_refuse(store: SqliteStore) -> None:
    key, other = DeviceKey(), DeviceKey()
    metadata = read_metadata(key.registration(attestation=statement(other)))
    with pytest.raises(MetadataRefused):
        enrollment(store, Attested("notary-strong")).owned(ALICE, metadata)


def test_the_platform_of_an_invitation_is_compared_with_what_is_attested(store: SqliteStore) -> None:
    code = make_code(lambda count: b"\7" * count)
    store.invite(Invitation(hash_code(code), "phones", None, "android", {}, 1000.0, 1600.0))
    key = DeviceKey()
    metadata = read_metadata(key.registration(attestation=statement(key), device={"platform": "ios"}))
    with pytest.raises(MetadataRefused) as caught:
        enrollment(store, Attested("notary-strong")).invited(code, metadata)
    assert caught.value.reason is Reason.INVITATION_MISMATCH
    candidate = enrollment(store, Attested("notary-strong", platform="android")).invited(code, metadata)
    assert candidate.device.platform == "android"


def test_an_attestation_without_a_configured_format_is_refused_and_never_ignored(store: SqliteStore) -> None:
    key = DeviceKey()
    metadata = read_metadata(key.registration(attestation=statement(key, format="unheard-of")))
    for formats in ({}, {"notary": Notary(Attested("notary-strong"))}):
        with pytest.raises(MetadataRefused) as caught:
            enrolling(store, formats).owned(ALICE, metadata)
        assert caught.value.reason is Reason.ATTESTATION_UNSUPPORTED
        assert caught.value.facts == {"unverified_format": "unheard-of"}


def test_a_device_without_attestation_has_none(store: SqliteStore) -> None:
    assert FORMATS == {}
    assert (
        enrolling(store, FORMATS).owned(ALICE, read_metadata(DeviceKey().registration())).device.attestation == "none"
    )
