"""``GET /devices`` and ``DELETE /devices/<client_id>``: who sees and revokes which devices."""

from urllib.parse import urlencode

import pytest

from authserver.testing import FakeIssuer
from tests import leaks
from tests.devices import DeviceKey
from tests.endpoints import phones
from tests.endpoints.conftest import Application, MakeApplication
from tests.endpoints.holders import bearer, own_token
from tests.endpoints.phones import ONCE, enrolled, invite, register, signed_in
from tests.endpoints.test_outages import lose_the_store
from tests.served import Answer


@pytest.fixture
def application(make_application: MakeApplication, cluster: FakeIssuer) -> Application:
    """An application that devices can enrol at."""
    return make_application(**phones.settings(cluster))


def manager(application: Application, cluster: FakeIssuer, scope: str = "devices:manage:phones") -> str:
    """A token of somebody who manages devices."""
    return own_token(application, cluster, "operator", scope)


def listed(application: Application, token: str, **query: str) -> Answer:
    """``GET /devices``."""
    return application.ask("GET", "/devices", headers=bearer(token), query=urlencode(query))


def names(answer: Answer) -> list[str]:
    """Which devices were listed."""
    assert answer.status == 200, answer.json
    return [device["client_id"] for device in answer.json["devices"]]


def revoke(application: Application, token: str, client_id: str) -> Answer:
    """``DELETE /devices/<client_id>``."""
    return application.ask("DELETE", f"/devices/{client_id}", headers=bearer(token))


def laptop(application: Application, cluster: FakeIssuer) -> str:
    """A laptop of alice."""
    token = own_token(application, cluster, "operator", "devices:invite:laptops")
    document = {"source": "laptops", "owner": "alice"}
    code = phones.post_json(application, "/devices/invitations", document, bearer(token)).json["code"]
    return str(register(application, DeviceKey(), leaks.handled(code)).json["client_id"])


# Listing


def test_a_manager_sees_everything_about_the_devices_of_its_source(
    application: Application, cluster: FakeIssuer
) -> None:
    key = DeviceKey()
    client_id = enrolled(application, cluster, key, attributes={"team": "red"})
    laptop(application, cluster)
    events = len(application.events)
    token = manager(application, cluster)
    answer = listed(application, token)
    shown = {
        "client_id": client_id,
        "source": "phones",
        "owner": "alice",
        "client_name": "Alice's phone",
        "device": {"platform": "ios", "model": "iPhone17,1", "app_id": "com.example.app", "app_version": "1.0"},
        "attestation": "none",
        "attributes": {"team": "red"},
        "thumbprint": key.thumbprint,
        "created_at": int(application.clock()),
    }
    assert answer.json == {"devices": [shown]}
    assert answer.headers["Cache-Control"] == "no-store"
    assert len(application.events) == events + 1  # the manager's token; that a question was answered is no decision
    assert revoke(application, token, client_id).status == 204
    assert listed(application, token).json == {"devices": [{**shown, "revoked_at": int(application.clock())}]}


def test_devices_come_in_pages(application: Application, cluster: FakeIssuer) -> None:
    devices = sorted(enrolled(application, cluster, DeviceKey(), owner=f"owner {n}") for n in range(5))
    token = manager(application, cluster)
    first = listed(application, token, limit="2")
    second = listed(application, token, limit="2", after=first.json["next"])
    third = listed(application, token, limit="2", after=second.json["next"])
    assert [*names(first), *names(second), *names(third)] == devices
    assert "next" not in third.json
    assert "next" not in listed(application, token, limit="5").json


def test_a_list_can_be_narrowed_down(application: Application, cluster: FakeIssuer) -> None:
    phone, computer = enrolled(application, cluster, DeviceKey()), laptop(application, cluster)
    bobs = enrolled(application, cluster, DeviceKey(), owner="bob")
    both = manager(application, cluster, "devices:manage:phones devices:manage:laptops")
    assert set(names(listed(application, both))) == {phone, computer, bobs}
    assert set(names(listed(application, both, owner="alice"))) == {phone, computer}
    assert names(listed(application, both, owner="alice", source="laptops")) == [computer]
    assert names(listed(application, both, owner="nobody")) == []
    assert names(listed(application, both, owner="", source="laptops")) == [computer]  # empty is as good as absent


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "1.5", "x", "10000", "\N{ARABIC-INDIC DIGIT ONE}"])
def test_a_page_has_between_one_and_a_thousand_devices(
    limit: str, application: Application, cluster: FakeIssuer
) -> None:
    answer = listed(application, manager(application, cluster), limit=limit)
    assert (answer.status, answer.json["error"]) == (400, "invalid_request")
    assert application.events[-1]["facts"] == {"parameter": "limit"}


@pytest.mark.parametrize(
    ("query", "reason"), [("owner=a&owner=b", "parameter_repeated"), ("owner=%ff", "form_malformed")]
)
def test_a_query_is_read_strictly(query: str, reason: str, application: Application, cluster: FakeIssuer) -> None:
    answer = application.ask("GET", "/devices", headers=bearer(manager(application, cluster)), query=query)
    assert (answer.status, application.reason) == (400, reason)


def test_an_owner_who_signed_in_sees_the_own_devices_and_no_others(
    application: Application, cluster: FakeIssuer
) -> None:
    own = register(application, DeviceKey(), signed_in(cluster)).json["client_id"]
    enrolled(application, cluster, DeviceKey())  # of somebody whom the backend calls alice
    register(application, DeviceKey(), signed_in(cluster, sub="bob"))
    register(application, DeviceKey(), signed_in(cluster, ONCE))
    assert names(listed(application, signed_in(cluster))) == [own]
    assert names(listed(application, signed_in(cluster), owner="company:alice", source="phones")) == [own]
    assert names(listed(application, signed_in(cluster, sub="carol"))) == []


@pytest.mark.parametrize("query", [{"owner": "company:bob"}, {"owner": "alice"}, {"source": "laptops"}])
def test_an_owner_cannot_ask_for_the_devices_of_others(
    query: dict[str, str], application: Application, cluster: FakeIssuer
) -> None:
    answer = listed(application, signed_in(cluster), **query)
    assert (answer.status, answer.json["error"]) == (403, "insufficient_scope")


# Revoking


def test_a_manager_revokes_and_is_on_record(application: Application, cluster: FakeIssuer) -> None:
    client_id = enrolled(application, cluster, DeviceKey())
    token = manager(application, cluster)
    answer = revoke(application, token, client_id)
    assert (answer.status, answer.body) == (204, b"")
    expected = {
        "event": "device",
        "outcome": "revoked",
        "caller": "cluster:system:serviceaccount:media:operator",
        "client_id": client_id,
        "source": "phones",
        "owner": "alice",
    }
    assert expected.items() <= application.events[-1].items()
    assert revoke(application, token, client_id).status == 204  # doing so twice is harmless


def test_what_the_caller_may_not_manage_is_as_good_as_absent(application: Application, cluster: FakeIssuer) -> None:
    computer = laptop(application, cluster)
    phone = enrolled(application, cluster, DeviceKey())
    bobs = register(application, DeviceKey(), signed_in(cluster, sub="bob")).json["client_id"]
    answers = [
        revoke(application, manager(application, cluster), computer),
        revoke(application, manager(application, cluster), "dev_" + "A" * 22),
        revoke(application, manager(application, cluster), "invitations"),
        *(revoke(application, signed_in(cluster), client_id) for client_id in (phone, bobs, computer)),
    ]
    for answer in answers:
        assert (answer.status, answer.json["error"]) == (404, "not_found")
    assert application.reason == "device_unknown"
    for client_id in (computer, phone, bobs):
        device = application.service.store.read_device(client_id)
        assert device is not None
        assert device.revoked_at is None


def test_an_owner_revokes_the_own_device_without_touching_another(
    application: Application, cluster: FakeIssuer
) -> None:
    keys = [DeviceKey(), DeviceKey()]
    lost, kept = (register(application, key, signed_in(cluster)).json["client_id"] for key in keys)
    assert revoke(application, signed_in(cluster), lost).status == 204
    assert application.events[-1]["caller"] == "company:alice"
    assert phones.manage(application, keys[0], "GET", lost).status == 401
    assert phones.manage(application, keys[1], "GET", kept).status == 200


def test_a_single_use_id_token_is_good_for_one_request(application: Application, cluster: FakeIssuer) -> None:
    token = signed_in(cluster, ONCE)
    assert listed(application, token, limit="0").status == 400  # which uses nothing up
    assert listed(application, token).status == 200
    answer = listed(application, token)
    assert (answer.status, application.reason) == (401, "used_twice")


# Who may


def test_without_a_token_there_is_a_challenge(application: Application) -> None:
    for method, path in (("GET", "/devices"), ("DELETE", "/devices/dev_x")):
        answer = application.ask(method, path)
        assert (answer.status, application.reason) == (401, "credential_missing")
        assert "error=" not in answer.headers["WWW-Authenticate"]
        assert 'scope="devices:manage:phones"' in answer.headers["WWW-Authenticate"]


def test_a_token_for_something_else_is_not_enough(application: Application, cluster: FakeIssuer) -> None:
    client_id = enrolled(application, cluster, DeviceKey())
    token = own_token(application, cluster, "backend", "devices:invite:phones")
    for answer in (listed(application, token), revoke(application, token, client_id)):
        assert (answer.status, answer.json["error"]) == (403, "insufficient_scope")


def test_who_may_manage_nothing_is_on_record_all_the_same(application: Application, cluster: FakeIssuer) -> None:
    for token, caller in (
        (
            own_token(application, cluster, "backend", "devices:invite:phones"),
            "cluster:system:serviceaccount:media:backend",
        ),
        (signed_in(cluster, "https://strangers.auth.example.com"), "strangers:alice"),
    ):
        for answer in (listed(application, token), revoke(application, token, "dev_x")):
            assert answer.status in (401, 403)
            assert application.events[-1]["caller"] == caller


def test_a_token_in_the_query_is_refused(application: Application, cluster: FakeIssuer) -> None:
    token = manager(application, cluster)
    for method, path in (("GET", "/devices"), ("DELETE", "/devices/dev_x")):
        answer = application.ask(method, path, headers=bearer(token), query=f"access_token={token}")
        assert (answer.status, application.reason) == (400, "credential_repeated")
        assert application.ask(method, path, query=f"access_token={token}").status == 401


def test_a_manager_cannot_ask_for_the_devices_of_another_source(application: Application, cluster: FakeIssuer) -> None:
    for source in ("laptops", "sensors", "nowhere"):
        answer = listed(application, manager(application, cluster), source=source)
        assert (answer.status, answer.json["error"]) == (403, "insufficient_scope")
        wanted = source if source != "nowhere" else "phones"
        assert f'scope="devices:manage:{wanted}"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("nonsense", "token_malformed"),
        ("another source's", "enrollment_not_allowed"),
        ("another audience's", "audience_wrong"),
        ("a code", "token_malformed"),
    ],
)
def test_other_tokens_are_refused(kind: str, reason: str, application: Application, cluster: FakeIssuer) -> None:
    tokens = {
        "nonsense": "nonsense",
        "another source's": signed_in(cluster, "https://strangers.auth.example.com"),
        "another audience's": signed_in(cluster, "https://elsewhere.example"),
        "a code": leaks.handled(invite(application, cluster).json["code"]),
    }
    answer = listed(application, tokens[kind])
    assert (answer.status, application.reason) == (401, reason)
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_a_proof_beside_an_id_token_is_never_ignored(application: Application, cluster: FakeIssuer) -> None:
    proof = ("DPoP", DeviceKey().proof("GET", f"{application.issuer}/devices", now=application.clock()))
    answer = application.ask("GET", "/devices", headers=[*bearer(signed_in(cluster)), proof])
    assert (answer.status, application.reason) == (401, "proof_unexpected")


def test_an_id_token_is_no_dpop_token(application: Application, cluster: FakeIssuer) -> None:
    answer = application.ask("GET", "/devices", headers=[("Authorization", f"DPoP {signed_in(cluster)}")])
    assert answer.status == 401


def test_what_came_to_a_proxy_without_tls_is_refused(make_application: MakeApplication, cluster: FakeIssuer) -> None:
    application = make_application(**phones.settings(cluster), server='trusted_proxies = ["127.0.0.1/32"]')
    answer = application.ask("GET", "/devices", headers=[("X-Forwarded-Proto", "http")])
    assert (answer.status, application.reason) == (400, "plain_http")


def test_the_store_down_nothing_is_revoked_or_said(application: Application, cluster: FakeIssuer) -> None:
    client_id = enrolled(application, cluster, DeviceKey())
    token = manager(application, cluster)
    lose_the_store(application)
    for answer in (listed(application, signed_in(cluster)), revoke(application, token, client_id)):
        assert (answer.status, application.reason) == (503, "store_unavailable")
