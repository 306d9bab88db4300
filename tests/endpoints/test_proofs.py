"""DPoP proofs at the token endpoint, by whoever calls it (RFC 9449 sections 4.3, 5 and 8)."""

import io
import json
import secrets
from base64 import b64encode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from authserver.endpoints import metadata
from authserver.jose.nonce import Nonces
from authserver.testing import FakeIssuer, FrozenClock
from tests import leaks, oracle
from tests.devices import DeviceKey
from tests.endpoints import phones
from tests.endpoints.conftest import FORM, Application, MakeApplication
from tests.endpoints.enrolled import TOKEN_URL, dpop
from tests.endpoints.holders import bearer, issued, own_token
from tests.endpoints.test_outages import lose_the_store
from tests.jose.hostile_proofs import hostile_proofs, other_addresses
from tests.requirements.grants import each_grant, form
from tests.served import AUDIENCE, Answer, exchange_form
from tests.store.processes import its_connection

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")

ES256 = {"keys": 'algorithms = ["ES256"]', "reports": ""}
BOUND: dict[str, Any] = {"resource": "https://bound.example.com", "scope": "bound:read"}
KEY = DeviceKey()


@pytest.fixture
def application(make_application: MakeApplication) -> Application:
    """An application that is quick to make."""
    return make_application(**ES256)


@pytest.fixture
def once(cluster: FakeIssuer) -> str:
    """An identity that may be used a single time, so that its use can be told."""
    return leaks.handled(cluster.identity_token("https://once.auth.example.com"))


def ask(
    application: Application, identity: str, *proofs: str, headers: Sequence[tuple[str, str]] = (), **changes: str
) -> Answer:
    """A token exchange with these proofs."""
    return application.post(exchange_form(identity, **changes), headers=[*headers, *dpop(*proofs)])


def assert_refused(application: Application, answer: Answer, reason: str, error: str = "invalid_dpop_proof") -> None:
    """The answer is that of RFC 9449 section 5, in constant words; the log says why."""
    assert (answer.status, answer.json["error"], application.reason) == (400, error, reason)
    assert answer.json.keys() == {"error", "error_description", "request_id"}
    assert ("DPoP-Nonce" in answer.headers) == (error == "use_dpop_nonce")


def test_a_proof_is_ignored_at_no_endpoint_that_believes_a_token(
    make_application: MakeApplication, cluster: FakeIssuer, identity: str
) -> None:
    """Contract: a DPoP header is honoured or refused; what remains are documents that everybody may read."""
    application = make_application(**phones.settings(cluster))
    token = [("token", issued(application, cluster))]
    inviting = bearer(phones.backend_token(application, cluster))
    managing = bearer(phones.backend_token(application, cluster, "devices:manage:phones"))
    asking, enrolling = bearer(own_token(application, cluster)), bearer(phones.code_for(application, cluster))
    requests: dict[str, tuple[list[tuple[str, str]], bytes, str | None]] = {
        "POST /token": ([], urlencode(exchange_form(identity)).encode(), FORM),
        "POST /introspect": (asking, urlencode(token).encode(), FORM),
        "POST /revoke": ([], urlencode(token).encode(), FORM),
        "POST /register": (enrolling, json.dumps(KEY.registration()).encode(), phones.JSON),
        "GET /register/<client_id>": ([], b"", None),
        "PUT /register/<client_id>": ([], b"{}", phones.JSON),
        "DELETE /register/<client_id>": ([], b"", None),
        "POST /devices/invitations": (inviting, b'{"source":"phones","owner":"alice"}', phones.JSON),
        "GET /devices": (managing, b"", None),
        "DELETE /devices/<client_id>": (managing, b"", None),
    }
    public = {f"GET {path}" for path in (*metadata.paths(AUDIENCE), metadata.own_resource_path(AUDIENCE))}
    public |= {"GET /.well-known/jwks.json", "GET /livez", "GET /readyz"}
    assert {f"{route.method} {route.path}" for route in application.service.routes} == requests.keys() | public
    for name, (headers, body, content_type) in requests.items():
        method, _, path = name.partition(" ")
        path = path.replace("<client_id>", "dev_0123456789012345678901")
        before = len(application.events)
        answer = application.ask(method, path, headers=[*headers, ("DPoP", "x")], body=body, content_type=content_type)
        assert answer.status in (400, 401), name
        assert answer.json["error"] == "invalid_dpop_proof", name
        (event,) = application.events[before:]
        assert event["reason"] == ("proof_malformed" if not headers or "register" in path else "proof_unexpected")


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
@each_grant
def test_whoever_proves_a_key_gets_a_token_that_is_bound_to_it(
    grant: str, algorithm: str, application: Application, identity: str, clock: FrozenClock
) -> None:
    """R66; RFC 9449 sections 5 and 6.1"""
    key = DeviceKey(algorithm)
    answer = application.post(form(grant, identity), headers=dpop(key.proof("POST", TOKEN_URL, now=clock())))
    assert (answer.status, answer.json["token_type"]) == (200, "DPoP")
    _, claims = oracle.read(answer.json["access_token"], application.ask("GET", "/.well-known/jwks.json").json)
    assert claims["cnf"] == {"jkt": key.thumbprint}
    assert answer.headers["DPoP-Nonce"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_whoever_proves_nothing_gets_a_bearer_token_and_no_nonce(application: Application, identity: str) -> None:
    """R66"""
    answer = ask(application, identity)
    assert answer.json["token_type"] == "Bearer"
    assert "DPoP-Nonce" not in answer.headers


def test_a_resource_for_bound_tokens_gives_them_to_who_proves_a_key(
    application: Application, identity: str, clock: FrozenClock
) -> None:
    """R66; the contract's sender_constrained"""
    assert_refused(application, ask(application, identity, **BOUND), "proof_missing")
    answer = ask(application, identity, KEY.proof("POST", TOKEN_URL, now=clock()), **BOUND)
    assert (answer.status, answer.json["token_type"]) == (200, "DPoP")


def test_there_is_at_most_one_proof(application: Application, once: str, clock: FrozenClock) -> None:
    """R61: two headers, which WSGI joins by a comma, or one header with two."""
    one, other = (KEY.proof("POST", TOKEN_URL, now=clock()) for _ in range(2))
    for proofs in ((one, other), (one, one), (f"{one},{other}",), (f"{one}, {other}",), (f"{one},",)):
        assert_refused(application, ask(application, once, *proofs), "proof_repeated")
    assert ask(application, once, one).status == 200


def test_a_header_that_is_empty_is_a_header(application: Application, once: str) -> None:
    """Contract: a DPoP header is honoured or refused, never ignored."""
    for nothing in ("", " "):
        assert_refused(application, ask(application, once, nothing), "proof_malformed")


def test_every_hostile_proof_is_refused_with_the_reason_on_record_and_a_constant_outside(
    application: Application, once: str, clock: FrozenClock
) -> None:
    """R61, R62, R63, R91, R92, R95"""
    said, sent = set(), 0
    for hostile in hostile_proofs("POST", TOKEN_URL, clock()):
        if not hostile.fits_a_header or len(hostile.proof) > 8000:
            continue  # HTTP cannot carry it
        answer = ask(application, once, hostile.proof)
        reason = "proof_repeated" if "," in hostile.proof else hostile.reason.value
        assert_refused(application, answer, reason)
        said.add(answer.json["error_description"])
        sent += 1
    assert (len(said), sent > 100) == (1, True)
    assert ask(application, once).status == 200


def test_a_private_key_in_a_proof_is_neither_believed_nor_logged(
    application: Application, once: str, clock: FrozenClock
) -> None:
    """R62"""
    private = leaks.handled(str(KEY.key.as_dict(private=True)["d"]))
    proof = KEY.proof("POST", TOKEN_URL, now=clock(), header={"jwk": {**KEY.jwk, "d": private}})
    assert_refused(application, ask(application, once, proof), "proof_malformed")
    assert private not in application.audit.getvalue().decode()


@pytest.mark.parametrize(
    "headers",
    [
        [("Host", "evil.example")],
        [("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "http"), ("X-Forwarded-Port", "1")],
        [("Forwarded", "host=evil.example;proto=http")],
        [("X-Forwarded-Prefix", "/evil"), ("X-Original-URL", "/evil")],
    ],
    ids=["Host", "X-Forwarded", "Forwarded", "prefix"],
)
def test_a_forged_host_does_not_change_what_a_proof_must_say(
    headers: list[tuple[str, str]], application: Application, once: str, clock: FrozenClock
) -> None:
    """R63: the address is that of the configuration."""
    for url in ("https://evil.example/token", "http://evil.example/token", f"{AUDIENCE}/evil", f"{AUDIENCE}:1/token"):
        answer = ask(application, once, KEY.proof("POST", url, now=clock()), headers=headers)
        assert_refused(application, answer, "proof_address_wrong")
    assert ask(application, once, KEY.proof("POST", TOKEN_URL, now=clock()), headers=headers).status == 200


def test_the_address_of_a_proof_may_be_spelled_in_other_ways(
    application: Application, identity: str, clock: FrozenClock
) -> None:
    """R63; RFC 3986 sections 6.2.2 and 6.2.3"""
    for url in ("HTTPS://Auth.Example.COM:443/token", f"{AUDIENCE}/%74oken?a=b#c", f"{AUDIENCE}/a/../token"):
        assert ask(application, identity, KEY.proof("POST", url, now=clock())).status == 200, url


@pytest.mark.parametrize(
    "issuer", ["https://auth.example.com/a/b", "https://auth.example.com:8443", "http://[::1]:8400"]
)
def test_the_address_is_that_of_the_issuer_whatever_its_form(
    issuer: str, make_application: MakeApplication, identity: str, clock: FrozenClock
) -> None:
    """R63"""
    application = make_application(issuer=issuer, **ES256)
    url = issuer.rstrip("/") + "/token"
    path = "/a/b/token" if issuer.endswith("/a/b") else "/token"

    def answer_to(htu: str) -> Answer:
        headers = [*dpop(KEY.proof("POST", htu, now=clock())), ("Content-Type", "application/x-www-form-urlencoded")]
        builder = {"data": exchange_form(identity), "headers": headers}
        response = application.client.post(path, **builder)
        return Answer(response.status_code, dict(response.headers), response.data)

    for name, other in other_addresses(url).items():
        assert answer_to(other).status == 400, name
    good = answer_to(url)
    leaks.handled(good.json["access_token"])
    assert good.json["token_type"] == "DPoP"


def test_the_edges_of_time_are_exact(application: Application, identity: str, clock: FrozenClock) -> None:
    """R64: 60 seconds, and the clock skew of 30 on either side."""
    now = int(clock())
    clock.advance(now - clock())
    for iat, good in ((now - 90, False), (now - 89, True), (now + 30, True), (now + 31, False)):
        answer = ask(application, identity, KEY.proof("POST", TOKEN_URL, iat=iat))
        assert answer.status == (200 if good else 400)
        if not good:
            assert_refused(application, answer, "proof_time_wrong", "use_dpop_nonce")
    facts = application.events[-1]["facts"]
    assert facts == {"iat": now + 31, "now": now, "max_age": 60, "skew": 30}


def test_a_proof_is_used_once_for_as_long_as_it_would_be_accepted(
    application: Application, identity: str, clock: FrozenClock
) -> None:
    """R64; RFC 9449 section 11.1"""
    proof = KEY.proof("POST", TOKEN_URL, now=clock())
    assert ask(application, identity, proof).status == 200
    for seconds in (0, 40, 49):
        clock.advance(seconds)
        application.service.store.sweep(clock())
        assert_refused(application, ask(application, identity, proof), "proof_replayed")
    clock.advance(2)
    assert_refused(application, ask(application, identity, proof), "proof_time_wrong", "use_dpop_nonce")


def test_a_proof_with_a_nonce_is_used_once_for_as_long_as_the_nonce_is_fresh(
    application: Application, identity: str, clock: FrozenClock
) -> None:
    """R64, R67"""
    nonce = application.post(exchange_form(identity), headers=dpop(KEY.proof("POST", TOKEN_URL, now=clock()))).headers[
        "DPoP-Nonce"
    ]
    proof = KEY.proof("POST", TOKEN_URL, iat=1, nonce=nonce)
    assert ask(application, identity, proof).status == 200
    clock.advance(298)
    application.service.store.sweep(clock())
    assert_refused(application, ask(application, identity, proof), "proof_replayed")
    clock.advance(3)
    assert_refused(application, ask(application, identity, proof), "nonce_wrong", "use_dpop_nonce")


def test_of_fifty_uses_of_a_proof_on_two_nodes_exactly_one_is_answered_with_a_token(
    make_application: MakeApplication, identity: str, clock: FrozenClock
) -> None:
    """R64"""
    nodes = [make_application(folder="shared", **ES256) for _ in range(2)]
    proof = KEY.proof("POST", TOKEN_URL, now=clock())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: ask(nodes[n % 2], identity, proof), range(50)))
    assert sorted(answer.status for answer in answers) == [200, *[400] * 49]
    refused = [event["reason"] for node in nodes for event in node.events if event["outcome"] == "refused"]
    assert refused == ["proof_replayed"] * 49


def test_what_is_remembered_of_a_proof_is_a_hash_of_bounded_size(
    application: Application, identity: str, clock: FrozenClock
) -> None:
    """R64; RFC 9449 section 11.1"""
    for jti in ("x" * 512, "short"):
        assert ask(application, identity, KEY.proof("POST", TOKEN_URL, now=clock(), jti=jti)).status == 200
    too_long = ask(application, identity, KEY.proof("POST", TOKEN_URL, now=clock(), jti="x" * 513))
    assert_refused(application, too_long, "proof_malformed")
    rows = its_connection(application.sqlite).execute("SELECT source, token_id FROM used").fetchall()
    assert [(source, *map(len, token_id.split("."))) for source, token_id in rows] == [("DPoP", 43, 64)] * 2


def nonce_of(application: Application, identity: str) -> str:
    """A nonce that the application gives."""
    proof = KEY.proof("POST", TOKEN_URL, now=application.clock(), nonce="none of ours")
    answer = ask(application, identity, proof)
    assert_refused(application, answer, "nonce_wrong", "use_dpop_nonce")
    assert answer.headers["Cache-Control"] == "no-store"
    return str(answer.headers["DPoP-Nonce"])


def answer_with(application: Application, identity: str, nonce: str) -> Answer:
    """What a proof with this nonce is answered."""
    return ask(application, identity, KEY.proof("POST", TOKEN_URL, iat=1, nonce=nonce))


def test_a_nonce_is_fresh_to_the_second(application: Application, identity: str, clock: FrozenClock) -> None:
    """R67"""
    clock.advance(int(clock()) - clock())
    nonce = nonce_of(application, identity)
    clock.advance(299.75)
    assert answer_with(application, identity, nonce).status == 200
    clock.advance(0.25)
    assert_refused(application, answer_with(application, identity, nonce), "nonce_wrong", "use_dpop_nonce")


def test_a_nonce_that_is_not_ours_is_answered_with_one_that_is(
    make_application: MakeApplication, cluster: FakeIssuer, identity: str, clock: FrozenClock
) -> None:
    """R67; RFC 9449 section 8: forged, of another key, of another issuer, of a clock that is too far ahead"""
    application = make_application(**ES256)
    elsewhere = make_application(**ES256)
    ours = nonce_of(application, identity)
    assert ours != nonce_of(elsewhere, identity)
    ahead = nonce_of(application, identity)
    clock.advance(-31)
    identity = leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))
    assert_refused(application, answer_with(application, identity, ahead), "nonce_wrong", "use_dpop_nonce")
    clock.advance(1)
    assert answer_with(application, identity, ahead).status == 200
    clock.advance(30)
    forged = Nonces([bytes(32)], skew=30).give(clock())
    cut = ours[:-1] + ("A" if ours[-1] != "A" else "B")
    for nonce in (nonce_of(elsewhere, identity), forged, cut, ours + "A", ours[:11], "x", "\u00e9"):
        answer = answer_with(application, identity, nonce)
        assert_refused(application, answer, "nonce_wrong", "use_dpop_nonce")
        assert answer_with(application, identity, answer.headers["DPoP-Nonce"]).status == 200


def test_nonces_survive_a_restart_and_a_new_master_key_in_the_middle_of_a_conversation(
    make_application: MakeApplication, identity: str, tmp_path: Path
) -> None:
    """R67: rotation works mid-flight."""
    before = make_application(folder="shared", **ES256)
    nonce = nonce_of(before, identity)
    restarted = make_application(folder="shared", **ES256)
    assert answer_with(restarted, identity, nonce).status == 200
    nonce = nonce_of(restarted, identity)
    folder = tmp_path / "shared"
    (folder / "master.key").rename(folder / "old.key")
    (folder / "master.key").write_bytes(b64encode(secrets.token_bytes(32)))
    (folder / "master.key").chmod(0o600)
    previous = 'algorithms = ["ES256"]\nprevious_master_keys = [{ file = "old.key" }]'
    rotated = make_application(folder="shared", **{**ES256, "keys": previous})
    answer = answer_with(rotated, identity, nonce)
    assert answer.status == 200
    assert answer_with(rotated, identity, answer.headers["DPoP-Nonce"]).status == 200
    assert answer_with(before, identity, answer.headers["DPoP-Nonce"]).status == 400


def test_a_nonce_that_is_wanted_is_no_failure_and_a_bad_proof_is_one(
    make_application: MakeApplication, identity: str
) -> None:
    application = make_application(**ES256, failures="2/minute")
    for _ in range(5):
        nonce_of(application, identity)
    assert [ask(application, identity, "x").status for _ in range(3)] == [400, 400, 429]
    nonce = nonce_of(application, identity)
    assert answer_with(application, identity, nonce).status == 200  # what is good is never limited


def test_the_way_to_the_nonce_spends_nothing(application: Application, once: str) -> None:
    """R67"""
    nonce = nonce_of(application, once)
    assert answer_with(application, once, nonce).status == 200
    assert_refused(application, answer_with(application, once, nonce), "used_twice", "invalid_request")


def test_a_request_that_is_refused_for_something_else_does_not_use_up_the_proof(
    application: Application, once: str, clock: FrozenClock
) -> None:
    proof = KEY.proof("POST", TOKEN_URL, now=clock())
    for name, value in (("scope", "images:delete"), ("resource", "https://nowhere.example"), ("subject_token", "x")):
        changed = exchange_form(once, **{name: value})
        assert application.post(changed, headers=dpop(proof)).status == 400
    assert ask(application, once, proof).status == 200


def test_a_request_that_no_key_can_sign_yet_does_not_use_up_the_proof(
    make_application: MakeApplication, identity: str, clock: FrozenClock
) -> None:
    proof = KEY.proof("POST", TOKEN_URL, now=clock())
    make_application(folder="shared", **ES256).ask("GET", "/.well-known/jwks.json")
    application = make_application(folder="shared")  # whose reports want RS256, a key of which is not due
    answer = ask(application, identity, proof, resource="https://reports.example.com", scope="reports:read")
    assert (answer.status, application.reason) == (503, "no_active_key")
    assert ask(application, identity, proof).status == 200


def test_the_store_down_a_proof_cannot_be_accepted_and_its_absence_can(
    application: Application, identity: str, clock: FrozenClock
) -> None:
    """Contract, section 5: no replay memory, no proof; workloads without one go on."""
    lose_the_store(application)
    answer = ask(application, identity, KEY.proof("POST", TOKEN_URL, now=clock()))
    assert (answer.status, answer.json["error"], application.reason) == (
        503,
        "temporarily_unavailable",
        "store_unavailable",
    )
    assert ask(application, identity).status == 200


def test_no_part_of_a_proof_is_ever_on_record(application: Application, identity: str, clock: FrozenClock) -> None:
    marked: dict[str, Any] = {"jti": "MARKER", "nonce": "MARKER", "htm": "MARKER", "htu": "https://MARKER.example"}
    for name, value in marked.items():
        proof = KEY.proof("POST", TOKEN_URL, now=clock(), **{name: value})
        answer = ask(application, identity, proof)
        assert b"MARKER" not in answer.body
        assert "MARKER" not in str(answer.headers)
        assert proof not in application.audit.getvalue().decode()
    assert "MARKER" not in application.audit.getvalue().decode()


def test_each_request_is_one_event(application: Application, identity: str) -> None:
    before = len(application.events)
    nonce = nonce_of(application, identity)
    answer_with(application, identity, nonce)
    wanted, issued = application.events[before:]
    assert (wanted["outcome"], wanted["reason"], wanted["rules"]) == (
        "refused",
        "nonce_wrong",
        ["thumbnailer-reads-images"],
    )
    assert (issued["outcome"], issued["token_type"]) == ("issued", "DPoP")


def test_a_decision_that_cannot_be_put_on_record_gives_no_token_and_no_nonce(
    application: Application, identity: str, clock: FrozenClock
) -> None:
    audit, application.audit = application.audit, io.BytesIO()
    audit.close()
    answer = ask(application, identity, KEY.proof("POST", TOKEN_URL, now=clock()))
    assert (answer.status, "DPoP-Nonce" in answer.headers) == (503, False)
    assert json.loads(answer.body)["error"] == "temporarily_unavailable"
