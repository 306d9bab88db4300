"""``POST /token``: what each grant needs, what is answered, and in which order the checks run."""

from typing import Any

import pytest

from authserver.testing import FakeIssuer, FrozenClock
from tests import oracle
from tests.endpoints.conftest import Application, MakeApplication
from tests.served import (
    ASSERTION_TYPE,
    AUDIENCE,
    BEARER_GRANT,
    EXCHANGE,
    IMAGES,
    JWT_TYPE,
    REPORTS,
    exchange_form,
)

SUB = "cluster:system:serviceaccount:media:thumbnailer"


def forms(token: str, **changes: str | None) -> dict[str, dict[str, str]]:
    """The same request in each of the three grants."""
    common: dict[str, Any] = {"resource": IMAGES, "scope": "images:read"}
    grants = {
        "token-exchange": {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": JWT_TYPE},
        "jwt-bearer": {"grant_type": BEARER_GRANT, "assertion": token},
        "client_credentials": {
            "grant_type": "client_credentials",
            "client_assertion": token,
            "client_assertion_type": ASSERTION_TYPE,
        },
    }
    merged = {name: {**common, **form, **changes} for name, form in grants.items()}
    return {name: {k: v for k, v in form.items() if v is not None} for name, form in merged.items()}


each_grant = pytest.mark.parametrize("grant", ["token-exchange", "jwt-bearer", "client_credentials"])


@each_grant
def test_every_grant_gives_a_token_that_another_library_accepts(
    grant: str, application: Application, identity: str, clock: FrozenClock
) -> None:
    """R4, R22, R23, R56, R57, R58"""
    answer = application.post(forms(identity)[grant])
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    body = answer.json
    assert body["token_type"] == "Bearer"
    assert body["scope"] == "images:read"
    assert body["expires_in"] == 3600
    assert ("issued_token_type" in body) == (grant == "token-exchange")
    header, claims = oracle.read(body["access_token"], application.ask("GET", "/.well-known/jwks.json").json)
    assert header["typ"] == "at+jwt"
    assert header["alg"] == "ES256"
    now = int(clock())
    assert claims == {
        "iss": AUDIENCE,
        "sub": SUB,
        "aud": IMAGES,
        "client_id": SUB,
        "scope": "images:read",
        "iat": now,
        "exp": now + 3600,
        "jti": claims["jti"],
    }
    assert len(claims["jti"]) >= 22  # R32: 128 bits


def test_a_resource_that_asks_for_rs256_gets_it_and_the_rules_shorter_lifetime(
    application: Application, identity: str
) -> None:
    """R56"""
    answer = application.post(exchange_form(identity, resource=REPORTS, scope=None))
    header, claims = oracle.read(answer.json["access_token"], application.ask("GET", "/.well-known/jwks.json").json)
    assert header["alg"] == "RS256"
    assert claims["scope"] == answer.json["scope"] == "reports:read"
    assert claims["exp"] - claims["iat"] == answer.json["expires_in"] == 900


def test_the_identity_tokens_own_expiry_does_not_cap_the_access_token(
    application: Application, cluster: FakeIssuer, clock: FrozenClock
) -> None:
    short = cluster.kubernetes_token("media", "thumbnailer", AUDIENCE, exp=int(clock()) + 10)
    assert application.post(exchange_form(short)).json["expires_in"] == 3600


def test_the_answer_repeats_the_requested_token_type(application: Application, identity: str) -> None:
    """R46"""
    for requested, issued in (
        (None, "urn:ietf:params:oauth:token-type:access_token"),
        ("urn:ietf:params:oauth:token-type:access_token",) * 2,
        (JWT_TYPE, JWT_TYPE),
    ):
        body = application.post(exchange_form(identity, requested_token_type=requested)).json
        assert body["issued_token_type"] == issued
        assert body["token_type"] == "Bearer"


def test_an_id_token_type_is_accepted_too(application: Application, identity: str) -> None:
    form = exchange_form(identity, subject_token_type="urn:ietf:params:oauth:token-type:id_token")
    assert application.post(form).status == 200


def test_audience_may_name_the_resource_alone_or_in_agreement(application: Application, identity: str) -> None:
    assert application.post(exchange_form(identity, resource=None, audience=IMAGES)).status == 200
    assert application.post(exchange_form(identity, audience=IMAGES)).status == 200


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"resource": None}, "target_missing"),
        ({"resource": "https://unknown.example.com"}, "target_unknown"),
        ({"resource": "https://images.example.com/"}, "target_unknown"),
        ({"resource": "images"}, "target_malformed"),
        ({"resource": "https://images.example.com#part"}, "target_malformed"),
        ({"audience": REPORTS}, "target_ambiguous"),
    ],
)
@each_grant
def test_anything_but_one_known_target_is_invalid_target(
    grant: str, changes: dict[str, str | None], reason: str, application: Application, identity: str
) -> None:
    """R45, R52, R53"""
    answer = application.post(forms(identity, **changes)[grant])
    assert (answer.status, answer.json["error"], application.reason) == (400, "invalid_target", reason)


def test_two_resources_are_invalid_target_and_not_a_repeated_parameter(application: Application, identity: str) -> None:
    """R20"""
    form = [*exchange_form(identity).items(), ("resource", REPORTS)]
    assert application.post(form).json["error"] == "invalid_target"


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        (None, "scope_missing"),
        ("images:write", "scope_not_allowed"),
        ("images:read images:write", "scope_not_allowed"),
        ("images:delete", "scope_unknown"),
        ("images:read  images:write", "scope_malformed"),
        ('images:"read"', "scope_malformed"),
        ("images:\\read", "scope_malformed"),
        ("images:r\u00e9ad", "scope_malformed"),
    ],
)
@each_grant
def test_a_scope_that_is_not_allowed_is_refused_and_never_dropped(
    grant: str, scope: str | None, reason: str, application: Application, identity: str
) -> None:
    """R24, R30, R49"""
    answer = application.post(forms(identity, scope=scope)[grant])
    assert (answer.status, answer.json["error"], application.reason) == (400, "invalid_scope", reason)


@pytest.mark.parametrize(
    ("grant", "rejected", "not_admitted"),
    [
        ("token-exchange", (400, "invalid_request"), (400, "invalid_request")),
        ("jwt-bearer", (400, "invalid_grant"), (400, "invalid_grant")),
        ("client_credentials", (401, "invalid_client"), (400, "unauthorized_client")),
    ],
)
def test_a_bad_credential_and_a_missing_rule_have_the_error_of_their_grant(
    grant: str, rejected: tuple[int, str], not_admitted: tuple[int, str], application: Application, cluster: FakeIssuer
) -> None:
    """R28, R39, R44"""
    stranger = cluster.kubernetes_token("media", "stranger", AUDIENCE)
    answer = application.post(forms(stranger)[grant])
    assert (answer.status, answer.json["error"], application.reason) == (*not_admitted, "no_rule")
    expired = cluster.kubernetes_token("media", "thumbnailer", AUDIENCE, iat=1, exp=2)
    answer = application.post(forms(expired)[grant])
    assert (answer.status, answer.json["error"], application.reason) == (*rejected, "expired")
    assert "WWW-Authenticate" not in answer.headers


def test_what_is_missing_from_each_grant_is_named_to_the_operator(application: Application, identity: str) -> None:
    """R33, R42, R43"""
    id_type = "urn:ietf:params:oauth:token-type:id_token"
    for form, status, error, reason in (
        ({}, 400, "invalid_request", "parameter_missing"),
        (exchange_form(identity, grant_type=None), 400, "invalid_request", "parameter_missing"),
        (exchange_form(identity, subject_token=None), 400, "invalid_request", "parameter_missing"),
        (exchange_form(identity, subject_token_type=None), 400, "invalid_request", "parameter_missing"),
        (exchange_form(identity, subject_token_type="jwt"), 400, "invalid_request", "parameter_unsupported"),
        (exchange_form(identity, requested_token_type=id_type), 400, "invalid_request", "parameter_unsupported"),
        (exchange_form(identity, actor_token="x"), 400, "invalid_request", "parameter_missing"),
        (exchange_form(identity, actor_token_type=JWT_TYPE), 400, "invalid_request", "parameter_missing"),
        (
            exchange_form(identity, actor_token="x", actor_token_type=JWT_TYPE),
            400,
            "invalid_request",
            "actor_token_unsupported",
        ),
        (forms(identity, assertion=None)["jwt-bearer"], 400, "invalid_request", "parameter_missing"),
        (
            forms(identity, client_assertion=None)["client_credentials"],
            401,
            "invalid_client",
            "client_authentication_missing",
        ),
        (
            forms(identity, client_assertion_type=None)["client_credentials"],
            401,
            "invalid_client",
            "client_assertion_type_unknown",
        ),
        (
            forms(identity, client_assertion_type="jwt-bearer")["client_credentials"],
            401,
            "invalid_client",
            "client_assertion_type_unknown",
        ),
    ):
        answer = application.post(form)
        assert (answer.status, answer.json["error"], application.reason) == (status, error, reason)


@pytest.mark.parametrize("grant", ["password", "authorization_code", "refresh_token", "implicit", "\x1b", "x" * 5000])
def test_a_grant_that_this_server_does_not_have_cannot_be_had(
    grant: str, application: Application, identity: str
) -> None:
    """R28, R29"""
    answer = application.post(exchange_form(identity, grant_type=grant))
    assert (answer.status, answer.json["error"]) == (400, "unsupported_grant_type")
    assert grant not in answer.body.decode()


def test_a_client_secret_in_any_form_is_refused(application: Application, identity: str) -> None:
    """R25, R27"""
    for grant in forms(identity).values():
        without = {name: value for name, value in grant.items() if name != "client_assertion"}
        answer = application.post({**without, "client_secret": "s3cret"})
        assert (answer.status, answer.json["error"]) == (401, "invalid_client")
        assert "WWW-Authenticate" not in answer.headers
        answer = application.post(without, headers=[("Authorization", "Basic YTpi")])
        assert (answer.status, answer.json["error"]) == (401, "invalid_client")
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="token"'
        answer = application.post(without, headers=[("Authorization", "Bearer abc")])
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="token"'


def test_more_than_one_way_to_authenticate_the_client_is_refused(application: Application, identity: str) -> None:
    """R27"""
    form = forms(identity)["client_credentials"]
    for changed, headers in (
        ({**form, "client_secret": "x"}, []),
        (form, [("Authorization", "Basic YTpi")]),
        ({**exchange_form(identity), "client_secret": "x"}, [("Authorization", "Basic YTpi")]),
    ):
        answer = application.post(changed, headers=headers)
        assert (answer.status, answer.json["error"]) == (400, "invalid_request")
        assert application.reason == "client_authentication_repeated"


def test_a_second_credential_beside_the_grants_own_is_refused_rather_than_ignored(
    application: Application, identity: str
) -> None:
    for name in ("token-exchange", "jwt-bearer"):
        form = {**forms(identity)[name], "client_assertion": identity, "client_assertion_type": ASSERTION_TYPE}
        answer = application.post(form)
        assert (answer.status, answer.json["error"]) == (401, "invalid_client")


def test_a_client_id_must_be_ours_for_client_credentials_and_is_ignored_elsewhere(
    application: Application, identity: str
) -> None:
    """R40"""
    for name, form in forms(identity, client_id="stray").items():
        answer = application.post(form)
        if name == "client_credentials":
            assert (answer.status, answer.json["error"], application.reason) == (
                401,
                "invalid_client",
                "client_id_mismatch",
            )
        else:
            assert answer.status == 200
    assert application.post(forms(identity, client_id=SUB)["client_credentials"]).status == 200


def test_a_dpop_header_is_never_ignored(application: Application, identity: str) -> None:
    """R61, R66: a request that carries a bad proof is not answered as if it carried none."""
    for form in forms(identity).values():
        answer = application.post(form, headers=[("DPoP", "anything")])
        assert (answer.status, answer.json["error"]) == (400, "invalid_dpop_proof")
        assert application.reason == "proof_malformed"


def test_a_resource_for_bound_tokens_gives_no_bearer_token(application: Application, identity: str) -> None:
    form = exchange_form(identity, resource="https://bound.example.com", scope="bound:read")
    answer = application.post(form)
    assert (answer.status, answer.json["error"], application.reason) == (400, "invalid_dpop_proof", "proof_missing")


def test_checks_run_in_the_order_that_users_rely_on(application: Application, cluster: FakeIssuer) -> None:
    """Form, client authentication, grant, resource, credential, rules, scope, sender constraint."""
    stranger = cluster.kubernetes_token("media", "stranger", AUDIENCE)
    friend = cluster.kubernetes_token("media", "thumbnailer", AUDIENCE)
    form: list[tuple[str, str]] = [
        ("x", "1"),
        ("x", "2"),
        ("client_secret", "s"),
        ("grant_type", "none"),
        ("resource", "nowhere"),
        ("subject_token", "broken"),
        ("subject_token_type", JWT_TYPE),
        ("scope", "\\"),
    ]
    seen = []
    for name, value in (
        (None, None),
        ("x", None),
        ("client_secret", None),
        ("grant_type", EXCHANGE),
        ("resource", IMAGES),
        ("subject_token", stranger),
        ("subject_token", friend),
        ("scope", "images:read"),
    ):
        form = [(k, v) for k, v in form if k != name]
        if name and value:
            form.append((name, value))
        seen.append(application.post(form, headers=[("DPoP", "x")]).json["error"])
    assert seen == [
        "invalid_request",
        "invalid_client",
        "unsupported_grant_type",
        "invalid_target",
        "invalid_request",
        "invalid_request",
        "invalid_scope",
        "invalid_dpop_proof",
    ]
    assert [event["reason"] for event in application.events][4:6] == ["token_malformed", "no_rule"]


def test_a_single_use_identity_is_accepted_once(application: Application, cluster: FakeIssuer) -> None:
    """R37"""
    token = cluster.identity_token("https://once.auth.example.com")
    assert application.post(exchange_form(token)).status == 200
    again = application.post(exchange_form(token))
    assert (again.status, again.json["error"], application.reason) == (400, "invalid_request", "used_twice")


def test_pull_request_target_is_refused_unless_a_rule_names_it(
    make_application: MakeApplication, cluster: FakeIssuer
) -> None:
    rule = """
[[allow]]
name = "reviewed"
source = "github"
match = { repository_id = "1", event_name = "pull_request_target" }
resource = "https://images.example.com"
scope = ["images:read"]
"""
    ids = {"repository_id": "1", "repository_owner_id": "2", "event_name": "pull_request_target"}
    token = cluster.github_token("o/r", "https://github.auth.example.com", **ids)
    refused = make_application().post(exchange_form(token, scope="images:write"))
    assert (refused.status, refused.json["error"]) == (400, "invalid_request")
    named = make_application(more=rule)
    assert named.post(exchange_form(token)).status == 200
    assert named.post(exchange_form(token, scope="images:write")).json["error"] == "invalid_scope"


def test_the_outcome_of_every_request_is_one_event_without_a_token(application: Application, identity: str) -> None:
    answer = application.post(exchange_form(identity))
    refused = application.post(exchange_form(identity, scope="images:write"))
    application.post(b"\xff")
    issued_event, refused_event, malformed_event = application.events
    assert issued_event["outcome"] == "issued"
    assert issued_event["request_id"] == answer.headers["X-Request-Id"]
    assert issued_event["sub"] == SUB
    assert issued_event["resource"] == IMAGES
    assert issued_event["rules"] == ["thumbnailer-reads-images"]
    assert issued_event["scope"] == ["images:read"]
    assert {
        "jti",
        "kid",
        "expires_at",
        "credential_id",
        "address",
        "environment",
        "time",
        "grant",
    } <= issued_event.keys()
    assert refused_event["outcome"] == "refused"
    assert refused_event["reason"] == "scope_not_allowed"
    assert refused_event["request_id"] == refused.json["request_id"] == refused.headers["X-Request-Id"]
    assert malformed_event["reason"] == "form_malformed"
    assert identity not in application.audit.getvalue().decode()
    assert answer.json["access_token"] not in application.audit.getvalue().decode()


def test_a_rule_in_audit_mode_grants_nothing_and_is_named_in_the_event(
    make_application: MakeApplication, cluster: FakeIssuer
) -> None:
    rule = """
[[allow]]
name = "trial"
source = "cluster"
match = { namespace = "trial" }
resource = "https://images.example.com"
scope = ["images:read"]
mode = "audit"
"""
    application = make_application(more=rule)
    answer = application.post(exchange_form(cluster.kubernetes_token("trial", "anyone", AUDIENCE)))
    assert answer.json["error"] == "invalid_request"
    assert application.events[-1]["would_allow"] == ["trial"]


def test_a_decision_that_cannot_be_put_on_record_is_not_made(application: Application, identity: str) -> None:
    application.audit.close()
    for form in (exchange_form(identity), exchange_form(identity, scope="images:write")):
        answer = application.post(form)
        assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    application.audit = type(application.audit)()


def test_a_request_that_can_be_mended_does_not_use_up_a_single_use_identity(
    application: Application, cluster: FakeIssuer
) -> None:
    token = cluster.identity_token("https://once.auth.example.com")
    for changes in ({"scope": "images:delete"}, {"scope": None}, {"resource": "https://bound.example.com"}):
        assert application.post(exchange_form(token, **changes)).status == 400
    assert application.post(exchange_form(token)).status == 200
    assert application.post(exchange_form(token)).status == 400
    assert application.reason == "used_twice"
