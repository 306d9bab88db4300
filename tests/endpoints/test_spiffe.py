"""JWT-SVIDs at the token endpoint, with the trust domain's bundle from its endpoint and from a file."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from authserver.testing import FakeIssuer, FrozenClock
from tests import mesh
from tests.devices import PHONES
from tests.endpoints.conftest import Application, MakeApplication
from tests.mesh import THUMBNAILER
from tests.requirements.grants import REJECTED, each_grant, form
from tests.served import AUDIENCE, IMAGES
from tests.settings import build

SVID_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"


@pytest.fixture
def application(cluster: FakeIssuer, make_application: MakeApplication) -> Application:
    return make_application(more=mesh.at(cluster.bundle_url) + PHONES.format(phones=""))


@each_grant
def test_a_jwt_svid_gets_a_token_in_every_grant(grant: str, cluster: FakeIssuer, application: Application) -> None:
    answer = application.post(form(grant, cluster.spiffe_token(THUMBNAILER, AUDIENCE)))
    assert answer.status == 200
    assert application.events[-1]["sub"] == f"mesh:{THUMBNAILER}"
    assert cluster.requests == ("/spiffe-bundle.json",)


@each_grant
def test_a_jwt_svid_of_another_trust_domain_is_rejected(
    grant: str, cluster: FakeIssuer, clock: FrozenClock, application: Application
) -> None:
    """R97"""
    with FakeIssuer(clock=clock) as other:
        forged = other.spiffe_token(THUMBNAILER, AUDIENCE)
    elsewhere = cluster.spiffe_token("spiffe://other.example/a", AUDIENCE)
    claimed = cluster.spiffe_token("spiffe://other.example/a", AUDIENCE, iss="spiffe://example.org")
    for token, reason in (
        (forged, "key_unknown"),
        (elsewhere, "issuer_unknown"),
        (claimed, "trust_domain_wrong"),
        (cluster.spiffe_token("spiffe://example.org/%61", AUDIENCE), "spiffe_id_malformed"),
    ):
        answer = application.post(form(grant, token))
        assert (answer.status, answer.json["error"]) == REJECTED[grant]
        assert application.reason == reason


def test_a_workload_without_a_rule_gets_nothing(cluster: FakeIssuer, application: Application) -> None:
    answer = application.post(form("token-exchange", cluster.spiffe_token(f"{THUMBNAILER}-2", AUDIENCE)))
    assert (answer.status, application.reason) == (400, "no_rule")


def test_a_client_may_say_that_its_assertion_is_a_jwt_svid(cluster: FakeIssuer, application: Application) -> None:
    """R41; draft-ietf-oauth-spiffe-client-auth-02 section 3.1"""
    svid = form("client_credentials", cluster.spiffe_token(THUMBNAILER, AUDIENCE), client_assertion_type=SVID_TYPE)
    for client_id in ({}, {"client_id": f"mesh:{THUMBNAILER}"}):
        assert application.post({**svid, **client_id}).status == 200
    answer = application.post({**svid, "client_id": THUMBNAILER})
    assert (answer.status, application.reason) == (401, "client_id_mismatch")


def test_where_a_client_says_so_no_other_assertion_will_do(cluster: FakeIssuer, application: Application) -> None:
    """R41"""
    for token, reason in (
        (cluster.kubernetes_token("media", "thumbnailer", AUDIENCE), "claim_missing"),
        (cluster.token({"iss": "dev_0123456789012345678901", "aud": AUDIENCE}), "claim_missing"),
        (cluster.spiffe_token(THUMBNAILER, "https://elsewhere.example"), "audience_wrong"),
        ("a b", "token_malformed"),
    ):
        answer = application.post(form("client_credentials", token, client_assertion_type=SVID_TYPE))
        assert (answer.status, answer.json["error"]) == (401, "invalid_client")
        assert application.reason == reason
    both = [*form("client_credentials", "a", client_assertion_type=SVID_TYPE).items(), ("client_assertion", "b")]
    assert application.post(both).json["error"] == "invalid_request"


def test_a_bundle_that_the_caller_names_is_never_fetched(cluster: FakeIssuer, application: Application) -> None:
    """R41"""
    svid = form("client_credentials", cluster.spiffe_token(THUMBNAILER, AUDIENCE), client_assertion_type=SVID_TYPE)
    elsewhere = {"spiffe_bundle_endpoint": f"{cluster.issuer}/other-bundle.json"}
    assert application.post({**svid, **elsewhere}).status == 200
    assert cluster.requests == ("/spiffe-bundle.json",)


def test_a_bundle_in_a_file_is_read_again(
    tmp_path: Path, cluster: FakeIssuer, make_application: MakeApplication, clock: FrozenClock
) -> None:
    def publish() -> None:
        (tmp_path / "here" / "bundle.json").write_text(json.dumps(cluster.bundle), "utf-8")

    (tmp_path / "here").mkdir()
    publish()
    application = make_application(folder="here", more=mesh.in_file("bundle.json"))
    first = cluster.spiffe_token(THUMBNAILER, AUDIENCE)
    assert application.post(form("token-exchange", first)).status == 200
    cluster.withdraw(cluster.key.kid)
    cluster.rotate()
    publish()
    clock.advance(61)
    second = cluster.spiffe_token(THUMBNAILER, AUDIENCE)
    assert application.post(form("token-exchange", second)).status == 200
    assert application.post(form("token-exchange", first)).status == 400
    assert application.reason == "key_unknown"
    assert cluster.requests == ()


def test_while_the_bundle_endpoint_is_away_nobody_is_called_an_impostor(
    cluster: FakeIssuer, application: Application
) -> None:
    cluster.down()
    answer = application.post(form("token-exchange", cluster.spiffe_token(THUMBNAILER, AUDIENCE)))
    assert (answer.status, answer.json["error"], application.reason) == (
        503,
        "temporarily_unavailable",
        "issuer_unreachable",
    )


@pytest.mark.parametrize(
    ("changed", "path", "message"),
    [
        (lambda text: text.replace("https://spire", "http://spire"), "sources.mesh.bundle.url", "must be https"),
        (lambda text: text.replace("bundle =", "bundel ="), "sources.mesh.bundel", "did you mean 'bundle'"),
        (lambda text: text.replace("bundle =", "jwks ="), "sources.mesh.bundle", "is missing"),
        (lambda text: text.replace("ca_file", "ca_flie"), "sources.mesh.bundle.ca_flie", "did you mean 'ca_file'"),
        (lambda text: text.replace('example.org"', 'Example.org"'), "sources.mesh.trust_domain", "trust domain"),
        (lambda text: text + 'algorithms = ["EdDSA"]', "sources.mesh", "no JWT-SVID may have"),
    ],
)
def test_a_mistake_is_shown_where_it_stands(
    changed: Callable[[str], str], path: str, message: str, tmp_path: Path
) -> None:
    good = (
        'type = "spiffe"\ntrust_domain = "example.org"\naudience = "https://auth.example.com"\n'
        'bundle = { url = "https://spire.example.net:8443/", ca_file = "ca.pem" }\n'
    )
    assert build.loaded(tmp_path, {"sources.mesh": good}).jwt_sources["mesh"].origin == "spiffe://example.org"
    found = build.problems(build.write(tmp_path, build.document({"sources.mesh": changed(good)})))
    assert message in {problem.path: problem.message for problem in found}[path]


def test_two_sources_of_a_trust_domain_need_audiences_of_their_own(tmp_path: Path) -> None:
    one = (
        'type = "spiffe"\ntrust_domain = "example.org"\naudience = "https://auth.example.com"\n'
        f'bundle = {{ file = "bundle.json" }}\nissuer = "{IMAGES}"\n'
    )
    problem = build.only_problem(
        tmp_path, {"sources.one": one, "sources.two": one.replace(IMAGES, "https://x.example")}
    )
    assert problem.path == "sources.two.audience"
