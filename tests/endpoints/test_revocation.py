"""``POST /revoke``: whoever holds a token may take it back, and it stays taken back however it is spelled."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from authlib.oauth2.client import OAuth2Client

from authserver.jose.compact import base64url_decode, base64url_encode
from authserver.testing import FakeIssuer, FrozenClock
from tests import oracle
from tests.devices import PHONES, DeviceKey
from tests.endpoints.conftest import FORM, Application, MakeApplication
from tests.endpoints.enrolled import ask_for_token, dpop, enroll
from tests.endpoints.holders import INACTIVE, SETTINGS, SUB, bearer, crafted, introspect, issued, own_token, revoke
from tests.endpoints.test_outages import lose_the_store
from tests.served import ASSERTION_TYPE, AUDIENCE, IMAGES, Answer


@pytest.fixture
def application(make_application: MakeApplication) -> Application:
    """An application in which somebody may ask whether tokens for images are active."""
    return make_application(**SETTINGS)


@pytest.fixture
def caller(application: Application, cluster: FakeIssuer) -> str:
    """The token of the resource server for images."""
    return own_token(application, cluster)


@pytest.fixture
def token(application: Application, cluster: FakeIssuer) -> str:
    """A token that somebody wants to take back."""
    return issued(application, cluster)


def is_active(application: Application, caller: str, token: str) -> bool:
    """What the introspection endpoint says."""
    answer = introspect(application, caller, token)
    assert answer.status == 200
    assert answer.json["active"] or answer.body == INACTIVE
    return bool(answer.json["active"])


def test_whoever_holds_a_token_takes_it_back_and_it_is_inactive_at_once(
    application: Application, caller: str, token: str
) -> None:
    """RFC 7009 section 2.2"""
    assert is_active(application, caller, token)
    for _ in range(2):
        answer = revoke(application, token)
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["Cache-Control"] == "no-store"
        assert not is_active(application, caller, token)


def test_only_that_token_is_taken_back(application: Application, cluster: FakeIssuer, caller: str, token: str) -> None:
    """R74: another token of the same caller stays, and so does one of another caller."""
    others = [issued(application, cluster), crafted(application, sub="cluster:other", client_id="cluster:other")]
    revoke(application, token, form=[("client_id", "cluster:other")])
    assert [is_active(application, caller, each) for each in (*others, token)] == [True, True, False]


def test_a_token_for_any_resource_and_for_our_own_issuer_can_be_taken_back(
    application: Application, cluster: FakeIssuer, caller: str, token: str
) -> None:
    assert revoke(application, caller).status == 200
    assert introspect(application, caller, token).status == 401
    assert revoke(application, issued(application, cluster, resource="https://reports.example.com", scope=None)).status
    assert [event["resource"] for event in application.events if event["event"] == "revocation"] == [
        AUDIENCE,
        "https://reports.example.com",
    ]


def padded(token: str) -> str:
    """The same bytes with padding, as base64 has it and base64url in a JWS must not."""
    return f"{token}=="


def with_stray_bits(token: str) -> str:
    """The same bytes, with one of the bits set that belong to no byte."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) + 1]


def with_another_header(token: str) -> str:
    """The same claims and signature under a header that is spelled with spaces."""
    header, rest = token.split(".", 1)
    return base64url_encode(base64url_decode(header).replace(b":", b": ")) + "." + rest


@pytest.mark.parametrize(
    "spell", [str.strip, oracle.with_negated_s, padded, with_stray_bits, with_another_header, " {}\n".format]
)
def test_a_revoked_token_stays_revoked_in_every_spelling(
    spell: Callable[[str], str], application: Application, caller: str, token: str
) -> None:
    """R79"""
    revoke(application, token)
    assert not is_active(application, caller, spell(token))


def test_an_altered_signature_takes_back_the_token_that_it_belongs_to(
    application: Application, caller: str, token: str
) -> None:
    """R79: (r, n - s) is as valid as (r, s), so it is a token of ours, and the same one."""
    altered = oracle.with_negated_s(token)
    assert is_active(application, caller, altered)
    revoke(application, altered)
    assert not is_active(application, caller, token)


def test_what_is_no_token_of_ours_or_not_any_more_is_answered_alike_and_changes_nothing(
    application: Application, cluster: FakeIssuer, caller: str, token: str, clock: FrozenClock
) -> None:
    """R74, RFC 7009 section 2.2; the audit log alone says which it was."""
    _, claims = oracle.read(token, application.ask("GET", "/.well-known/jwks.json").json)
    now = int(clock())
    kid = application.service.ring.signing_key("ES256", now).kid
    forged = oracle.sign(oracle.make_key("ES256", kid=kid), claims, typ="at+jwt")
    for worthless, reason in (
        ("x", "token_malformed"),
        (forged, "signature_wrong"),
        (oracle.sign(oracle.make_key("ES256"), claims, typ="at+jwt"), "key_unknown"),
        (cluster.access_token(IMAGES, "images:read", jti=claims["jti"]), "issuer_wrong"),
        (crafted(application, typ="JWT", jti=claims["jti"]), "token_type_wrong"),
        (crafted(application, aud="https://removed.example.com"), "audience_wrong"),
        (crafted(application, iat=now - 700, exp=now - 100, jti=claims["jti"]), "expired"),
    ):
        answer = revoke(application, worthless)
        assert (answer.status, answer.body) == (200, b"")
        event = application.events[-1]
        assert (event["event"], event["outcome"], event["reason"]) == ("revocation", "refused", reason)
    assert is_active(application, caller, token)


REVOKE = f"{AUDIENCE}/revoke"


@pytest.fixture
def key() -> DeviceKey:
    """A key that tokens are bound to."""
    return DeviceKey()


@pytest.fixture
def bound(application: Application, key: DeviceKey) -> str:
    """A token that is bound to that key."""
    return crafted(application, cnf={"jkt": key.thumbprint})


def test_a_bound_token_is_taken_back_with_the_proof_of_its_key(
    application: Application, caller: str, bound: str, key: DeviceKey, clock: FrozenClock
) -> None:
    """Contract: a bound one with its DPoP proof; that the proof names the token is allowed, and not asked for."""
    other = crafted(application, cnf={"jkt": key.thumbprint})
    for token, named in ((bound, None), (other, other)):
        assert is_active(application, caller, token)
        proof = key.proof("POST", REVOKE, now=clock(), access_token=named)
        answer = revoke(application, token, headers=dpop(proof))
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["DPoP-Nonce"]
        assert not is_active(application, caller, token)
        again = revoke(application, token, headers=dpop(proof))
        assert (again.status, again.json["error"], application.reason) == (400, "invalid_dpop_proof", "proof_replayed")


def test_a_bound_token_is_not_taken_back_without_the_proof_of_its_key(
    application: Application, caller: str, bound: str, key: DeviceKey, clock: FrozenClock
) -> None:
    """R65, R74"""
    now = clock()
    good = key.proof("POST", REVOKE, now=now)
    for proofs, reason in (
        ((), "proof_missing"),
        (("x",), "proof_malformed"),
        ((good, good), "proof_repeated"),
        ((DeviceKey().proof("POST", REVOKE, now=now),), "proof_key_wrong"),
        ((key.proof("POST", f"{AUDIENCE}/token", now=now),), "proof_address_wrong"),
        ((key.proof("GET", REVOKE, now=now),), "proof_method_wrong"),
        ((key.proof("POST", REVOKE, now=now, access_token=caller),), "proof_token_wrong"),
        ((key.proof("POST", REVOKE, now=now, ath=1),), "proof_token_wrong"),
    ):
        answer = revoke(application, bound, headers=dpop(*proofs))
        assert (answer.status, answer.json["error"]) == (400, "invalid_dpop_proof")
        assert application.reason == reason
    assert is_active(application, caller, bound)
    assert revoke(application, bound, headers=dpop(good)).status == 200  # none of them used it up


def test_a_proof_whose_time_is_wrong_gets_a_nonce(
    application: Application, bound: str, key: DeviceKey, caller: str
) -> None:
    """R67"""
    answer = revoke(application, bound, headers=dpop(key.proof("POST", REVOKE, iat=1)))
    assert (answer.status, answer.json["error"]) == (400, "use_dpop_nonce")
    nonce = answer.headers["DPoP-Nonce"]
    assert revoke(application, bound, headers=dpop(key.proof("POST", REVOKE, iat=1, nonce=nonce))).status == 200
    assert not is_active(application, caller, bound)


def test_a_token_that_is_bound_to_what_no_proof_proves_is_not_taken_back(
    application: Application, key: DeviceKey, clock: FrozenClock
) -> None:
    both = {"jkt": key.thumbprint, "x5t#S256": "x"}
    for confirmation in ({"x5t#S256": "x"}, {"jkt": 1}, {}, "x", both):
        token = crafted(application, cnf=confirmation)
        proof = key.proof("POST", REVOKE, now=clock())
        for headers in ([], dpop(proof)):
            answer = revoke(application, token, headers=headers)
            assert (answer.status, answer.json["error"]) == (400, "invalid_dpop_proof")
            assert application.reason == "sender_unproven"


def test_a_proof_beside_a_token_that_needs_none_is_checked_and_not_ignored(
    application: Application, caller: str, token: str, key: DeviceKey, clock: FrozenClock
) -> None:
    """Contract: a DPoP header is honoured or refused."""
    for headers in (dpop("x"), dpop(key.proof("POST", REVOKE, now=clock(), access_token=caller))):
        assert revoke(application, token, headers=headers).json["error"] == "invalid_dpop_proof"
    assert revoke(application, "no token", headers=dpop("x")).json["error"] == "invalid_dpop_proof"
    assert is_active(application, caller, token)
    proof = key.proof("POST", REVOKE, now=clock())
    assert revoke(application, "no token", headers=dpop(proof)).status == 200
    assert revoke(application, token, headers=dpop(proof)).status == 200
    assert not is_active(application, caller, token)


def test_a_device_takes_back_its_own_tokens_and_no_others(
    make_application: MakeApplication, cluster: FakeIssuer, key: DeviceKey, clock: FrozenClock
) -> None:
    """R74"""
    application = make_application(**{**SETTINGS, "more": SETTINGS["more"] + PHONES.format(phones="")})
    caller, thief = own_token(application, cluster), DeviceKey()
    phone, other = enroll(application, key), enroll(application, thief)
    token = str(ask_for_token(application, phone, key).json["access_token"])
    assert ask_for_token(application, other, thief).status == 200
    stolen = revoke(application, token, headers=dpop(thief.proof("POST", REVOKE, now=clock())))
    assert (stolen.status, application.reason) == (400, "proof_key_wrong")
    assert is_active(application, caller, token)
    assert revoke(application, token, headers=dpop(key.proof("POST", REVOKE, now=clock()))).status == 200
    assert not is_active(application, caller, token)


@pytest.mark.parametrize(
    ("headers", "form", "challenge"),
    [
        ([("Authorization", "Basic YTpi")], [], "Basic"),
        (bearer("x"), [], "Bearer"),
        ([], [("client_id", "a"), ("client_secret", "b")], None),
        ([], [("client_assertion", "x"), ("client_assertion_type", ASSERTION_TYPE)], None),
    ],
    ids=["basic", "bearer", "post", "assertion"],
)
def test_client_authentication_is_refused_as_at_the_token_endpoint(
    headers: list[tuple[str, str]],
    form: list[tuple[str, str]],
    challenge: str | None,
    application: Application,
    caller: str,
    token: str,
) -> None:
    answer = revoke(application, token, headers=headers, form=form)
    assert (answer.status, answer.json["error"]) == (401, "invalid_client")
    assert ("WWW-Authenticate" in answer.headers) == (challenge is not None)
    assert answer.headers.get("WWW-Authenticate", "").startswith(challenge or "")
    assert is_active(application, caller, token)
    both = revoke(application, token, headers=[("Authorization", "Basic YTpi")], form=[("client_secret", "b")])
    assert (both.status, application.reason) == (400, "client_authentication_repeated")


def test_a_request_that_is_no_form_with_a_token_is_malformed(application: Application, token: str) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"token": None}, "parameter_missing"),
        ({"form": [("token", "x")]}, "parameter_repeated"),
        ({"query": "token=x"}, "parameter_in_query"),
        ({"content_type": "application/json"}, "not_a_form"),
        ({"body": b"token=%00"}, "form_malformed"),
    ]
    for options, reason in cases:
        answer = revoke(application, **{"token": token, **options})
        assert (answer.status, answer.json["error"]) == (400, "invalid_request")
        assert answer.json.keys() == {"error", "error_description", "request_id"}
        assert application.reason == reason


def test_each_request_is_one_event_that_says_whose_token_it_was(
    application: Application, token: str, clock: FrozenClock
) -> None:
    before = len(application.events)
    answer = revoke(application, token, form=[("token_type_hint", "access_token")])
    (event,) = application.events[before:]
    assert event == {
        "event": "revocation",
        "time": round(clock(), 3),
        "environment": "testing",
        "request_id": answer.headers["X-Request-Id"],
        "address": "127.0.0.1",
        "outcome": "revoked",
        "sub": SUB,
        "client_id": SUB,
        "resource": IMAGES,
        "jti": event["jti"],
        "expires_at": int(clock()) + 3600,
    }


def test_the_store_down_nothing_is_said_to_be_revoked(application: Application, token: str) -> None:
    """Contract, section 5: revocation answers 503 with the store down."""
    lose_the_store(application)
    answer = revoke(application, token)
    assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert (application.events[-1]["outcome"], application.reason) == ("unavailable", "store_unavailable")


def test_a_revocation_that_cannot_be_put_on_record_is_not_confirmed(application: Application, token: str) -> None:
    audit, application.audit = application.audit, io.BytesIO()
    audit.close()
    assert revoke(application, token).status == 503


def test_what_was_revoked_on_one_node_is_inactive_on_the_other_at_once(
    make_application: MakeApplication, cluster: FakeIssuer
) -> None:
    one, other = (make_application(folder="shared", **SETTINGS) for _ in range(2))
    caller, token = own_token(one, cluster), issued(one, cluster)
    assert is_active(other, caller, token)
    revoke(one, token)
    assert not is_active(other, caller, token)
    revoke(other, caller)
    assert introspect(one, caller, token).status == 401


def test_a_revoked_token_does_not_come_back_within_the_leeway_when_the_store_is_swept(
    application: Application, caller: str, token: str, clock: FrozenClock
) -> None:
    """A credential is accepted until ``exp`` and the skew; the node that sweeps may be ahead by the skew, too."""
    revoke(application, caller)
    clock.advance(3600 + 29)
    application.service.store.sweep(clock() + 30)
    introspect(application, caller, token)
    assert application.reason == "revoked"
    clock.advance(1)
    introspect(application, caller, token)
    assert application.reason == "expired"


class Session:
    """What Authlib sends its requests with: the application, as if it were far away."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def post(self, url: str, data: dict[str, str], headers: dict[str, str], auth: object) -> Answer:
        path = url.removeprefix(AUDIENCE)
        body = "&".join(f"{name}={value}" for name, value in data.items())
        if auth is not None:
            _, headers, body = auth.prepare("POST", url, headers, body)  # type: ignore[attr-defined]
        kept = [(name, value) for name, value in headers.items() if name != "Content-Type"]
        return self._application.ask("POST", path, body=body.encode(), headers=kept, content_type=FORM)


def test_authlib_takes_a_token_back_and_asks_about_it(application: Application, caller: str, token: str) -> None:
    metadata = application.ask("GET", "/.well-known/oauth-authorization-server").json
    client = OAuth2Client(
        Session(application),
        client_id=SUB,
        revocation_endpoint_auth_method=metadata["revocation_endpoint_auth_methods_supported"][0],
    )

    def active() -> bool:
        headers = dict(bearer(caller))
        answer = client.introspect_token(metadata["introspection_endpoint"], token, "access_token", headers=headers)
        return bool(answer.json["active"])

    assert active()
    assert client.revoke_token(metadata["revocation_endpoint"], token, "access_token").status == 200
    assert not active()


def test_a_token_signed_by_another_nodes_new_key_is_revoked_and_never_shrugged_off(
    make_application: MakeApplication, cluster: FakeIssuer
) -> None:
    """RFC 7009 section 2.2: 200 promises that the token is invalid, on a node whose ring is a second old too."""
    first, second = (make_application(folder="shared", **SETTINGS) for _ in range(2))
    for entry in first.service.ring.ring.of("ES256"):
        first.service.ring.revoke(entry.kid, force=True)
    asking = own_token(first, cluster)
    fresh = issued(first, cluster)
    assert revoke(second, fresh).status == 200
    assert not is_active(first, asking, fresh)
    assert not is_active(second, asking, fresh)


def test_with_the_store_away_nothing_is_said_of_a_key_that_this_node_never_heard_of(
    make_application: MakeApplication, cluster: FakeIssuer
) -> None:
    first, second = (make_application(folder="shared", **SETTINGS) for _ in range(2))
    for entry in first.service.ring.ring.of("ES256"):
        first.service.ring.revoke(entry.kid, force=True)
    fresh = issued(first, cluster)
    lose_the_store(second)
    assert revoke(second, fresh).status == 503
