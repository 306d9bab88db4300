"""``POST /introspect``: a resource server sees tokens for itself, and of all others only that they are not active."""

from typing import Any

import pytest

from authserver.testing import FakeIssuer, FrozenClock
from tests import leaks, oracle
from tests.devices import PHONES, DeviceKey
from tests.endpoints.conftest import Application, MakeApplication
from tests.endpoints.enrolled import ask_for_token, dpop, enroll
from tests.endpoints.holders import INACTIVE, SETTINGS, SUB, bearer, crafted, introspect, issued, own_token, revoke
from tests.endpoints.test_outages import lose_the_store
from tests.served import AUDIENCE, IMAGES, REPORTS, Answer, exchange_form

JWKS = "/.well-known/jwks.json"


@pytest.fixture
def application(make_application: MakeApplication) -> Application:
    """An application in which ``images`` may ask about its own tokens, and ``gateway`` about those for reports too."""
    return make_application(**SETTINGS)


@pytest.fixture
def caller(application: Application, cluster: FakeIssuer) -> str:
    """The token of the resource server for images."""
    return own_token(application, cluster)


@pytest.fixture
def token(application: Application, cluster: FakeIssuer) -> str:
    """A token that the resource server for images may ask about."""
    return issued(application, cluster)


def assert_inactive(answer: Answer) -> None:
    """The answer is that of RFC 7662 section 2.2, and nothing else."""
    assert (answer.status, answer.body) == (200, INACTIVE)
    assert answer.headers["Cache-Control"] == "no-store"


def assert_challenged(answer: Answer, status: int, error: str | None) -> None:
    """The answer is a challenge of RFC 6750 section 3."""
    assert answer.status == status
    assert answer.headers["Cache-Control"] == "no-store"
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith(f'Bearer realm="{AUDIENCE}"')
    assert (f'error="{error}"' in challenge) if error else ("error" not in challenge)
    assert answer.json.get("error") == error


def test_an_active_token_is_described_by_its_claims(
    application: Application, caller: str, token: str, clock: FrozenClock
) -> None:
    """RFC 7662 section 2.2; the token's own claims, read by another library, are the answer."""
    answer = introspect(application, caller, token)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    _, claims = oracle.read(token, application.ask("GET", JWKS).json)
    assert answer.json == {"active": True, "token_type": "Bearer", **claims}
    now = int(clock())
    assert answer.json == {
        "active": True,
        "token_type": "Bearer",
        "iss": AUDIENCE,
        "sub": SUB,
        "aud": IMAGES,
        "client_id": SUB,
        "scope": "images:read",
        "iat": now,
        "exp": now + 3600,
        "jti": claims["jti"],
    }


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense"])
def test_the_hint_of_a_type_changes_nothing(hint: str, application: Application, caller: str, token: str) -> None:
    """RFC 7662 section 2.1"""
    assert introspect(application, caller, token, form=[("token_type_hint", hint)]).json["active"] is True


@pytest.mark.parametrize(
    ("confirmation", "token_type"),
    [
        ({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, "DPoP"),
        ({"x5t#S256": "A4DtL2JmUMhAsvJj5tKyn6"}, "Bearer"),
    ],
    ids=["DPoP", "mTLS"],
)
def test_the_key_that_a_token_is_bound_to_is_named(
    confirmation: dict[str, str], token_type: str, application: Application, caller: str
) -> None:
    """R76: RFC 9449 section 6.2, RFC 8705 section 3.2"""
    answer = introspect(application, caller, crafted(application, cnf=confirmation)).json
    assert (answer["active"], answer["cnf"], answer["token_type"]) == (True, confirmation, token_type)


def test_a_caller_sees_the_tokens_of_the_resources_that_its_scope_names(
    application: Application, cluster: FakeIssuer, caller: str
) -> None:
    """RFC 7662 section 2.2: a caller that may not know is told that the token is not active."""
    report = issued(application, cluster, resource=REPORTS, scope="reports:read")
    assert_inactive(introspect(application, caller, report))
    narrow = own_token(application, cluster, "gateway")
    assert_inactive(introspect(application, narrow, report))
    wide = own_token(application, cluster, "gateway", "introspect:images introspect:reports")
    assert introspect(application, wide, report).json["aud"] == REPORTS
    assert introspect(application, wide, issued(application, cluster)).json["aud"] == IMAGES


def test_a_caller_is_told_nothing_of_tokens_for_our_own_issuer(application: Application, caller: str) -> None:
    assert_inactive(introspect(application, caller, caller))


def test_everything_that_is_no_valid_token_of_ours_is_exactly_inactive(
    application: Application, caller: str, token: str, cluster: FakeIssuer, clock: FrozenClock
) -> None:
    """R75"""
    now = int(clock())
    head = token.rpartition(".")[0]
    other_key = oracle.make_key("ES256", kid=application.service.ring.signing_key("ES256", now).kid)
    claims = {**oracle.identity(AUDIENCE, IMAGES, now=now), "client_id": SUB, "scope": "images:read"}
    for foreign in (
        "x",
        "a.b.c",
        token[:-1],
        f" {token}",
        f"{token}=",
        f"{head}.",
        head,
        "y" * 20_000,
        cluster.access_token(IMAGES, "images:read"),
        cluster.access_token(IMAGES, "images:read", iss=AUDIENCE),
        oracle.sign(other_key, claims, typ="at+jwt"),
        crafted(application, typ="JWT"),
        crafted(application, iss="https://other.example.com"),
        crafted(application, aud=[IMAGES, REPORTS]),
        crafted(application, aud="https://removed.example.com"),
        crafted(application, aud=None),
        crafted(application, exp=None),
        crafted(application, jti=None),
        crafted(application, iat=now - 700, exp=now - 100),
        crafted(application, iat=now + 600, exp=now + 1200),
    ):
        assert_inactive(introspect(application, caller, foreign))
    assert introspect(application, caller, token).json["active"] is True


def test_a_token_ends_with_its_last_second(application: Application, caller: str, clock: FrozenClock) -> None:
    """R75, RFC 7662 section 4: who made ``exp`` allows it no leeway."""
    now = int(clock())
    token = crafted(application, exp=now + 100)
    clock.advance(now + 99.5 - clock())
    assert introspect(application, caller, token).json["active"] is True
    clock.advance(0.5)
    assert_inactive(introspect(application, caller, token))


def test_a_clock_that_is_a_little_ahead_does_not_make_a_new_token_inactive(
    application: Application, caller: str, clock: FrozenClock
) -> None:
    now = int(clock())
    assert introspect(application, caller, crafted(application, iat=now + 20)).json["active"] is True
    assert_inactive(introspect(application, caller, crafted(application, iat=now + 40)))


def test_a_retired_key_still_speaks_for_its_tokens_and_a_revoked_one_does_not(
    application: Application, cluster: FakeIssuer, clock: FrozenClock
) -> None:
    ring = application.service.ring
    first = ring.signing_key("ES256", clock()).kid
    ring.rotate_now()
    clock.advance(ring.ring.find(first).retires_at - clock() - 1)
    token = crafted(application)
    clock.advance(2)
    caller = own_token(application, cluster)
    assert ring.signing_key("ES256", clock()).kid != first
    assert introspect(application, caller, token).json["active"] is True
    ring.revoke(first)
    assert_inactive(introspect(application, caller, token))
    ring.revoke(ring.signing_key("ES256", clock()).kid, force=True)
    assert_challenged(introspect(application, caller, token), 401, "invalid_token")


def test_without_a_token_the_caller_is_challenged_and_told_of_no_error(application: Application, token: str) -> None:
    """R75, RFC 6750 section 3.1"""
    for headers in ([], [("Authorization", "Basic YTpi")], [("DPoP", "x")]):
        answer = introspect(application, None, token, headers=headers)
        assert_challenged(answer, 401, None)
        assert application.reason == "credential_missing"


def test_the_challenge_leads_to_the_metadata_of_our_own_issuer_as_a_resource(
    make_application: MakeApplication,
) -> None:
    """R100: RFC 9728 sections 3 and 5.1"""
    for issuer, path in (
        (AUDIENCE, "/.well-known/oauth-protected-resource"),
        (f"{AUDIENCE}/a/b", "/.well-known/oauth-protected-resource/a/b"),
    ):
        application = make_application(issuer=issuer)
        answer = application.ask("POST", f"{issuer.removeprefix(AUDIENCE)}/introspect")
        assert f'resource_metadata="{AUDIENCE}{path}"' in answer.headers["WWW-Authenticate"]
        assert application.ask("GET", path).json == {
            "resource": issuer,
            "authorization_servers": [issuer],
            "bearer_methods_supported": ["header"],
            "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "Ed25519"],
        }


def test_a_token_that_is_no_good_for_asking_is_refused(
    application: Application, cluster: FakeIssuer, token: str, clock: FrozenClock
) -> None:
    now = int(clock())
    own: dict[str, Any] = {"aud": AUDIENCE, "scope": "introspect:images"}
    for bad, reason in (
        ("x", "token_malformed"),
        (token, "audience_wrong"),
        (cluster.access_token(AUDIENCE, "introspect:images"), "issuer_wrong"),
        (crafted(application, iat=now - 700, exp=now - 100, **own), "expired"),
        (crafted(application, cnf={"jkt": "x"}, **own), "sender_unproven"),
        (crafted(application, cnf={"x5t#S256": "x"}, **own), "certificate_missing"),
        (crafted(application, **{**own, "aud": [AUDIENCE, IMAGES]}), "audience_wrong"),
    ):
        assert_challenged(introspect(application, bad, token), 401, "invalid_token")
        assert application.reason == reason


def test_a_good_token_without_the_scope_may_not_ask(application: Application, token: str) -> None:
    for scope in ("", "images:read", "introspect:", "introspect:nothing", "introspect"):
        answer = introspect(application, crafted(application, aud=AUDIENCE, scope=scope or None), token)
        assert_challenged(answer, 403, "insufficient_scope")
        assert 'scope="introspect:images"' in answer.headers["WWW-Authenticate"]
        assert application.reason == "scope_insufficient"


def test_a_caller_whose_token_was_revoked_may_not_ask_any_more(
    application: Application, caller: str, token: str
) -> None:
    assert introspect(application, caller, token).json["active"] is True
    assert revoke(application, caller).status == 200
    assert_challenged(introspect(application, caller, token), 401, "invalid_token")
    assert application.reason == "revoked"


INTROSPECT = f"{AUDIENCE}/introspect"


@pytest.fixture
def key() -> DeviceKey:
    """A key that tokens are bound to."""
    return DeviceKey()


def own_bound_token(application: Application, cluster: FakeIssuer, key: DeviceKey) -> str:
    """A token for our own issuer, bound to a key, with which ``images`` may ask."""
    identity = leaks.handled(cluster.kubernetes_token("media", "images", AUDIENCE))
    form = exchange_form(identity, resource=AUDIENCE, scope="introspect:images")
    answer = application.post(form, headers=dpop(key.proof("POST", f"{AUDIENCE}/token", now=application.clock())))
    assert answer.json["token_type"] == "DPoP"
    return str(answer.json["access_token"])


def ask_as(application: Application, scheme: str, caller: str, token: str, *proofs: str) -> Answer:
    """Ask about a token with the caller's own in this scheme, and with these proofs."""
    return introspect(application, None, token, headers=[("Authorization", f"{scheme} {caller}"), *dpop(*proofs)])


def test_a_caller_may_ask_with_a_token_that_is_bound_to_its_key(
    application: Application, cluster: FakeIssuer, token: str, key: DeviceKey, clock: FrozenClock
) -> None:
    """R65; RFC 9449 section 7.1"""
    caller = own_bound_token(application, cluster, key)
    for scheme in ("DPoP", "dpop"):
        proof = key.proof("POST", INTROSPECT, now=clock(), access_token=caller)
        answer = ask_as(application, scheme, caller, token, proof)
        assert (answer.status, answer.json["active"]) == (200, True)
        assert answer.headers["DPoP-Nonce"]
        assert answer.headers["Cache-Control"] == "no-store"
        again = ask_as(application, scheme, caller, token, proof)
        assert_dpop_challenge(again, "invalid_dpop_proof")
        assert application.reason == "proof_replayed"


def assert_dpop_challenge(answer: Answer, error: str) -> None:
    """The answer is a challenge of RFC 9449 section 7.1."""
    assert (answer.status, answer.json["error"]) == (401, error)
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith(f'DPoP realm="{AUDIENCE}", error="{error}"')
    assert 'algs="ES256 EdDSA Ed25519"' in challenge
    assert ("DPoP-Nonce" in answer.headers) == (error == "use_dpop_nonce")


def test_a_bound_token_is_no_bearer_token_and_a_bearer_token_is_not_bound(
    application: Application, cluster: FakeIssuer, caller: str, token: str, key: DeviceKey, clock: FrozenClock
) -> None:
    """R68; RFC 9449 section 7.2"""
    bound = own_bound_token(application, cluster, key)
    proof = key.proof("POST", INTROSPECT, now=clock(), access_token=bound)
    for proofs in ((), (proof,)):
        assert_challenged(ask_as(application, "Bearer", bound, token, *proofs), 401, "invalid_token")
        assert application.reason == "sender_unproven"
    proof = key.proof("POST", INTROSPECT, now=clock(), access_token=caller)
    assert_dpop_challenge(ask_as(application, "DPoP", caller, token, proof), "invalid_token")
    assert application.reason == "sender_unproven"
    assert_dpop_challenge(ask_as(application, "Bearer", caller, token, proof), "invalid_dpop_proof")
    assert application.reason == "proof_unexpected"
    elsewhere = crafted(application, aud=AUDIENCE, scope="introspect:images", cnf={"x5t#S256": "x"})
    assert_dpop_challenge(ask_as(application, "DPoP", elsewhere, token, proof), "invalid_token")
    assert application.reason == "confirmation_unsupported"


def test_a_bound_token_without_the_proof_of_its_key_may_not_ask(
    application: Application, cluster: FakeIssuer, token: str, key: DeviceKey, clock: FrozenClock
) -> None:
    """R61, R63, R65, R67, R70"""
    caller, now = own_bound_token(application, cluster, key), clock()
    good = key.proof("POST", INTROSPECT, now=now, access_token=caller)
    thief = DeviceKey()
    for proofs, error, reason in (
        ((), "invalid_dpop_proof", "proof_missing"),
        (("x",), "invalid_dpop_proof", "proof_malformed"),
        ((good, good), "invalid_dpop_proof", "proof_repeated"),
        ((key.proof("POST", INTROSPECT, now=now),), "invalid_dpop_proof", "proof_token_wrong"),
        ((key.proof("POST", INTROSPECT, now=now, access_token=token),), "invalid_dpop_proof", "proof_token_wrong"),
        ((key.proof("POST", f"{AUDIENCE}/token", now=now, access_token=caller),), "invalid_dpop_proof", None),
        ((key.proof("GET", INTROSPECT, now=now, access_token=caller),), "invalid_dpop_proof", "proof_method_wrong"),
        ((thief.proof("POST", INTROSPECT, now=now, access_token=caller),), "invalid_token", "proof_key_wrong"),
        ((key.proof("POST", INTROSPECT, iat=1, access_token=caller),), "use_dpop_nonce", "proof_time_wrong"),
        ((key.proof("POST", INTROSPECT, nonce="x", access_token=caller),), "use_dpop_nonce", "nonce_wrong"),
    ):
        assert_dpop_challenge(ask_as(application, "DPoP", caller, token, *proofs), error)
        assert application.reason == (reason or "proof_address_wrong")
    assert ask_as(application, "DPoP", caller, token, good).status == 200  # none of them used it up


def test_a_caller_with_a_wrong_clock_asks_with_a_nonce(
    application: Application, cluster: FakeIssuer, token: str, key: DeviceKey
) -> None:
    """R67"""
    caller = own_bound_token(application, cluster, key)
    wanted = ask_as(application, "DPoP", caller, token, key.proof("POST", INTROSPECT, iat=1, access_token=caller))
    nonce = wanted.headers["DPoP-Nonce"]
    proof = key.proof("POST", INTROSPECT, iat=1, access_token=caller, nonce=nonce)
    assert ask_as(application, "DPoP", caller, token, proof).json["active"] is True


def test_without_a_token_both_schemes_are_offered(application: Application) -> None:
    """R70, R75; RFC 9449 section 7.2"""
    headers = application.client.post("/introspect").headers.getlist("WWW-Authenticate")
    assert [header.partition(" ")[0] for header in headers] == ["Bearer", "DPoP"]
    assert headers[1] == 'DPoP algs="ES256 EdDSA Ed25519"'


def device_application(make_application: MakeApplication, **more: Any) -> Application:
    """An application in which ``images`` may ask, and devices of alice have tokens."""
    return make_application(**{**SETTINGS, "more": SETTINGS["more"] + PHONES.format(phones="")}, **more)


def test_the_token_of_a_device_names_its_key_and_its_type(
    make_application: MakeApplication, cluster: FakeIssuer, key: DeviceKey
) -> None:
    """R76; RFC 9449 section 6.2"""
    application = device_application(make_application)
    phone = enroll(application, key)
    token = str(ask_for_token(application, phone, key).json["access_token"])
    answer = introspect(application, own_token(application, cluster), token)
    _, claims = oracle.read(token, application.ask("GET", JWKS).json)
    assert answer.json == {"active": True, "token_type": "DPoP", **claims}
    assert answer.json["cnf"] == {"jkt": key.thumbprint}


def test_the_tokens_of_a_revoked_device_are_inactive_at_once_and_those_of_others_stay(
    make_application: MakeApplication, cluster: FakeIssuer, key: DeviceKey, clock: FrozenClock
) -> None:
    """R75; contract: resource servers that introspect see it, on every node."""
    one, other = (device_application(make_application, folder="shared") for _ in range(2))
    kept = DeviceKey()
    phone, laptop = enroll(one, key), enroll(one, kept)
    revoked = str(ask_for_token(one, phone, key).json["access_token"])
    stays = str(ask_for_token(one, laptop, kept).json["access_token"])
    caller = own_token(one, cluster)
    assert introspect(other, caller, revoked).json["active"] is True
    one.service.store.revoke_device(phone, clock())
    for node in (one, other):
        assert_inactive(introspect(node, caller, revoked))
        assert introspect(node, caller, stays).json["active"] is True


def test_the_tokens_of_a_key_that_a_device_no_longer_has_are_inactive(
    make_application: MakeApplication, cluster: FakeIssuer, key: DeviceKey
) -> None:
    """R75, R76"""
    application = device_application(make_application)
    new = DeviceKey()
    phone = enroll(application, key)
    old_token = str(ask_for_token(application, phone, key).json["access_token"])
    application.service.store.replace_key(
        phone, expected=key.thumbprint, jwk=new.jwk, thumbprint=new.thumbprint, key_id=None
    )
    new_token = str(ask_for_token(application, phone, new).json["access_token"])
    caller = own_token(application, cluster)
    assert_inactive(introspect(application, caller, old_token))
    assert introspect(application, caller, new_token).json["cnf"] == {"jkt": new.thumbprint}


def test_a_token_of_a_device_that_is_not_there_or_is_not_bound_is_inactive(
    make_application: MakeApplication, cluster: FakeIssuer, key: DeviceKey
) -> None:
    """R75"""
    application = device_application(make_application)
    phone, caller = enroll(application, key), own_token(application, cluster)
    wrong: tuple[dict[str, Any], ...] = (
        {"client_id": "dev_0123456789012345678901", "cnf": {"jkt": key.thumbprint}},
        {"client_id": phone},
        {"client_id": phone, "cnf": {"jkt": DeviceKey().thumbprint}},
        {"client_id": phone, "cnf": {"jkt": key.thumbprint, "x5t#S256": "x"}},
    )
    for claims in wrong:
        assert_inactive(introspect(application, caller, crafted(application, **claims)))
    good = crafted(application, client_id=phone, cnf={"jkt": key.thumbprint})
    assert introspect(application, caller, good).json["active"] is True


def test_a_revoked_device_may_not_ask_any_more(
    make_application: MakeApplication, key: DeviceKey, clock: FrozenClock
) -> None:
    """Contract: its tokens are refused at our own endpoints too."""
    application = device_application(make_application)
    phone = enroll(application, key)
    own: dict[str, Any] = {
        "aud": AUDIENCE,
        "scope": "introspect:images",
        "client_id": phone,
        "cnf": {"jkt": key.thumbprint},
    }
    caller = crafted(application, **own)
    proofs = [key.proof("POST", INTROSPECT, now=clock(), access_token=caller) for _ in range(2)]
    assert ask_as(application, "DPoP", caller, "x", proofs[0]).status == 200
    application.service.store.revoke_device(phone, clock())
    assert_dpop_challenge(ask_as(application, "DPoP", caller, "x", proofs[1]), "invalid_token")
    assert application.reason == "device_revoked"


def test_a_request_that_is_no_question_is_malformed(application: Application, caller: str, token: str) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"token": None}, "parameter_missing"),
        ({"token": ""}, "parameter_missing"),
        ({"form": [("token", "x")]}, "parameter_repeated"),
        ({"query": "token=x"}, "parameter_in_query"),
        ({"query": "access_token=x"}, "parameter_in_query"),
        ({"form": [("access_token", "x")]}, "credential_repeated"),
        ({"headers": bearer("x")}, "credential_repeated"),
        ({"content_type": "application/json", "body": b'{"token":"x"}'}, "not_a_form"),
        ({"content_type": None}, "not_a_form"),
        ({"body": b"token=\xff"}, "form_malformed"),
        ({"body": b"token=" + b"x" * (1 << 20)}, "body_too_large"),
    ]
    for options, reason in cases:
        answer = introspect(application, caller, **{"token": token, **options})
        assert (answer.status, answer.json["error"]) == (400, "invalid_request"), reason
        assert answer.json.keys() == {"error", "error_description", "request_id"}
        assert answer.headers["Cache-Control"] == "no-store"
        assert application.reason == reason


@pytest.mark.parametrize("path", ["/introspect", "/revoke"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_post_is_allowed(method: str, path: str, application: Application) -> None:
    answer = application.ask(method, path)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


def test_the_store_down_nobody_is_told_that_a_token_is_active(
    application: Application, caller: str, token: str
) -> None:
    """Contract, section 5: introspection answers 503 with the store down."""
    lose_the_store(application)
    for asked in (token, "x"):
        answer = introspect(application, caller, asked)
        assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert application.reason == "store_unavailable"
    assert_challenged(introspect(application, "x", token), 401, "invalid_token")


def test_an_answer_is_no_event_and_a_refusal_is_exactly_one(application: Application, caller: str, token: str) -> None:
    before = len(application.events)
    introspect(application, caller, token)
    introspect(application, caller, "x")
    assert len(application.events) == before
    introspect(application, None, token)
    introspect(application, caller, None)
    refused, malformed = application.events[before:]
    assert refused.keys() == {"event", "time", "environment", "request_id", "address", "outcome", "reason"}
    assert (refused["event"], refused["outcome"], refused["reason"]) == (
        "introspection",
        "refused",
        "credential_missing",
    )
    assert malformed["sub"] == malformed["client_id"] == "cluster:system:serviceaccount:media:images"
    assert (malformed["resource"], malformed["reason"]) == (AUDIENCE, "parameter_missing")
    assert {"jti", "expires_at"} <= malformed.keys()


def test_what_a_proxy_says_came_in_plain_is_refused(make_application: MakeApplication) -> None:
    application = make_application(server='trusted_proxies = ["10.0.0.0/8"]')
    for path in ("/introspect", "/revoke"):
        answer = application.ask("POST", path, headers=[("X-Forwarded-Proto", "http")], peer="10.0.0.1")
        assert (answer.status, application.reason) == (400, "plain_http")


def test_nothing_of_the_request_is_echoed(application: Application, caller: str) -> None:
    """R26"""
    for headers in ([], bearer("MARKER"), bearer(caller), [("Authorization", 'Bearer MARKER"\\')]):
        answer = introspect(application, None, "MARKER", headers=headers, form=[("MARKER", "MARKER")])
        assert b"MARKER" not in answer.body
        assert not any("MARKER" in value for value in answer.headers.values())
