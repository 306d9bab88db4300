"""The issuer that our users test with: what it signs, another library accepts; what it breaks, it breaks as said."""

import contextlib
import json
import threading
from typing import Any

import pytest
import urllib3

from authserver.testing import FakeIssuer, FrozenClock
from authserver.testing.claims import azure_claims, github_claims, gitlab_claims, google_claims
from tests import oracle

AUDIENCE = "https://auth.example.com"
HTTP = urllib3.PoolManager(retries=False)


def fetch(url: str, *, timeout: float = 10) -> Any:
    """The JSON at an address."""
    answer = HTTP.request("GET", url, timeout=timeout, headers={"Connection": "close"})
    assert answer.status == 200
    return answer.json()


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_another_library_accepts_what_it_signs_with_what_it_publishes(algorithm: str) -> None:
    with FakeIssuer(algorithms=[algorithm]) as issuer:
        header, claims = oracle.read(issuer.identity_token(AUDIENCE), fetch(issuer.jwks_url))
        assert header == {"typ": "JWT", "alg": algorithm, "kid": issuer.key.kid}
        assert (claims["iss"], claims["aud"]) == (issuer.issuer, AUDIENCE)


def test_it_keeps_a_key_for_each_algorithm() -> None:
    with FakeIssuer(algorithms=["ES256", "RS256"]) as issuer:
        header, _ = oracle.read(issuer.token(algorithm="RS256"), issuer.jwks)
        assert header["alg"] == "RS256"
        assert [key["alg"] for key in issuer.jwks["keys"]] == ["ES256", "RS256"]


@pytest.mark.parametrize("path", ["", "/tenant"])
def test_both_metadata_documents_are_where_their_specifications_put_them(path: str) -> None:
    """R2, R4, R9: RFC 8414 inserts before the path, OpenID Connect Discovery appends after it."""
    with FakeIssuer(path=path) as issuer:
        origin = issuer.issuer.removesuffix(path)
        expected = {
            "issuer": issuer.issuer,
            "jwks_uri": issuer.jwks_url,
            "introspection_endpoint": f"{issuer.issuer}/introspect",
        }
        assert fetch(f"{origin}/.well-known/oauth-authorization-server{path}") == expected
        assert fetch(f"{issuer.issuer}/.well-known/openid-configuration") == expected


def test_claims_and_header_can_be_replaced_and_taken_away(issuer: FakeIssuer, clock: FrozenClock) -> None:
    header, claims = oracle.read(
        issuer.token({"sub": "me", "jti": None}, header={"typ": None, "cty": "x"}), issuer.jwks
    )
    assert header == {"alg": "ES256", "kid": issuer.key.kid, "cty": "x"}
    assert claims == {"iss": issuer.issuer, "sub": "me", "iat": clock(), "exp": clock() + 600}


def test_an_access_token_has_the_profile_of_rfc_9068(issuer: FakeIssuer) -> None:
    """R56, R57"""
    header, claims = oracle.read(issuer.access_token("https://images.example.com", "images:read"), issuer.jwks)
    assert header["typ"] == "at+jwt"
    assert claims.keys() == {"iss", "exp", "aud", "sub", "client_id", "iat", "jti", "scope"}
    assert "scope" not in oracle.read(issuer.access_token("https://images.example.com"), issuer.jwks)[1]


def test_a_kubernetes_token_says_which_service_account_it_is(issuer: FakeIssuer) -> None:
    _, claims = oracle.read(issuer.kubernetes_token("media", "thumbnailer", AUDIENCE, extra=1), issuer.jwks)
    assert claims["sub"] == "system:serviceaccount:media:thumbnailer"
    assert claims["aud"] == [AUDIENCE]
    assert claims["extra"] == 1
    assert claims["kubernetes.io"]["namespace"] == "media"
    assert claims["kubernetes.io"]["serviceaccount"]["name"] == "thumbnailer"
    assert claims["kubernetes.io"].keys() == {"namespace", "node", "pod", "serviceaccount"}


def test_a_github_token_says_which_repository_it_is(issuer: FakeIssuer) -> None:
    _, claims = oracle.read(issuer.github_token("octo-org/octo-repo", AUDIENCE, environment="prod"), issuer.jwks)
    assert claims["sub"] == "repo:octo-org/octo-repo:ref:refs/heads/main"
    assert (claims["repository_owner"], claims["environment"]) == ("octo-org", "prod")
    again = github_claims("octo-org/other-repo", AUDIENCE)
    assert claims["repository_owner_id"] == again["repository_owner_id"]
    assert claims["repository_id"] != again["repository_id"]


@pytest.mark.parametrize("repository", ["octo-org", "octo-org/", "/octo-repo", "a/b/c", ""])
def test_a_repository_has_an_owner_and_a_name(issuer: FakeIssuer, repository: str) -> None:
    with pytest.raises(ValueError, match="owner/name"):
        issuer.github_token(repository, AUDIENCE)


def test_a_gitlab_token_says_which_project_it_is(issuer: FakeIssuer) -> None:
    _, claims = oracle.read(issuer.gitlab_token("media/tools/web", AUDIENCE, environment="prod"), issuer.jwks)
    assert claims["sub"] == "project_path:media/tools/web:ref_type:branch:ref:main"
    assert (claims["namespace_path"], claims["environment"]) == ("media/tools", "prod")
    again = gitlab_claims("media/tools/other", AUDIENCE)
    assert claims["namespace_id"] == again["namespace_id"]
    assert claims["project_id"] != again["project_id"]


def test_a_google_token_says_which_account_it_is_in_numbers_of_the_usual_length(issuer: FakeIssuer) -> None:
    _, claims = oracle.read(issuer.google_token("web@media.iam.gserviceaccount.com", AUDIENCE), issuer.jwks)
    assert (len(claims["sub"]), claims["azp"], claims["email_verified"]) == (21, claims["sub"], True)
    machine = claims["google"]["compute_engine"]
    assert (machine["project_id"], len(machine["instance_id"]), len(str(machine["project_number"]))) == (
        "media",
        19,
        12,
    )
    assert google_claims("other@media.iam.gserviceaccount.com", AUDIENCE)["sub"] != claims["sub"]


def test_an_azure_token_says_which_identity_of_which_tenant_it_is(issuer: FakeIssuer) -> None:
    _, claims = oracle.read(issuer.azure_token("a-tenant", "web", AUDIENCE), issuer.jwks)
    assert (claims["tid"], claims["sub"]) == ("a-tenant", claims["oid"])
    assert claims["xms_mirid"].endswith("/Microsoft.ManagedIdentity/userAssignedIdentities/web")
    assert azure_claims("another-tenant", "web", AUDIENCE)["oid"] != claims["oid"]


def test_a_jwt_svid_names_a_workload_and_its_key_is_in_the_bundle(issuer: FakeIssuer) -> None:
    token = issuer.spiffe_token("spiffe://example.org/web", AUDIENCE)
    keys = [{**key, "use": "sig"} for key in issuer.bundle["keys"]]
    _, claims = oracle.read(token, {"keys": keys})
    assert (claims["sub"], claims["aud"]) == ("spiffe://example.org/web", [AUDIENCE])
    assert not {"iss", "jti"} & claims.keys()
    published = urllib3.request("GET", issuer.bundle_url).json()
    assert published == issuer.bundle
    assert {key["use"] for key in published["keys"]} == {"jwt-svid"}


def test_a_name_that_is_none_of_the_platform_is_a_mistake(issuer: FakeIssuer) -> None:
    with pytest.raises(ValueError, match="spiffe://"):
        issuer.spiffe_token("example.org/web", AUDIENCE)
    for path in ("media", "media/", "/web", ""):
        with pytest.raises(ValueError, match="namespace/project"):
            issuer.gitlab_token(path, AUDIENCE)
    for email in ("web", "web@", "@media", ""):
        with pytest.raises(ValueError, match="address"):
            issuer.google_token(email, AUDIENCE)


def test_after_a_rotation_the_new_key_signs_and_the_old_one_is_still_published(issuer: FakeIssuer) -> None:
    old, before = issuer.key, issuer.token()
    new = issuer.rotate()
    assert [key["kid"] for key in fetch(issuer.jwks_url)["keys"]] == [old.kid, new.kid]
    assert oracle.read(issuer.token(), issuer.jwks)[0]["kid"] == new.kid
    assert oracle.read(before, issuer.jwks)[0]["kid"] == old.kid


def test_a_withdrawn_key_is_published_no_longer(issuer: FakeIssuer) -> None:
    old = issuer.key
    issuer.rotate()
    issuer.withdraw(old.kid)
    assert [key["kid"] for key in fetch(issuer.jwks_url)["keys"]] == [issuer.key.kid]


def test_it_counts_what_was_asked_of_it(issuer: FakeIssuer) -> None:
    fetch(issuer.jwks_url)
    fetch(f"{issuer.issuer}/.well-known/openid-configuration")
    fetch(issuer.jwks_url)
    assert issuer.fetches == 2
    assert len(issuer.requests) == 3


def test_another_path_is_not_found(issuer: FakeIssuer) -> None:
    assert HTTP.request("GET", f"{issuer.issuer}/token", headers={"Connection": "close"}).status == 404


def test_while_down_it_closes_connections_without_an_answer(issuer: FakeIssuer) -> None:
    issuer.down()
    with pytest.raises(urllib3.exceptions.HTTPError):
        fetch(issuer.jwks_url)
    assert issuer.fetches == 1
    issuer.up()
    assert fetch(issuer.jwks_url) == issuer.jwks


def test_while_hanging_it_keeps_callers_waiting_until_it_is_up(issuer: FakeIssuer) -> None:
    issuer.hang()
    received: list[Any] = []
    caller = threading.Thread(target=lambda: received.append(fetch(issuer.jwks_url, timeout=60)))
    caller.start()
    caller.join(0.2)
    assert caller.is_alive()
    issuer.up()
    caller.join(60)
    assert received == [issuer.jwks]


def test_it_publishes_nothing_or_garbage_when_told(issuer: FakeIssuer) -> None:
    issuer.publish_nothing()
    assert fetch(issuer.jwks_url) == {"keys": []}
    issuer.publish_garbage()
    with pytest.raises(json.JSONDecodeError):
        fetch(issuer.jwks_url)
    issuer.up()
    assert fetch(issuer.jwks_url) == issuer.jwks


def test_leaving_lets_those_who_wait_go() -> None:
    released = threading.Event()

    def call(url: str) -> None:
        with contextlib.suppress(urllib3.exceptions.HTTPError):  # answered or cut off: what matters is that it ends
            HTTP.request("GET", url, timeout=60, headers={"Connection": "close"})
        released.set()

    with FakeIssuer() as issuer:
        issuer.hang()
        threading.Thread(target=call, args=(issuer.jwks_url,), daemon=True).start()
        assert not released.wait(0.1)
    assert released.wait(30)


def test_outside_its_with_statement_it_has_no_address() -> None:
    issuer = FakeIssuer()
    with pytest.raises(RuntimeError, match="with statement"):
        _ = issuer.issuer
    with issuer:
        first = issuer.issuer
    with issuer:
        assert fetch(issuer.jwks_url) == issuer.jwks
        assert issuer.issuer.startswith("http://127.0.0.1:")
    assert first.startswith("http://127.0.0.1:")


def test_stopping_twice_is_harmless() -> None:
    with FakeIssuer() as issuer:
        issuer.__exit__(None, None, None)


def test_the_clock_moves_only_when_it_is_moved() -> None:
    clock = FrozenClock(1000.0)
    assert (clock(), clock()) == (1000.0, 1000.0)
    clock.advance(5)
    clock.advance(-1)
    assert clock() == 1004.0
