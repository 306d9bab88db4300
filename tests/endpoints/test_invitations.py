"""``POST /devices/invitations``: a backend invites a device."""

from typing import Any

import pytest

from authserver.testing import FakeIssuer
from tests import leaks
from tests.devices import DeviceKey, hash_of, token_form
from tests.endpoints import phones
from tests.endpoints.conftest import Application, MakeApplication
from tests.endpoints.holders import asks_about, bearer, own_token
from tests.endpoints.phones import backend_token, enrolled, invite, register, signed_in
from tests.endpoints.test_outages import lose_the_store
from tests.served import AUDIENCE, Answer

PATH = "/devices/invitations"


@pytest.fixture
def application(make_application: MakeApplication, cluster: FakeIssuer) -> Application:
    """An application that devices can enrol at."""
    return make_application(**phones.settings(cluster))


def said(answer: Answer, application: Application) -> tuple[int, str | None, str | None]:
    """The status, the error that the caller sees, and the reason that the operator sees."""
    return answer.status, answer.json.get("error"), application.reason


def test_a_backend_gets_a_code_and_how_long_it_lives(application: Application, cluster: FakeIssuer) -> None:
    answer = invite(application, cluster)
    assert answer.status == 201
    assert answer.json.keys() == {"code", "expires_in"}
    assert leaks.handled(answer.json["code"]).startswith("asenroll_")
    assert answer.json["expires_in"] == 600
    assert answer.headers["Cache-Control"] == "no-store"
    event = application.events[-1]
    expected = {
        "event": "invitation",
        "outcome": "invited",
        "caller": "cluster:system:serviceaccount:media:backend",
        "source": "phones",
        "owner": "alice",
        "expires_at": application.clock() + 600,
    }
    assert expected.items() <= event.items()


def test_everything_that_an_invitation_says_is_kept(application: Application, cluster: FakeIssuer) -> None:
    members = {"lifetime": 5, "platform": "android", "attributes": {"team": "red"}}
    answer = invite(application, cluster, **members)
    assert answer.json["expires_in"] == 5
    assert application.events[-1]["platform"] == "android"
    key = DeviceKey()
    enrolment = register(application, key, leaks.handled(answer.json["code"]), document={"jwks": {"keys": [key.jwk]}})
    device = application.service.store.read_device(enrolment.json["client_id"])
    assert device is not None
    assert (device.owner, device.platform, device.attributes) == ("alice", "android", {"team": "red"})


@pytest.mark.parametrize(
    ("members", "parameter"),
    [
        ({"owner": ""}, "owner"),
        ({"owner": "company:alice"}, "owner"),
        ({"owner": 1}, "owner"),
        ({"source": "nowhere"}, "source"),
        ({"source": ["phones"]}, "source"),
        ({"lifetime": 0}, "lifetime"),
        ({"lifetime": 601}, "lifetime"),
        ({"lifetime": "5m"}, "lifetime"),
        ({"lifetime": True}, "lifetime"),
        ({"platform": ""}, "platform"),
        ({"attributes": []}, "attributes"),
        ({"attributes": {"owner": "bob"}}, "attributes"),
        ({"attributes": {"team": 1}}, "attributes"),
    ],
    ids=str,
)
def test_what_an_invitation_cannot_say_is_refused(
    members: dict[str, Any], parameter: str, application: Application, cluster: FakeIssuer
) -> None:
    answer = invite(application, cluster, **members)
    assert said(answer, application) == (400, "invalid_request", "parameter_unsupported")
    assert application.events[-1]["facts"] == {"parameter": parameter}


@pytest.mark.parametrize("member", ["source", "owner"])
def test_what_an_invitation_must_say_is_required(member: str, application: Application, cluster: FakeIssuer) -> None:
    answer = invite(application, cluster, **{member: None})
    assert said(answer, application) == (400, "invalid_request", "parameter_missing")
    assert application.events[-1]["facts"] == {"parameter": member}


def test_nobody_owns_a_device_only_if_that_is_said(application: Application, cluster: FakeIssuer) -> None:
    headers = bearer(backend_token(application, cluster))
    answer = phones.post_json(application, PATH, {"source": "phones", "owner": None}, headers)
    leaks.handled(answer.json["code"])
    assert answer.status == 201
    assert "owner" not in application.events[-1]


def test_the_body_is_one_strict_json_object(application: Application, cluster: FakeIssuer) -> None:
    headers = bearer(backend_token(application, cluster))
    answer = phones.post_json(application, PATH, b"[]", headers)
    assert said(answer, application) == (400, "invalid_request", "json_malformed")
    answer = phones.post_json(application, PATH, {}, headers, content_type="text/plain")
    assert said(answer, application) == (400, "invalid_request", "not_json")


# Who may


def test_without_a_token_there_is_a_challenge(application: Application) -> None:
    answer = phones.post_json(application, PATH, {}, [])
    assert (answer.status, application.reason) == (401, "credential_missing")
    assert "error=" not in answer.headers["WWW-Authenticate"]
    assert 'scope="devices:invite:phones"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("kind", ["nonsense", "ID token"])
def test_a_token_that_is_not_ours_is_refused(kind: str, application: Application, cluster: FakeIssuer) -> None:
    token = kind if kind == "nonsense" else signed_in(cluster)
    answer = phones.post_json(application, PATH, {}, bearer(token))
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_the_scope_must_be_for_this_source(application: Application, cluster: FakeIssuer) -> None:
    for account, scope, document in (
        ("backend", "devices:manage:phones", {}),
        ("operator", "devices:invite:laptops", {"source": "phones", "owner": "alice"}),
    ):
        token = own_token(application, cluster, account, scope)
        answer = phones.post_json(application, PATH, document, bearer(token))
        assert (answer.status, answer.json["error"]) == (403, "insufficient_scope")
        assert 'scope="devices:invite:phones"' in answer.headers["WWW-Authenticate"]
        assert application.reason == "scope_insufficient"
        assert application.events[-1]["caller"] == f"cluster:system:serviceaccount:media:{account}"


def test_a_device_may_invite_with_a_token_that_is_bound_to_its_key(
    make_application: MakeApplication, cluster: FakeIssuer
) -> None:
    rule = f"""
[[allow]]
name = "phones-invite"
source = "phones"
match = {{ owner = "alice" }}
resource = "{AUDIENCE}"
scope = ["devices:invite:phones"]
"""
    application = make_application(**phones.settings(cluster, more=rule))
    key, now = DeviceKey(), application.clock()
    client_id = enrolled(application, cluster, key)
    form = token_form(
        client_id, key.assertion(client_id, AUDIENCE, now=now), resource=AUDIENCE, scope="devices:invite:phones"
    )
    proof = key.proof("POST", f"{AUDIENCE}/token", now=now)
    token = application.post(form, headers=[("DPoP", proof)]).json["access_token"]
    document = {"source": "phones", "owner": "alice"}
    proof = key.proof("POST", f"{AUDIENCE}{PATH}", now=now, ath=hash_of(token))
    answer = phones.post_json(application, PATH, document, [("Authorization", f"DPoP {token}"), ("DPoP", proof)])
    assert answer.status == 201
    assert answer.headers["DPoP-Nonce"]
    leaks.handled(answer.json["code"])
    assert phones.post_json(application, PATH, document, bearer(token)).status == 401


def test_what_came_to_a_proxy_without_tls_is_refused(make_application: MakeApplication, cluster: FakeIssuer) -> None:
    application = make_application(**phones.settings(cluster), server='trusted_proxies = ["127.0.0.1/32"]')
    answer = phones.post_json(application, PATH, {}, [("X-Forwarded-Proto", "http")])
    assert said(answer, application) == (400, "invalid_request", "plain_http")


def test_the_store_down_nobody_is_invited(application: Application, cluster: FakeIssuer) -> None:
    headers = bearer(backend_token(application, cluster))
    lose_the_store(application)
    answer = phones.post_json(application, PATH, {"source": "phones", "owner": "alice"}, headers)
    assert said(answer, application) == (503, "temporarily_unavailable", "store_unavailable")


def test_where_no_device_can_enrol_nobody_can_invite(make_application: MakeApplication, cluster: FakeIssuer) -> None:
    rules = asks_about("backend", "introspect:images")
    application = make_application(more=rules, keys='algorithms = ["ES256"]', reports="")
    token = own_token(application, cluster, "backend")
    answer = phones.post_json(application, PATH, {"source": "phones", "owner": "alice"}, bearer(token))
    assert answer.status == 403
