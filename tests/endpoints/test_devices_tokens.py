"""Tokens for devices: an assertion, and always the proof of the same key (RFC 7523 section 2.2, RFC 9449 section 5)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from authserver.testing import FrozenClock
from tests import oracle
from tests.devices import PHONES, DeviceKey, token_form
from tests.endpoints.conftest import Application, MakeApplication
from tests.endpoints.enrolled import SETTINGS, TOKEN_URL, ask_for_token, dpop, enroll
from tests.endpoints.test_outages import lose_the_store
from tests.served import AUDIENCE, BEARER_GRANT, IMAGES, exchange_form

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")

JWKS = "/.well-known/jwks.json"


@pytest.fixture
def application(make_application: MakeApplication) -> Application:
    """An application with a device source."""
    return make_application(**SETTINGS)


@pytest.fixture
def key() -> DeviceKey:
    """The key of a device."""
    return DeviceKey()


@pytest.fixture
def phone(application: Application, key: DeviceKey) -> str:
    """The ``client_id`` of alice's phone, which has that key."""
    return enroll(application, key)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_a_device_gets_a_token_that_is_bound_to_its_key(
    algorithm: str, application: Application, clock: FrozenClock
) -> None:
    """R34, R66; RFC 9449 sections 5 and 6.1, and another library reads it"""
    key = DeviceKey(algorithm)
    phone = enroll(application, key)
    answer = ask_for_token(application, phone, key)
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    body = answer.json
    assert body == {
        "access_token": body["access_token"],
        "token_type": "DPoP",
        "expires_in": 3600,
        "scope": "images:read",
    }
    header, claims = oracle.read(body["access_token"], application.ask("GET", JWKS).json)
    now = int(clock())
    assert header["typ"] == "at+jwt"
    assert claims == {
        "iss": AUDIENCE,
        "sub": "phones:owner/alice",
        "aud": IMAGES,
        "client_id": phone,
        "scope": "images:read",
        "iat": now,
        "exp": now + 3600,
        "jti": claims["jti"],
        "cnf": {"jkt": key.thumbprint},
    }
    event = application.events[-1]
    assert (event["outcome"], event["source"], event["client_id"], event["token_type"]) == (
        "issued",
        "phones",
        phone,
        "DPoP",
    )


def test_a_device_that_proves_nothing_gets_nothing_and_spends_nothing(
    application: Application, phone: str, key: DeviceKey, clock: FrozenClock
) -> None:
    """R69; RFC 9449 section 5.2: every device is registered with dpop_bound_access_tokens."""
    assertion = key.assertion(phone, AUDIENCE, now=clock())
    answer = ask_for_token(application, phone, key, assertion=assertion, proofs=())
    assert (answer.status, answer.json["error"], application.reason) == (400, "invalid_dpop_proof", "proof_missing")
    assert "DPoP-Nonce" not in answer.headers
    assert ask_for_token(application, phone, key, assertion=assertion).status == 200


def test_a_device_must_prove_its_own_key_and_no_other(
    application: Application, phone: str, key: DeviceKey, clock: FrozenClock
) -> None:
    """R65: an assertion that was stolen is worth nothing without the key, and is not used up by the thief."""
    assertion = key.assertion(phone, AUDIENCE, now=clock())
    thief = DeviceKey()
    for proof in (thief.proof("POST", TOKEN_URL, now=clock()), key.proof("POST", TOKEN_URL + "/", now=clock())):
        answer = ask_for_token(application, phone, key, assertion=assertion, proofs=[proof])
        assert (answer.status, answer.json["error"]) == (400, "invalid_dpop_proof")
    assert [event["reason"] for event in application.events] == ["proof_key_wrong", "proof_address_wrong"]
    assert ask_for_token(application, phone, key, assertion=assertion).status == 200


def test_an_assertion_is_used_once_and_so_is_a_proof(
    application: Application, phone: str, key: DeviceKey, clock: FrozenClock
) -> None:
    """R37, R64"""
    assertion, proof = key.assertion(phone, AUDIENCE, now=clock()), key.proof("POST", TOKEN_URL, now=clock())
    assert ask_for_token(application, phone, key, assertion=assertion, proofs=[proof]).status == 200
    both = ask_for_token(application, phone, key, assertion=assertion, proofs=[proof])
    assert (both.status, both.json["error"], application.reason) == (401, "invalid_client", "used_twice")
    again = ask_for_token(application, phone, key, assertion=assertion)
    assert (again.status, again.json["error"], application.reason) == (401, "invalid_client", "used_twice")
    replayed = ask_for_token(application, phone, key, proofs=[proof])
    assert (replayed.status, replayed.json["error"]) == (400, "invalid_dpop_proof")
    assert application.reason == "proof_replayed"


def test_the_same_signature_spelled_in_another_way_is_not_another_assertion_or_proof(
    application: Application, phone: str, key: DeviceKey, clock: FrozenClock
) -> None:
    """R37, R64: (r, n - s) is as valid as (r, s)."""
    assertion, proof = key.assertion(phone, AUDIENCE, now=clock()), key.proof("POST", TOKEN_URL, now=clock())
    assert ask_for_token(application, phone, key, assertion=assertion, proofs=[proof]).status == 200
    assert ask_for_token(application, phone, key, assertion=oracle.with_negated_s(assertion)).status == 401
    assert ask_for_token(application, phone, key, proofs=[oracle.with_negated_s(proof)]).status == 400
    assert [event.get("reason") for event in application.events] == [None, "used_twice", "proof_replayed"]


def test_one_device_cannot_use_up_the_identifiers_of_another(
    application: Application, phone: str, key: DeviceKey, clock: FrozenClock
) -> None:
    """R37, R64"""
    other = DeviceKey()
    for client_id, own in ((phone, key), (enroll(application, other), other)):
        assertion = own.assertion(client_id, AUDIENCE, now=clock(), jti="the same")
        proof = own.proof("POST", TOKEN_URL, now=clock(), jti="the same")
        assert ask_for_token(application, client_id, own, assertion=assertion, proofs=[proof]).status == 200


def test_of_fifty_uses_on_two_nodes_exactly_one_is_answered_with_a_token(
    make_application: MakeApplication, key: DeviceKey, clock: FrozenClock
) -> None:
    """R37, R64"""
    nodes = [make_application(folder="shared", **SETTINGS) for _ in range(2)]
    phone = enroll(nodes[0], key)

    def race(assertions: list[str], proofs: list[str]) -> list[int]:
        with ThreadPoolExecutor(8) as pool:
            ask = lambda n: ask_for_token(  # noqa: E731
                nodes[n % 2], phone, key, assertion=assertions[n % len(assertions)], proofs=[proofs[n % len(proofs)]]
            )
            return sorted(answer.status for answer in pool.map(ask, range(50)))

    fifty = [key.proof("POST", TOKEN_URL, now=clock()) for _ in range(50)]
    assert race([key.assertion(phone, AUDIENCE, now=clock())], fifty) == [200, *[401] * 49]
    assertions = [key.assertion(phone, AUDIENCE, now=clock()) for _ in range(50)]
    assert race(assertions, [key.proof("POST", TOKEN_URL, now=clock())]) == [200, *[400] * 49]


def test_a_phone_whose_clock_is_hours_off_gets_its_token_by_our_time(
    make_application: MakeApplication, key: DeviceKey, clock: FrozenClock
) -> None:
    """R67: the assertion takes the time from our Date header, and the proof a nonce; nothing of it is a failure."""
    application = make_application(**SETTINGS, failures="1/minute")
    phone = enroll(application, key)
    for off in (-5 * 3600, 5 * 3600):
        wrong = clock() + off
        assertion = key.assertion(phone, AUDIENCE, now=clock())
        first = ask_for_token(
            application, phone, key, assertion=assertion, proofs=[key.proof("POST", TOKEN_URL, now=wrong)]
        )
        assert (first.status, first.json["error"]) == (400, "use_dpop_nonce")
        assert (first.headers["Cache-Control"], application.reason) == ("no-store", "proof_time_wrong")
        proof = key.proof("POST", TOKEN_URL, now=wrong, nonce=first.headers["DPoP-Nonce"])
        second = ask_for_token(application, phone, key, assertion=assertion, proofs=[proof])
        assert (second.status, second.json["token_type"]) == (200, "DPoP")
        proof = key.proof("POST", TOKEN_URL, now=wrong, nonce=second.headers["DPoP-Nonce"])
        assert ask_for_token(application, phone, key, proofs=[proof]).status == 200
    for status in (400, 429):  # a proof that is used twice is a failure
        assert ask_for_token(application, phone, key, proofs=[proof]).status == status
    assert application.events[-1]["facts"]["refused_for"] == "proof_replayed"


def test_a_source_may_want_a_nonce_in_every_proof(
    make_application: MakeApplication, key: DeviceKey, clock: FrozenClock, identity: str
) -> None:
    """R67; RFC 9449 section 8"""
    application = make_application(**{**SETTINGS, "more": PHONES.format(phones="require_nonce = true")})
    phone = enroll(application, key)
    assertion = key.assertion(phone, AUDIENCE, now=clock())
    wanted = ask_for_token(application, phone, key, assertion=assertion)
    assert (wanted.status, wanted.json["error"], application.reason) == (400, "use_dpop_nonce", "nonce_missing")
    proof = key.proof("POST", TOKEN_URL, now=clock(), nonce=wanted.headers["DPoP-Nonce"])
    assert ask_for_token(application, phone, key, assertion=assertion, proofs=[proof]).status == 200
    workload = application.post(exchange_form(identity), headers=dpop(key.proof("POST", TOKEN_URL, now=clock())))
    assert (workload.status, workload.json["token_type"]) == (200, "DPoP")  # it is of another source


def test_an_assertion_is_for_our_issuer_alone_by_the_device_and_for_at_most_five_minutes(
    application: Application, phone: str, key: DeviceKey, clock: FrozenClock
) -> None:
    """R34, R35, R36, R40; the contract's token endpoint, to the second: the clock skew is 30 s"""
    now = int(clock())
    clock.advance(now - clock())
    other = enroll(application, DeviceKey())
    refused: list[tuple[dict[str, Any], str]] = [
        ({"aud": TOKEN_URL}, "audience_wrong"),
        ({"aud": f"{AUDIENCE}/"}, "audience_wrong"),
        ({"aud": [AUDIENCE, IMAGES]}, "audience_wrong"),
        ({"aud": None}, "claim_missing"),
        ({"sub": other}, "subject_mismatch"),
        ({"sub": None}, "claim_missing"),
        ({"iss": other, "sub": other}, "signature_wrong"),
        ({"iss": "dev_0123456789012345678901", "sub": "dev_0123456789012345678901"}, "device_unknown"),
        ({"iss": "dev_short"}, "device_unknown"),
        ({"iss": "dev_' OR 1=1"}, "device_unknown"),
        ({"jti": None}, "claim_missing"),
        ({"jti": ""}, "claim_malformed"),
        ({"exp": None}, "claim_missing"),
        ({"exp": now - 30}, "expired"),
        ({"exp": now + 331}, "lives_too_long"),
        ({"nbf": now + 31}, "not_yet_valid"),
        ({"iat": now + 31}, "issued_in_future"),
    ]
    for claims, reason in refused:
        assertion = key.assertion(phone, AUDIENCE, now=now, **claims)
        answer = ask_for_token(application, phone, key, assertion=assertion)
        assert (answer.status, answer.json["error"], application.reason) == (401, "invalid_client", reason), claims
    for claims in ({"exp": now - 29}, {"exp": now + 330}, {"nbf": now + 30}, {"iat": None}, {"aud": [AUDIENCE]}):
        assertion = key.assertion(phone, AUDIENCE, now=now, **claims)
        assert ask_for_token(application, phone, key, assertion=assertion).status == 200, claims


def test_a_client_id_beside_the_assertion_is_the_devices_own(
    application: Application, phone: str, key: DeviceKey, clock: FrozenClock
) -> None:
    """R40; RFC 7521 section 4.2"""
    assertion, headers = key.assertion(phone, AUDIENCE, now=clock()), dpop(key.proof("POST", TOKEN_URL, now=clock()))
    for client_id in (phone.upper(), "phones:owner/alice", enroll(application, DeviceKey())):
        answer = application.post(token_form(client_id, assertion), headers=headers)
        assert (answer.status, answer.json["error"], application.reason) == (
            401,
            "invalid_client",
            "client_id_mismatch",
        )
    form = token_form(phone, assertion)
    del form["client_id"]
    assert application.post(form, headers=headers).status == 200


def test_a_device_is_nobody_in_the_other_grants(
    application: Application, phone: str, key: DeviceKey, clock: FrozenClock
) -> None:
    headers = dpop(key.proof("POST", TOKEN_URL, now=clock()))
    assertion = key.assertion(phone, AUDIENCE, now=clock())
    for form, error in (
        ({"grant_type": BEARER_GRANT, "assertion": assertion}, "invalid_grant"),
        (exchange_form(assertion), "invalid_request"),
    ):
        answer = application.post({"resource": IMAGES, "scope": "images:read", **form}, headers=headers)
        assert (answer.status, answer.json["error"], application.reason) == (400, error, "issuer_unknown")
    assert application.post(token_form(phone, assertion), headers=headers).status == 200


def test_a_proof_is_no_assertion_and_an_assertion_no_proof(
    application: Application, phone: str, key: DeviceKey, clock: FrozenClock
) -> None:
    """R60; RFC 8725 section 3.11"""
    claims: dict[str, Any] = {"iss": phone, "sub": phone, "aud": AUDIENCE, "exp": int(clock()) + 60}
    both = key.proof("POST", TOKEN_URL, now=clock(), **claims)
    answer = ask_for_token(application, phone, key, assertion=both)
    assert (answer.status, application.reason) == (401, "token_type_wrong")
    assertion = key.assertion(phone, AUDIENCE, now=clock(), htm="POST", htu=TOKEN_URL)
    answer = ask_for_token(application, phone, key, proofs=[assertion])
    assert (answer.status, application.reason) == (400, "proof_malformed")


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"resource": None}, "invalid_target", "target_missing"),
        ({"scope": "images:write"}, "invalid_scope", "scope_not_allowed"),
        ({"scope": None}, "invalid_scope", "scope_missing"),
        ({"resource": "https://reports.example.com"}, "unauthorized_client", "no_rule"),
    ],
)
def test_a_request_that_is_refused_spends_neither_the_assertion_nor_the_proof(
    changes: dict[str, str | None],
    error: str,
    reason: str,
    application: Application,
    phone: str,
    key: DeviceKey,
    clock: FrozenClock,
) -> None:
    assertion, proof = key.assertion(phone, AUDIENCE, now=clock()), key.proof("POST", TOKEN_URL, now=clock())
    answer = ask_for_token(application, phone, key, assertion=assertion, proofs=[proof], **changes)
    assert (answer.status, answer.json["error"], application.reason) == (400, error, reason)
    assert "DPoP-Nonce" not in answer.headers
    assert ask_for_token(application, phone, key, assertion=assertion, proofs=[proof]).status == 200


def test_what_comes_first_answers_first(
    application: Application, phone: str, key: DeviceKey, clock: FrozenClock
) -> None:
    """Contract: credential, rules, scope, sender constraint; a proof is not even read before."""
    bad = key.assertion(phone, AUDIENCE, now=clock(), aud=IMAGES)
    assert ask_for_token(application, phone, key, assertion=bad, scope="x", proofs=["x"]).status == 401
    assert ask_for_token(application, phone, key, scope="x", proofs=["x"]).json["error"] == "invalid_scope"
    assert ask_for_token(application, phone, key, proofs=["x"]).json["error"] == "invalid_dpop_proof"


def test_a_revoked_device_gets_nothing_more_at_once(
    make_application: MakeApplication, key: DeviceKey, clock: FrozenClock
) -> None:
    """Contract: one device is revoked, on any node, without touching another."""
    one, other = (make_application(folder="shared", **SETTINGS) for _ in range(2))
    kept = DeviceKey()
    phone, laptop = enroll(one, key), enroll(one, kept)
    assert ask_for_token(other, phone, key).status == 200
    one.service.store.revoke_device(phone, clock())
    answer = ask_for_token(other, phone, key)
    assert (answer.status, answer.json["error"], other.reason) == (401, "invalid_client", "device_revoked")
    assert other.events[-1]["unverified_source"] == "phones"
    stranger = DeviceKey().assertion(phone, AUDIENCE, now=clock())
    assert ask_for_token(other, phone, key, assertion=stranger).status == 401
    assert other.reason == "signature_wrong"
    assert ask_for_token(other, laptop, kept).status == 200


def test_a_device_that_has_another_key_now_is_known_by_that_key_alone(
    application: Application, phone: str, key: DeviceKey
) -> None:
    new = DeviceKey("EdDSA")
    application.service.store.replace_key(
        phone, expected=key.thumbprint, jwk=new.jwk, thumbprint=new.thumbprint, key_id=None
    )
    answer = ask_for_token(application, phone, key)
    assert (answer.status, answer.json["error"]) == (401, "invalid_client")
    assert ask_for_token(application, phone, new).status == 200


def test_the_store_down_devices_are_put_off_and_workloads_go_on(
    application: Application, phone: str, key: DeviceKey, clock: FrozenClock, identity: str
) -> None:
    """Contract, section 5"""
    ask_for_token(application, phone, key)
    lose_the_store(application)
    answer = ask_for_token(application, phone, key)
    assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert application.reason == "store_unavailable"
    proof = key.proof("POST", TOKEN_URL, now=clock())
    assert application.post(exchange_form(identity), headers=dpop(proof)).status == 503
    assert application.post(exchange_form(identity)).json["token_type"] == "Bearer"
    never_given = application.post(token_form("dev_x", key.assertion("dev_x", AUDIENCE, now=clock())))
    assert (never_given.status, application.reason) == (401, "device_unknown")


def test_a_configuration_without_devices_knows_none(make_application: MakeApplication, key: DeviceKey) -> None:
    application = make_application(keys='algorithms = ["ES256"]', reports="")
    phone = enroll(application, key)
    answer = ask_for_token(application, phone, key)
    assert (answer.status, answer.json["error"], application.reason) == (401, "invalid_client", "device_unknown")
