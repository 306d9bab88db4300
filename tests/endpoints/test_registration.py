"""``POST /register``: how a device enrols with a code or with its owner's ID token (RFC 7591)."""

import json
from pathlib import Path
from typing import Any

import pytest

from authserver.audit import Audit
from authserver.endpoints.http import MAX_BODY
from authserver.errors import Reason, Unavailable
from authserver.testing import FakeIssuer, FrozenClock
from tests import leaks
from tests.devices import DeviceKey, token_form
from tests.endpoints import phones
from tests.endpoints.conftest import Application, MakeApplication
from tests.endpoints.holders import bearer, introspect, issued, own_token
from tests.endpoints.phones import (
    ONCE,
    REGISTER,
    backend_token,
    code_for,
    enrolled,
    register,
    signed_in,
)
from tests.endpoints.test_outages import look_after_the_store, lose_the_store
from tests.served import AUDIENCE, Answer


@pytest.fixture
def application(make_application: MakeApplication, cluster: FakeIssuer) -> Application:
    """An application that devices can enrol at."""
    return make_application(**phones.settings(cluster))


@pytest.fixture
def key() -> DeviceKey:
    """The key of a device."""
    return DeviceKey()


def said(answer: Answer, application: Application) -> tuple[int, str | None, str | None]:
    """The status, the error that the caller sees, and the reason that the operator sees."""
    return answer.status, answer.json.get("error"), application.reason


def ask_for_token(application: Application, key: DeviceKey, client_id: str) -> Answer:
    """``POST /token`` of a device."""
    now = application.clock()
    form = token_form(client_id, key.assertion(client_id, AUDIENCE, now=now))
    return application.post(form, headers=[("DPoP", key.proof("POST", f"{AUDIENCE}/token", now=now))])


# What comes out


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")
@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_a_device_that_was_invited_is_told_what_was_registered_and_no_secret(
    algorithm: str, application: Application, cluster: FakeIssuer
) -> None:
    key = DeviceKey(algorithm)
    named = {**key.jwk, "kid": "my key"}
    answer = register(
        application, key, code_for(application, cluster), document=key.registration(jwks={"keys": [named]})
    )
    assert answer.status == 201
    client_id = answer.json["client_id"]
    assert client_id.startswith("dev_")
    assert len(client_id) == 26
    assert answer.json == {
        "client_id": client_id,
        "client_id_issued_at": int(application.clock()),
        "registration_client_uri": f"{REGISTER}/{client_id}",
        "client_name": "Alice's phone",
        "token_endpoint_auth_method": "private_key_jwt",
        "grant_types": ["client_credentials"],
        "dpop_bound_access_tokens": True,
        "jwks": {"keys": [named]},
        "device": {"platform": "ios", "model": "iPhone17,1", "app_id": "com.example.app", "app_version": "1.0"},
    }
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["DPoP-Nonce"]
    assert ask_for_token(application, key, client_id).status == 200


def test_a_device_that_says_nothing_of_itself_is_enrolled_all_the_same(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    answer = register(application, key, code_for(application, cluster), document={"jwks": {"keys": [key.jwk]}})
    assert answer.status == 201
    assert answer.json["device"] == {}
    assert "client_name" not in answer.json


def test_the_tokens_of_a_device_say_for_whom_it_is_and_which_it_is(
    application: Application, cluster: FakeIssuer
) -> None:
    for members, sub in (
        ({"owner": "alice"}, "phones:owner/alice"),
        ({"owner": None}, "phones:device/{client_id}"),
    ):
        key = DeviceKey()
        document = {"source": "phones", **members}
        invited = phones.post_json(
            application, "/devices/invitations", document, bearer(backend_token(application, cluster))
        )
        client_id = register(application, key, leaks.handled(invited.json["code"])).json["client_id"]
        device = application.service.store.read_device(client_id)
        assert device is not None
        assert device.sub == sub.format(client_id=client_id)
        assert device.owner == members["owner"]


def test_the_attributes_of_an_invitation_are_the_devices_and_nobody_elses_business(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    code = code_for(application, cluster, attributes={"team": "red"}, platform="ios")
    answer = register(application, key, code)
    assert b'"red"' not in answer.body
    device = application.service.store.read_device(answer.json["client_id"])
    assert device is not None
    assert device.attributes == {"team": "red"}


def test_every_enrolment_leaves_one_event_without_code_proof_or_key(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    code = code_for(application, cluster)
    before = len(application.events)
    client_id = register(application, key, code).json["client_id"]
    register(application, DeviceKey(), code)
    good, bad = application.events[before:]
    expected = {
        "event": "enrollment",
        "outcome": "enrolled",
        "source": "phones",
        "owner": "alice",
        "client_id": client_id,
        "sub": "phones:owner/alice",
        "thumbprint": key.thumbprint,
        "platform": "ios",
        "attestation": "none",
    }
    assert expected.items() <= good.items()
    assert (bad["event"], bad["outcome"], bad["reason"]) == ("enrollment", "refused", "code_used")
    assert (bad["source"], bad["owner"]) == ("phones", "alice")
    assert "client_id" not in bad  # a name that was never given out
    log = application.audit.getvalue().decode()
    assert code not in log
    assert str(key.jwk["x"]) not in log


# The code


def test_the_same_code_with_the_same_key_gives_the_same_device_again(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    """A lost answer strands nobody."""
    code = code_for(application, cluster)
    first = register(application, key, code)
    application.clock.advance(300)
    again = register(application, key, code)
    assert (first.status, again.status) == (201, 201)
    assert again.json == first.json


def test_a_code_is_good_for_one_key(application: Application, cluster: FakeIssuer, key: DeviceKey) -> None:
    code = code_for(application, cluster)
    assert register(application, key, code).status == 201
    assert said(register(application, DeviceKey(), code), application) == (401, "invalid_token", "code_used")


def test_a_key_is_good_for_one_code(application: Application, cluster: FakeIssuer, key: DeviceKey) -> None:
    enrolled(application, cluster, key)
    second = code_for(application, cluster)
    answer = register(application, key, second)
    assert said(answer, application) == (400, "invalid_client_metadata", "key_enrolled_before")
    assert answer.json["error_description"] == "This key was enrolled before. Make a new one."
    assert register(application, DeviceKey(), second).status == 201  # the code was not used up by that


def test_a_code_lives_ten_minutes_unless_told_otherwise(
    application: Application, cluster: FakeIssuer, clock: FrozenClock, key: DeviceKey
) -> None:
    usual, short = code_for(application, cluster), code_for(application, cluster, lifetime=60)
    clock.advance(60)
    assert said(register(application, DeviceKey(), short), application) == (401, "invalid_token", "code_expired")
    clock.advance(539)
    assert register(application, key, usual).status == 201
    clock.advance(1)
    assert said(register(application, key, usual), application) == (401, "invalid_token", "code_expired")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda code: code[:-1] + ("a" if code[-1] != "a" else "b"), "code_malformed"),
        (lambda code: code.upper().replace("ASENROLL", "asenroll"), "code_malformed"),
        (lambda code: code + "a", "code_malformed"),
        (lambda _: "asenroll_", "code_malformed"),
        (lambda _: "nonsense", "token_malformed"),
    ],
    ids=["checksum", "case", "length", "prefix alone", "no code"],
)
def test_what_is_no_code_is_refused_without_a_look_into_the_store(
    change: Any, reason: str, application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    code = code_for(application, cluster)
    lose_the_store(application)
    assert said(register(application, key, change(code)), application) == (401, "invalid_token", reason)


def test_a_code_that_was_never_given_out_is_unknown(
    application: Application, make_application: MakeApplication, cluster: FakeIssuer, key: DeviceKey
) -> None:
    other = make_application(**phones.settings(cluster))
    answer = register(application, key, code_for(other, cluster))
    assert said(answer, application) == (401, "invalid_token", "code_unknown")


def test_a_code_for_a_source_that_was_taken_out_of_the_configuration_is_unknown(
    make_application: MakeApplication, cluster: FakeIssuer, key: DeviceKey
) -> None:
    before = make_application(folder="one", **phones.settings(cluster))
    code = code_for(before, cluster)
    settings = phones.settings(cluster)
    settings["more"] = '[sources.others]\ntype = "device"\n'
    after = make_application(folder="one", **settings)
    assert said(register(after, key, code), after) == (401, "invalid_token", "code_unknown")


def test_the_store_holds_nothing_that_could_be_used(
    application: Application, cluster: FakeIssuer, key: DeviceKey, tmp_path: Path
) -> None:
    """A leaked database is no list of codes, and no list of keys."""
    code = code_for(application, cluster)
    client_id = enrolled(application, cluster, key)
    files = [file.read_bytes() for file in tmp_path.rglob("authserver.db*")]
    assert any(client_id.encode() in content for content in files)
    random_part = code.removeprefix("asenroll_")[:32]
    private = str(key.key.as_dict(private=True)["d"])
    for content in files:
        assert random_part.encode() not in content
        assert private.encode() not in content


# Guessing


def test_guessing_a_code_is_stopped_after_a_few_failures(
    make_application: MakeApplication, cluster: FakeIssuer, clock: FrozenClock, key: DeviceKey
) -> None:
    """R82: past the limit not even a good code is looked at, so nobody learns whether a guess was right."""
    application = make_application(**phones.settings(cluster), failures="3/minute")
    elsewhere = make_application(**phones.settings(cluster))
    code, wrong = code_for(application, cluster), code_for(elsewhere, cluster)
    guesses = [wrong, wrong[:-1] + "!", "nonsense", wrong, code]
    answers = [register(application, key, guess) for guess in guesses]
    assert [answer.status for answer in answers] == [401, 401, 401, 429, 429]
    assert answers[-1].json["error"] == "slow_down"
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert "refused_for" not in application.events[-1].get("facts", {})
    lose_the_store(application)
    assert register(application, key, code).status == 429  # the store is not asked
    find_the_store(application)
    assert register(application, key, code, peer="192.0.2.7").status == 201
    clock.advance(60)
    assert register(application, key, code).status == 201


def test_a_valid_id_token_is_served_past_the_limit_and_a_bad_one_is_not(
    make_application: MakeApplication, cluster: FakeIssuer, key: DeviceKey
) -> None:
    application = make_application(**phones.settings(cluster), failures="1/minute")
    assert [register(application, key, "nonsense").status for _ in range(2)] == [401, 429]
    assert application.events[-1]["facts"]["refused_for"] == "token_malformed"
    assert register(application, key, signed_in(cluster)).status == 201


def test_asking_for_a_nonce_is_no_failure_and_failures_elsewhere_do_not_count(
    make_application: MakeApplication, cluster: FakeIssuer, clock: FrozenClock, key: DeviceKey
) -> None:
    application = make_application(**phones.settings(cluster), failures="1/minute")
    code = code_for(application, cluster)
    late = key.proof("POST", REGISTER, now=clock() - 3600)
    answers = [register(application, key, code, proof=late) for _ in range(3)]
    assert [answer.json["error"] for answer in answers] == ["use_dpop_nonce"] * 3
    assert [application.post({}).status for _ in range(3)][-1] == 429
    assert register(application, key, code).status == 201


# The owner's ID token


def test_an_owner_who_signed_in_needs_no_code(application: Application, cluster: FakeIssuer, key: DeviceKey) -> None:
    answer = register(application, key, signed_in(cluster))
    assert answer.status == 201
    device = application.service.store.read_device(answer.json["client_id"])
    assert device is not None
    assert (device.source, device.sub, device.owner) == ("phones", "company:alice", "company:alice")
    event = application.events[-1]
    assert (event["outcome"], event["caller"], event["owner"]) == ("enrolled", "company:alice", "company:alice")
    again = register(application, key, signed_in(cluster))
    assert (again.status, again.json["client_id"]) == (201, answer.json["client_id"])
    assert ask_for_token(application, key, device.client_id).status == 200


def test_the_key_of_somebody_else_cannot_be_enrolled_again(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    assert register(application, key, signed_in(cluster)).status == 201
    answer = register(application, key, signed_in(cluster, sub="bob"))
    assert said(answer, application) == (400, "invalid_client_metadata", "key_enrolled_before")


@pytest.mark.parametrize("audience", ["https://strangers.auth.example.com", AUDIENCE])
def test_only_the_sources_that_are_listed_may_enrol(
    audience: str, application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    token = signed_in(cluster, audience)
    if audience == AUDIENCE:
        token = leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))
    answer = register(application, key, token)
    assert said(answer, application) == (401, "invalid_token", "enrollment_not_allowed")


def test_whose_id_token_was_refused_is_on_record(application: Application, cluster: FakeIssuer, key: DeviceKey) -> None:
    stranger = signed_in(cluster, "https://strangers.auth.example.com")
    register(application, key, stranger)
    assert (application.reason, application.events[-1]["caller"]) == ("enrollment_not_allowed", "strangers:alice")
    proof = key.proof("POST", REGISTER, now=application.clock())
    assert register(application, key, signed_in(cluster), proof=proof).status == 201
    register(application, key, signed_in(cluster), proof=proof)
    assert (application.reason, application.events[-1]["caller"]) == ("proof_replayed", "company:alice")


def test_neither_a_token_of_ours_nor_a_devices_assertion_enrols(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    for token in (issued(application, cluster), own_token(application, cluster, "backend", "devices:invite:phones")):
        assert said(register(application, key, token), application) == (401, "invalid_token", "issuer_unknown")
    client_id = enrolled(application, cluster, key)
    assertion = key.assertion(client_id, AUDIENCE, now=application.clock())
    assert said(register(application, DeviceKey(), assertion), application) == (401, "invalid_token", "issuer_unknown")


def test_an_id_token_is_verified_as_always(
    application: Application, cluster: FakeIssuer, clock: FrozenClock, key: DeviceKey
) -> None:
    old = signed_in(cluster)
    clock.advance(100_000)
    assert said(register(application, key, old), application) == (401, "invalid_token", "expired")
    assert application.events[-1]["unverified_source"] == "company"


def test_a_single_use_id_token_enrols_one_device_and_is_not_used_up_by_a_mistake(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    token = signed_in(cluster, ONCE)
    assert register(application, key, token, document=key.registration(client_secret="x")).status == 400
    assert register(application, key, token, proof=DeviceKey().proof("POST", REGISTER, now=1)).status == 400
    assert register(application, key, token).status == 201
    assert said(register(application, DeviceKey(), token), application) == (401, "invalid_token", "used_twice")


def test_where_several_sources_would_do_the_device_says_which(
    make_application: MakeApplication, cluster: FakeIssuer
) -> None:
    settings = phones.settings(cluster)
    settings["more"] += '[sources.tablets]\ntype = "device"\nenroll_with = ["company"]\n'
    application = make_application(**settings)
    key = DeviceKey()
    answer = register(application, key, signed_in(cluster))
    assert said(answer, application) == (400, "invalid_client_metadata", "metadata_malformed")
    assert application.events[-1]["facts"] == {"member": "source"}
    answer = register(application, key, signed_in(cluster), document=key.registration(source="laptops"))
    assert said(answer, application) == (401, "invalid_token", "enrollment_not_allowed")
    answer = register(application, key, signed_in(cluster), document=key.registration(source="tablets"))
    assert answer.status == 201
    assert application.events[-1]["source"] == "tablets"


# How many


def test_an_owner_has_so_many_devices_and_no_more(make_application: MakeApplication, cluster: FakeIssuer) -> None:
    application = make_application(**phones.settings(cluster, phones="max_per_owner = 2"))
    keys = [DeviceKey() for _ in range(3)]
    clients = [enrolled(application, cluster, key) for key in keys[:2]]
    code = code_for(application, cluster)
    answer = register(application, keys[2], code)
    assert said(answer, application) == (400, "invalid_client_metadata", "too_many_devices")
    assert answer.json["error_description"] == ("The owner has as many devices as are allowed. Revoke one first.")
    assert register(application, DeviceKey(), code_for(application, cluster, owner="bob")).status == 201
    assert phones.manage(application, keys[0], "DELETE", clients[0]).status == 204
    assert register(application, keys[2], code).status == 201


def test_devices_without_an_owner_are_not_counted(make_application: MakeApplication, cluster: FakeIssuer) -> None:
    application = make_application(**phones.settings(cluster, phones="max_per_owner = 1"))
    headers = bearer(backend_token(application, cluster))
    for _ in range(3):
        document = {"source": "phones", "owner": None}
        code = leaks.handled(phones.post_json(application, "/devices/invitations", document, headers).json["code"])
        assert register(application, DeviceKey(), code).status == 201


# What was invited


def test_an_invitation_for_a_platform_is_for_no_other(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    code = code_for(application, cluster, platform="android")
    for device in ({"platform": "ios"}, {"platform": "Android"}, {}):
        answer = register(application, key, code, document=key.registration(device=device))
        if device:
            assert said(answer, application) == (400, "invalid_client_metadata", "invitation_mismatch")
            assert application.events[-1]["facts"] == {"member": "platform"}
        else:
            assert answer.json["device"] == {"platform": "android"}  # the device says none, and gets that one


def test_a_code_decides_the_source(application: Application, cluster: FakeIssuer, key: DeviceKey) -> None:
    code = code_for(application, cluster)
    answer = register(application, key, code, document=key.registration(source="laptops"))
    assert said(answer, application) == (400, "invalid_client_metadata", "invitation_mismatch")
    assert register(application, key, code, document=key.registration(source="phones")).status == 201


def test_an_attestation_is_refused_and_never_ignored(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    document = key.registration(attestation={"format": "app-attest", "object": "AAAA"})
    answer = register(application, key, code_for(application, cluster), document=document)
    assert said(answer, application) == (400, "invalid_client_metadata", "attestation_unsupported")


# The proof


def test_the_proof_must_be_by_the_key_that_is_registered(
    application: Application, cluster: FakeIssuer, key: DeviceKey, clock: FrozenClock
) -> None:
    code = code_for(application, cluster)
    stolen = DeviceKey().proof("POST", REGISTER, now=clock())
    assert said(register(application, key, code, proof=stolen), application) == (
        400,
        "invalid_dpop_proof",
        "proof_key_wrong",
    )
    assert register(application, key, code).status == 201


@pytest.mark.parametrize(("headers", "reason"), [(0, "proof_missing"), (2, "proof_repeated")], ids=["none", "two"])
def test_there_is_exactly_one_proof(
    headers: int, reason: str, application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    """R61"""
    proofs = [("DPoP", key.proof("POST", REGISTER, now=application.clock())) for _ in range(headers)]
    code = code_for(application, cluster)
    answer = phones.post_json(application, "/register", key.registration(), [*bearer(code), *proofs])
    assert said(answer, application) == (400, "invalid_dpop_proof", reason)


def test_a_proof_is_for_this_endpoint_and_this_method(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    """R63"""
    code, now = code_for(application, cluster), application.clock()
    for proof, reason in (
        (key.proof("PUT", REGISTER, now=now), "proof_method_wrong"),
        (key.proof("POST", f"{AUDIENCE}/token", now=now), "proof_address_wrong"),
    ):
        answer = register(application, key, code, proof=proof)
        assert said(answer, application) == (400, "invalid_dpop_proof", reason)


def test_a_device_with_a_wrong_clock_enrols_with_a_nonce(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    """R67"""
    code = code_for(application, cluster)
    answer = register(application, key, code, proof=key.proof("POST", REGISTER, now=1))
    assert said(answer, application) == (400, "use_dpop_nonce", "proof_time_wrong")
    proof = key.proof("POST", REGISTER, now=1, nonce=answer.headers["DPoP-Nonce"])
    assert register(application, key, code, proof=proof).status == 201
    assert said(register(application, key, code, proof=proof), application) == (
        400,
        "invalid_dpop_proof",
        "proof_replayed",
    )


# The form of the request


def test_without_credentials_there_is_a_challenge_and_no_error_code(application: Application, key: DeviceKey) -> None:
    """RFC 6750 section 3.1"""
    proof = ("DPoP", key.proof("POST", REGISTER, now=application.clock()))
    for headers in ([], [("Authorization", "Basic YTpi")]):
        answer = phones.post_json(application, "/register", key.registration(), [proof, *headers])
        assert (answer.status, application.reason) == (401, "credential_missing")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="register"'
        assert answer.json.keys() == {"request_id"}


def test_a_code_may_be_sent_with_the_scheme_dpop_and_then_the_proof_names_it(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    """Some libraries know no other way to send a token beside a proof (RFC 9449 section 7.1)."""
    code = phones.code_for(application, cluster)
    headers = [("Authorization", f"DPoP {code}")]
    for ath in (None, "another"):
        proof = key.proof("POST", REGISTER, now=application.clock(), access_token=ath)
        answer = phones.post_json(application, "/register", key.registration(), [("DPoP", proof), *headers])
        assert said(answer, application) == (400, "invalid_dpop_proof", "proof_token_wrong")
    proof = key.proof("POST", REGISTER, now=application.clock(), access_token=code)
    answer = phones.post_json(application, "/register", key.registration(), [("DPoP", proof), *headers])
    assert answer.status == 201


def test_a_proof_that_names_a_token_names_the_one_beside_it(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    code = phones.code_for(application, cluster)
    other = key.proof("POST", REGISTER, now=application.clock(), access_token="another")
    answer = register(application, key, code, proof=other)
    assert said(answer, application) == (400, "invalid_dpop_proof", "proof_token_wrong")
    good = key.proof("POST", REGISTER, now=application.clock(), access_token=code)
    assert register(application, key, code, proof=good).status == 201


def test_a_bad_token_is_challenged(application: Application, key: DeviceKey) -> None:
    answer = register(application, key, "nonsense")
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="register", error="invalid_token"')
    assert answer.json["request_id"] == application.events[-1]["request_id"]


def test_two_credentials_are_no_request(application: Application, key: DeviceKey) -> None:
    answer = register(application, key, "one", headers=bearer("two"))
    assert said(answer, application) == (400, "invalid_request", "credential_repeated")


@pytest.mark.parametrize(
    ("body", "content_type", "query", "reason"),
    [
        (b"{}", "application/x-www-form-urlencoded", "", "not_json"),
        (b"{}", None, "", "not_json"),
        (b"[]", "application/json", "", "json_malformed"),
        (b"", "application/json", "", "json_malformed"),
        (b'{"jwks":{},"jwks":{}}', "application/json", "", "json_malformed"),
        (b'{"client_name":"\\ud800"}', "application/json", "", "json_malformed"),
        (b"\xff", "application/json", "", "json_malformed"),
        (b"[" * 5000, "application/json", "", "json_malformed"),
        (b" " * (MAX_BODY + 1), "application/json", "", "body_too_large"),
        (b"{}", "application/json", "code=x", "parameter_in_query"),
    ],
    ids=["form", "no type", "list", "empty", "twice", "surrogate", "bytes", "deep", "long", "query"],
)
def test_the_body_is_one_strict_json_object(
    body: bytes, content_type: str | None, query: str, reason: str, application: Application, key: DeviceKey
) -> None:
    answer = application.ask(
        "POST",
        "/register",
        body=body,
        query=query,
        content_type=content_type,
        headers=[*bearer("x"), ("DPoP", key.proof("POST", REGISTER, now=application.clock()))],
    )
    assert said(answer, application) == (400, "invalid_request", reason)


def test_a_content_type_may_have_parameters(application: Application, cluster: FakeIssuer, key: DeviceKey) -> None:
    code = code_for(application, cluster)
    assert register(application, key, code, content_type="Application/JSON; charset=utf-8").status == 201


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"client_name": 1}, "metadata_malformed", "missing, malformed or too long"),
        ({"jwks": None}, "metadata_malformed", "missing, malformed or too long"),
        ({"jwks_uri": "https://x.example"}, "metadata_unsupported", "cannot have"),
        ({"jwks": {"keys": [{"kty": "oct"}]}}, "key_unsuitable", "P-256 or Ed25519"),
    ],
    ids=["malformed", "no key", "unsupported", "key"],
)
def test_what_cannot_be_registered_is_told_in_constant_words(
    change: dict[str, Any], reason: str, words: str, application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    answer = register(application, key, code_for(application, cluster), document=key.registration(**change))
    assert said(answer, application) == (400, "invalid_client_metadata", reason)
    assert words in answer.json["error_description"]


def test_what_came_to_a_proxy_without_tls_is_refused(
    make_application: MakeApplication, cluster: FakeIssuer, key: DeviceKey
) -> None:
    trusting = 'trusted_proxies = ["127.0.0.1/32"]'
    application = make_application(**phones.settings(cluster), server=trusting)
    answer = register(application, key, "x", headers=[("X-Forwarded-Proto", "http")])
    assert said(answer, application) == (400, "invalid_request", "plain_http")


# When the store is away


def find_the_store(application: Application) -> None:
    """Put back what :func:`lose_the_store` took away."""
    path = application.sqlite._path
    path.with_suffix(".gone").rename(path)
    look_after_the_store(application)


def test_the_store_down_nothing_is_enrolled_and_the_code_stays_good(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    code = code_for(application, cluster)
    lose_the_store(application)
    for token in (code, signed_in(cluster)):
        answer = register(application, key, token)
        assert said(answer, application) == (503, "temporarily_unavailable", "store_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert application.events[-1]["outcome"] == "unavailable"
    find_the_store(application)
    assert register(application, key, code).status == 201


# What is counted


def test_enrolments_are_counted_by_source_outcome_and_reason(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    code = code_for(application, cluster)
    register(application, key, code)
    register(application, DeviceKey(), code)
    register(application, key, "nonsense\N{SNOWMAN}".encode().hex())
    register(application, key, signed_in(cluster, "https://strangers.auth.example.com"))
    text = application.service.telemetry.render().decode()
    lines = {line for line in text.splitlines() if line.startswith("authserver_enrollments_total{")}
    assert lines == {
        'authserver_enrollments_total{outcome="enrolled",reason="none",source="phones"} 1.0',
        'authserver_enrollments_total{outcome="refused",reason="code_used",source="phones"} 1.0',
        'authserver_enrollments_total{outcome="refused",reason="token_malformed",source="none"} 1.0',
        'authserver_enrollments_total{outcome="refused",reason="enrollment_not_allowed",source="none"} 1.0',
    }


def test_an_enrolment_that_cannot_be_written_down_is_counted_as_unavailable() -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    told: list[tuple[str, Reason | None]] = []
    audit = Audit(
        full,
        environment="testing",
        clock=lambda: 0.0,
        observe_enrollment=lambda _, outcome, why: told.append((outcome, why)),
    )
    for kind in (audit.enrollment, audit.invitation):
        with pytest.raises(Unavailable), kind("0" * 32, "192.0.2.1"):
            pass
    assert told == [("unavailable", Reason.AUDIT_UNWRITABLE)]


# From the beginning to the end


def test_a_device_that_its_owner_revokes_gets_no_token_any_more(
    application: Application, cluster: FakeIssuer, key: DeviceKey
) -> None:
    client_id = register(application, key, signed_in(cluster)).json["client_id"]
    first = ask_for_token(application, key, client_id)
    assert (first.status, first.json["token_type"]) == (200, "DPoP")
    caller = own_token(application, cluster)
    assert introspect(application, caller, first.json["access_token"]).json["active"] is True
    answer = application.ask("DELETE", f"/devices/{client_id}", headers=bearer(signed_in(cluster)))
    assert answer.status == 204
    answer = ask_for_token(application, key, client_id)
    assert said(answer, application) == (401, "invalid_client", "device_revoked")
    assert introspect(application, caller, first.json["access_token"]).json == {"active": False}


def test_a_page_of_a_named_origin_may_enrol_and_read_the_nonce(
    make_application: MakeApplication, cluster: FakeIssuer, key: DeviceKey
) -> None:
    origin = "https://app.example.com"
    application = make_application(**phones.settings(cluster), server=f'allowed_origins = ["{origin}"]')
    answer = register(application, key, code_for(application, cluster), headers=[("Origin", origin)])
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert "DPoP-Nonce" in answer.headers["Access-Control-Expose-Headers"]
    for path, methods in (("/register", "POST"), (f"/register/{answer.json['client_id']}", "DELETE, GET, PUT")):
        preflight = application.ask("OPTIONS", path, headers=[("Origin", origin)])
        assert preflight.headers["Access-Control-Allow-Methods"] == methods
    assert (
        register(application, key, "x", headers=[("Origin", "https://evil.example")])
        .headers.keys()
        .isdisjoint({"Access-Control-Allow-Origin"})
    )


def test_another_method_at_the_path_is_not_allowed(application: Application) -> None:
    answer = application.ask("GET", "/register")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    assert json.loads(answer.body)["error"] == "invalid_request"
