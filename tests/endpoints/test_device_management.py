"""``/register/<client_id>``: what a device does with its own registration (RFC 7592), proving its key each time."""

import threading
from typing import Any

import pytest

from authserver.testing import FakeIssuer
from tests import leaks
from tests.devices import DeviceKey, token_form
from tests.endpoints import phones
from tests.endpoints.conftest import Application, MakeApplication
from tests.endpoints.phones import REGISTER, enrolled, manage, nonce, register, signed_in
from tests.endpoints.test_outages import lose_the_store
from tests.served import AUDIENCE, Answer

CHALLENGE = 'DPoP error="{}", algs="ES256 EdDSA Ed25519"'


@pytest.fixture
def application(make_application: MakeApplication, cluster: FakeIssuer) -> Application:
    """An application that devices can enrol at."""
    return make_application(**phones.settings(cluster))


@pytest.fixture
def key() -> DeviceKey:
    """The key of the device."""
    return DeviceKey()


@pytest.fixture
def client_id(application: Application, cluster: FakeIssuer, key: DeviceKey) -> str:
    """The device."""
    return enrolled(application, cluster, key)


def rekey(application: Application, client_id: str, old: DeviceKey, new: DeviceKey, **changes: Any) -> Answer:
    """``PUT``: another key. ``claims`` change the old key's proof, and ``proof`` and ``document`` the body."""
    url = f"{REGISTER}/{client_id}"
    proof = new.proof("PUT", url, now=application.clock(), **changes.pop("proof", {}))
    document = {"jwks": {"keys": [new.jwk]}, "new_key_proof": proof, **changes.pop("document", {})}
    claims = {"new_jkt": new.thumbprint, **changes.pop("claims", {})}
    document = {name: value for name, value in document.items() if value is not None}
    return manage(application, old, "PUT", client_id, claims=claims, document=document, **changes)


def said(answer: Answer, application: Application) -> tuple[int, str | None, str | None]:
    """The status, the error that the caller sees, and the reason that the operator sees."""
    return answer.status, answer.json.get("error"), application.reason


def may_get_a_token(application: Application, key: DeviceKey, client_id: str) -> bool:
    """Whether the token endpoint gives a device a token."""
    now = application.clock()
    form = token_form(client_id, key.assertion(client_id, AUDIENCE, now=now))
    return application.post(form, headers=[("DPoP", key.proof("POST", f"{AUDIENCE}/token", now=now))]).status == 200


# Reading


def test_a_device_reads_what_is_registered_and_that_is_no_decision(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    created = register(application, key, signed_in(cluster))
    before = nonce(application)
    events = len(application.events)
    answer = manage(application, key, "GET", created.json["client_id"], claims={"nonce": before})
    assert answer.status == 200
    assert answer.json == created.json
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["DPoP-Nonce"]
    asked_for_a_nonce = events + 1  # which `manage` does first
    assert len(application.events) == asked_for_a_nonce


def test_a_nonce_of_ours_is_wanted(application: Application, key: DeviceKey, client_id: str) -> None:
    """R67"""
    for wrong in (None, "AAAA"):
        answer = manage(application, key, "GET", client_id, claims={"nonce": wrong})
        assert said(answer, application) == (401, "use_dpop_nonce", "nonce_wrong" if wrong else "nonce_missing")
        assert answer.headers["WWW-Authenticate"] == CHALLENGE.format("use_dpop_nonce")
        proof = key.proof("GET", f"{REGISTER}/{client_id}", nonce=answer.headers["DPoP-Nonce"], now=1)
        assert manage(application, key, "GET", client_id, proof=proof).status == 200  # whatever its clock says


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_nobody_learns_which_devices_there_are(
    method: str, application: Application, cluster: FakeIssuer, key: DeviceKey, client_id: str
) -> None:
    """R70"""
    gone, ended = DeviceKey(), DeviceKey()
    deleted, revoked = enrolled(application, cluster, gone), enrolled(application, cluster, ended)
    assert manage(application, gone, "DELETE", deleted).status == 204
    application.service.store.revoke_device(revoked, application.clock())
    answers = []
    for who, whom, reason in (
        (key, "dev_" + "A" * 22, "device_unknown"),
        (key, "no such thing", "proof_address_wrong"),
        (DeviceKey(), client_id, "proof_key_wrong"),
        (gone, deleted, "device_revoked"),
        (ended, revoked, "device_revoked"),
    ):
        answer = manage(application, who, method, whom)
        assert application.reason == reason
        if reason != "proof_address_wrong":
            answers.append((answer.status, {**answer.json, "request_id": ""}, answer.headers["WWW-Authenticate"]))
    assert all(answer == answers[0] for answer in answers)
    assert (answers[0][0], answers[0][2]) == (401, CHALLENGE.format("invalid_token"))


def test_a_bad_proof_is_told_before_the_device_is_looked_up(
    application: Application, key: DeviceKey, client_id: str
) -> None:
    """R61, R62, R63"""
    url, now = f"{REGISTER}/{client_id}", application.clock()
    good: dict[str, Any] = {"nonce": nonce(application), "now": now}
    lose_the_store(application)
    for proofs, reason in (
        ([], "proof_missing"),
        ([key.proof("GET", url, **good)] * 2, "proof_repeated"),
        ([key.proof("DELETE", url, **good)], "proof_method_wrong"),
        ([key.proof("GET", REGISTER, **good)], "proof_address_wrong"),
        (["nonsense"], "proof_malformed"),
    ):
        answer = application.ask("GET", f"/register/{client_id}", headers=[("DPoP", proof) for proof in proofs])
        assert said(answer, application) == (401, "invalid_dpop_proof", reason)
        assert answer.headers["WWW-Authenticate"] == CHALLENGE.format("invalid_dpop_proof")


def test_a_proof_is_good_for_one_request(application: Application, key: DeviceKey, client_id: str) -> None:
    """R64"""
    proof = key.proof("GET", f"{REGISTER}/{client_id}", nonce=nonce(application), now=application.clock())
    assert manage(application, key, "GET", client_id, proof=proof).status == 200
    answer = manage(application, key, "GET", client_id, proof=proof)
    assert said(answer, application) == (401, "invalid_dpop_proof", "proof_replayed")


# Another key


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")
def test_a_device_replaces_its_key_and_the_old_one_is_worth_nothing(
    application: Application, key: DeviceKey, client_id: str
) -> None:
    new = DeviceKey("EdDSA")
    named = {"jwks": {"keys": [{**new.jwk, "kid": "second"}]}}
    answer = rekey(application, client_id, key, new, document=named)
    assert answer.status == 200
    assert answer.json["client_id"] == client_id
    assert answer.json["jwks"] == named["jwks"]
    event = application.events[-1]
    assert (event["event"], event["outcome"], event["client_id"]) == ("device", "rekeyed", client_id)
    assert event["thumbprint"] == new.thumbprint
    assert may_get_a_token(application, new, client_id)
    assert not may_get_a_token(application, key, client_id)
    assert said(manage(application, key, "GET", client_id), application) == (401, "invalid_token", "proof_key_wrong")
    assert manage(application, new, "GET", client_id).json == answer.json


def test_where_devices_keep_their_key_nobody_replaces_it(
    make_application: MakeApplication, cluster: FakeIssuer, key: DeviceKey
) -> None:
    """Whoever can use a key for a moment, like a script in a page, cannot move the device to another one."""
    application = make_application(**phones.settings(cluster, phones="rekey = false"))
    client_id = enrolled(application, cluster, key)
    answer = rekey(application, client_id, key, DeviceKey())
    assert said(answer, application) == (400, "invalid_client_metadata", "rekey_not_allowed")
    assert "keep their key" in answer.json["error_description"]
    assert may_get_a_token(application, key, client_id)


def test_a_retired_key_never_returns(
    application: Application, cluster: FakeIssuer, key: DeviceKey, client_id: str
) -> None:
    new = DeviceKey()
    assert rekey(application, client_id, key, new).status == 200
    refused = (400, "invalid_client_metadata", "key_enrolled_before")
    for back in (key, new):
        assert said(rekey(application, client_id, new, back), application) == refused
    other = DeviceKey()
    elsewhere = enrolled(application, cluster, other)
    assert said(rekey(application, elsewhere, other, key), application) == refused
    assert said(register(application, key, signed_in(cluster)), application) == refused


@pytest.mark.parametrize(
    ("changes", "reason", "error"),
    [
        ({"claims": {"new_jkt": None}}, "proof_malformed", "invalid_dpop_proof"),
        ({"claims": {"new_jkt": "x"}}, "proof_key_wrong", "invalid_dpop_proof"),
        ({"document": {"new_key_proof": None}}, "proof_missing", "invalid_dpop_proof"),
        ({"document": {"new_key_proof": ["x"]}}, "proof_missing", "invalid_dpop_proof"),
        ({"document": {"new_key_proof": "x"}}, "proof_malformed", "invalid_dpop_proof"),
        ({"proof": {"htm": "POST"}}, "proof_method_wrong", "invalid_dpop_proof"),
        ({"proof": {"htu": REGISTER}}, "proof_address_wrong", "invalid_dpop_proof"),
        ({"proof": {"iat": 1}}, "proof_time_wrong", "use_dpop_nonce"),
    ],
    ids=["no new_jkt", "another new_jkt", "no proof", "no string", "no jwt", "method", "address", "time"],
)
def test_both_keys_must_agree(
    changes: dict[str, Any], reason: str, error: str, application: Application, key: DeviceKey, client_id: str
) -> None:
    assert said(rekey(application, client_id, key, DeviceKey(), **changes), application) == (401, error, reason)
    assert may_get_a_token(application, key, client_id)


def test_the_new_key_must_be_there_and_not_only_be_named(
    application: Application, key: DeviceKey, client_id: str
) -> None:
    new, victim = DeviceKey(), DeviceKey()
    document = {"jwks": {"keys": [victim.jwk]}}
    for claims in ({"new_jkt": victim.thumbprint}, {"new_jkt": new.thumbprint}):
        answer = rekey(application, client_id, key, new, claims=claims, document=document)
        assert said(answer, application) == (401, "invalid_dpop_proof", "proof_key_wrong")


def test_the_new_keys_proof_is_good_for_one_request_too(
    application: Application, key: DeviceKey, client_id: str
) -> None:
    new = DeviceKey()
    proof = new.proof("PUT", f"{REGISTER}/{client_id}", now=application.clock())
    document = {"new_key_proof": proof}
    assert rekey(application, client_id, key, new, document=document).status == 200
    answer = rekey(application, client_id, new, new, document=document)
    assert said(answer, application) == (401, "invalid_dpop_proof", "proof_replayed")


@pytest.mark.parametrize(
    ("document", "reason"),
    [({"jwks": None}, "metadata_malformed"), ({"jwks": {"keys": [{"kty": "oct"}]}}, "key_unsuitable")],
    ids=["none", "another kind"],
)
def test_a_key_that_cannot_be_enrolled_cannot_be_a_second_one(
    document: dict[str, Any], reason: str, application: Application, key: DeviceKey, client_id: str
) -> None:
    answer = rekey(application, client_id, key, DeviceKey(), document=document)
    assert said(answer, application) == (400, "invalid_client_metadata", reason)


def test_an_attestation_of_another_key_is_refused_and_never_ignored(
    application: Application, key: DeviceKey, client_id: str
) -> None:
    for attestation, reason in (({"format": "app-attest"}, "attestation_unsupported"), ({}, "metadata_malformed")):
        answer = rekey(application, client_id, key, DeviceKey(), document={"attestation": attestation})
        assert said(answer, application) == (400, "invalid_client_metadata", reason)
    assert may_get_a_token(application, key, client_id)


def test_the_body_is_one_strict_json_object(application: Application, key: DeviceKey, client_id: str) -> None:
    answer = manage(application, key, "PUT", client_id, document=b'{"a":1,"a":2}')
    assert said(answer, application) == (400, "invalid_request", "json_malformed")


def test_of_many_new_keys_at_once_one_wins(application: Application, key: DeviceKey, client_id: str) -> None:
    keys = [DeviceKey() for _ in range(8)]
    fresh, ready, won = nonce(application), threading.Barrier(8), []

    def race(new: DeviceKey) -> None:
        ready.wait()
        if rekey(application, client_id, key, new, claims={"nonce": fresh}).status == 200:
            won.append(new)

    threads = [threading.Thread(target=race, args=(new,)) for new in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert manage(application, won[0], "GET", client_id).status == 200
    lost = {event["reason"] for event in application.events if event["event"] == "device" and "reason" in event}
    assert lost <= {"nonce_missing", "proof_key_wrong", "device_changed"}


def test_a_device_that_changed_in_between_is_told_that_its_key_is_not_the_key(
    application: Application, key: DeviceKey, client_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, faster = application.service.store, DeviceKey()
    read = store.read_device

    def read_and_be_too_late(name: str) -> Any:
        device = read(name)
        monkeypatch.setattr(store, "read_device", read)
        store.replace_key(name, expected=key.thumbprint, jwk=faster.jwk, thumbprint=faster.thumbprint, key_id=None)
        return device

    fresh = nonce(application)
    monkeypatch.setattr(store, "read_device", read_and_be_too_late)
    answer = rekey(application, client_id, key, DeviceKey(), claims={"nonce": fresh})
    assert said(answer, application) == (401, "invalid_token", "device_changed")


# The end


def test_a_device_ends_itself_and_gets_nothing_more(
    application: Application, cluster: FakeIssuer, key: DeviceKey, client_id: str
) -> None:
    answer = manage(application, key, "DELETE", client_id)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["DPoP-Nonce"]
    event = application.events[-1]
    assert (event["event"], event["outcome"], event["client_id"]) == ("device", "deleted", client_id)
    assert "caller" not in event
    assert not may_get_a_token(application, key, client_id)
    assert manage(application, key, "GET", client_id).status == 401
    refused = (400, "invalid_client_metadata", "key_enrolled_before")
    assert said(register(application, key, signed_in(cluster)), application) == refused


def test_a_code_does_not_bring_back_a_device_that_was_deleted(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    code = phones.code_for(application, cluster)
    client_id = register(application, key, code).json["client_id"]
    assert manage(application, key, "DELETE", client_id).status == 204
    assert said(register(application, key, code), application) == (401, "invalid_token", "code_used")


# Outages and proxies


def test_the_store_down_nothing_is_told_as_done(application: Application, key: DeviceKey, client_id: str) -> None:
    fresh = nonce(application)
    lose_the_store(application)
    for method in ("GET", "DELETE"):
        answer = manage(application, key, method, client_id, claims={"nonce": fresh})
        assert said(answer, application) == (503, "temporarily_unavailable", "store_unavailable")
    answer = rekey(application, client_id, key, DeviceKey(), claims={"nonce": fresh})
    assert said(answer, application) == (503, "temporarily_unavailable", "store_unavailable")


def test_a_code_in_the_place_of_a_client_id_is_not_in_the_log(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    code = phones.code_for(application, cluster)
    wrong = key.proof("GET", REGISTER, now=application.clock())
    for proof, reason in ((None, "device_unknown"), (wrong, "proof_address_wrong")):
        assert manage(application, key, "GET", code, proof=proof).status == 401
        assert application.reason == reason
        assert code not in application.audit.getvalue().decode()


def test_a_client_id_is_never_the_name_of_a_label(application: Application) -> None:
    for name in ("dev_x", "a" * 5000, leaks.handled("\N{SNOWMAN}" * 20), "x%00y"):
        answer = application.ask("GET", f"/register/{name}")
        assert said(answer, application) == (401, "invalid_dpop_proof", "proof_missing")
    text = application.service.telemetry.render().decode()
    assert 'route="/register/<client_id>"' in text
    assert "dev_x" not in text
