"""``explain`` about devices: described by attributes, or by an assertion of theirs, and as the server decides."""

from pathlib import Path
from typing import Any

import pytest

from tests.devices import PHONES, DeviceKey
from tests.explain.commands import explained, run
from tests.explain.denials import PROD
from tests.explain.world import World
from tests.served import AUDIENCE, IMAGES, write_configuration

PROOF = "a device needs a DPoP proof by its own key too, which is not looked at here"
READS = ("--resource", IMAGES, "--scope", "images:read")
DESCRIBED = ("--source", "phones", *READS)


def of_assertion(world: World, assertion: str, *asked: str) -> Any:
    return explained(world.configuration, *(asked or READS), "--at", str(world.clock()), token=assertion)


def assertion_of(world: World, client_id: str, **claims: Any) -> str:
    return world.devices[client_id].assertion(client_id, AUDIENCE, now=world.clock(), **claims)


def as_decided(found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in ("reason", "facts", "granted")}


def test_an_assertion_is_explained_as_the_server_decides_on_it_and_not_used_up(world: World) -> None:
    client_id, _ = world.enroll("good")
    assertion, before = assertion_of(world, client_id), world.files()
    for _ in range(2):
        found = of_assertion(world, assertion)
        assert (found["decision"], found["notes"]) == ("allow", [PROOF])
    assert world.files() == before
    assert found["caller"] == {
        "basis": "verified",
        "source": "phones",
        "sub": "phones:owner/alice",
        "attributes": {"attestation": ["none"], "owner": ["alice"], "platform": ["ios"]},
    }
    assert world.decided_of_device(client_id, assertion, IMAGES, "images:read") == as_decided(found)
    again = of_assertion(world, assertion)
    assert (again["reason"], again["rules"]["decision"]) == ("used_twice", "allow")
    decided = world.decided_of_device(client_id, assertion, IMAGES, "images:read")
    assert decided == as_decided(again)


def test_people_are_told_that_a_proof_is_wanted_too(world: World) -> None:
    client_id, _ = world.enroll("people")
    asked = ("--token", "-", *READS, "--at", str(world.clock()))
    result = run("explain", "--config", world.configuration, *asked, stdin=assertion_of(world, client_id))
    assert result.exit_code == 0
    assert result.stdout.startswith("allowed: images:read, for 1h\n  decided by: 'phones-of-alice'\n")
    assert f"  note: {PROOF}\n" in result.stdout
    assert "caller 'phones:owner/alice' (verified)" in result.stdout


def test_a_device_that_no_rule_admits_is_suggested_a_rule_for_its_owner(world: World) -> None:
    client_id, _ = world.enroll("bobs", owner="bob", sub="phones:owner/bob")
    assertion = assertion_of(world, client_id)
    found = of_assertion(world, assertion)
    assert (found["reason"], found["notes"]) == ("no_rule", [])
    assert 'match = { owner = "bob" }' in found["suggestion"]
    assert world.decided_of_device(client_id, assertion, IMAGES, "images:read") == as_decided(found)


def test_no_rule_is_suggested_for_a_device_that_nobody_owns(world: World) -> None:
    client_id, _ = world.enroll("nobodys", owner=None, sub="phones:device/dev_x")
    found = of_assertion(world, assertion_of(world, client_id))
    assert (found["reason"], found["suggestion"]) == ("no_rule", None)
    assert found["notes"] == ["no rule is suggested, for it would admit several workloads: the caller lacks owner"]


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": -31}, "expired"),
        ({"exp": 331}, "lives_too_long"),
        ({"sub": "dev_somebody"}, "subject_mismatch"),
        ({"aud": f"{AUDIENCE}/token"}, "audience_wrong"),
        ({"jti": None}, "claim_missing"),
    ],
)
def test_an_assertion_that_is_not_believed_is_refused_alike_and_its_device_still_shown_to_the_rules(
    claims: dict[str, Any], reason: str, world: World
) -> None:
    now = int(world.clock())
    client_id, _ = world.enroll(f"bad{reason.replace('_', '')}"[:20])
    changed = {name: now + value if isinstance(value, int) else value for name, value in claims.items()}
    assertion = assertion_of(world, client_id, **changed)
    found = of_assertion(world, assertion)
    assert (found["reason"], found["rules"]["decision"], found["suggestion"]) == (reason, "allow", None)
    assert (found["caller"]["basis"], found["caller"]["sub"]) == ("unverified", "phones:owner/alice")
    assert world.decided_of_device(client_id, assertion, IMAGES, "images:read") == as_decided(found)


def test_a_revoked_device_and_a_strangers_key_are_refused_alike(world: World) -> None:
    client_id, _ = world.enroll("revoked")
    forged = DeviceKey().assertion(client_id, AUDIENCE, now=world.clock())
    assert of_assertion(world, forged)["reason"] == "signature_wrong"
    world.service.store.revoke_device(client_id, world.clock())
    assertion = assertion_of(world, client_id)
    found = of_assertion(world, assertion)
    assert (found["reason"], found["rules"]["decision"]) == ("device_revoked", "allow")
    assert world.decided_of_device(client_id, assertion, IMAGES, "images:read") == as_decided(found)


def test_a_device_that_is_not_there_is_nobody(world: World) -> None:
    nobody = "dev_" + "n" * 22
    for client_id in (nobody, "dev_n"):
        found = of_assertion(world, DeviceKey().assertion(client_id, AUDIENCE, now=world.clock()))
        assert (found["reason"], found["caller"], found["rules"]) == ("device_unknown", None, None)


def test_a_device_of_a_source_that_is_gone_is_nobody(world: World) -> None:
    client_id, _ = world.enroll("gone", source="tablets", sub="tablets:owner/alice")
    found = of_assertion(world, assertion_of(world, client_id))
    assert (found["reason"], found["caller"]) == ("device_unknown", None)


def test_a_store_that_cannot_be_read_is_no_denial(tmp_path: Path) -> None:
    file = write_configuration(tmp_path, cluster=PROD, issuer=AUDIENCE, more=PHONES.format(phones=""))
    assertion = DeviceKey().assertion("dev_" + "a" * 22, AUDIENCE)
    assert explained(file, *READS, token=assertion)["reason"] == "device_unknown"
    (tmp_path / "authserver.db").write_bytes(b"this is no database" * 100)
    found = explained(file, *READS, token=assertion)
    assert (found["decision"], found["reason"], found["caller"]) == ("unavailable", "store_unavailable", None)


def test_a_device_is_described_by_its_attributes(world: World) -> None:
    found = explained(world.configuration, *DESCRIBED, claims={"owner": "alice", "role": "kiosk", "platform": "ios"})
    assert (found["decision"], found["notes"]) == ("allow", [PROOF])
    assert (found["caller"]["basis"], found["caller"]["sub"]) == ("supposed", None)
    denied = explained(world.configuration, *DESCRIBED, claims={"owner": "bob", "platform": "ios"})
    assert (denied["reason"], denied["notes"]) == ("no_rule", [])
    assert 'match = { owner = "bob" }' in denied["suggestion"]


def test_an_attribute_that_is_probably_misspelt_is_noted(world: World) -> None:
    found = explained(world.configuration, *DESCRIBED, claims={"onwer": "alice"})
    assert found["reason"] == "no_rule"
    assert found["notes"][0] == "'owner' is probably meant; onwer is there only if the device's invitation gave it"


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ('{"iss": "dev_x", "sub": "dev_x"}', "show an assertion of it with --token"),
        ('{"Owner": "alice"}', "is no attribute of the source 'phones'. Its attributes are: app_id, attestation, "),
    ],
)
def test_what_does_not_describe_a_device_is_a_mistake_of_usage(claims: str, message: str, world: World) -> None:
    result = run("explain", "--config", world.configuration, "--claims", "-", *DESCRIBED, stdin=claims)
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_sources_that_there_are_include_those_of_devices(world: World) -> None:
    asked = ("--source", "fones", *READS)
    result = run("explain", "--config", world.configuration, "--claims", "-", *asked, stdin="{}")
    assert result.exit_code == 2
    assert "There are: cluster, github, once, phones." in result.stderr
