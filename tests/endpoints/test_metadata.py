"""Both metadata documents and the key set."""

import pytest

from tests.devices import PHONES
from tests.endpoints.conftest import Application, MakeApplication
from tests.served import AUDIENCE, exchange_form

OAUTH = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"
JWKS = "/.well-known/jwks.json"


def test_the_metadata_says_where_everything_is(application: Application) -> None:
    """R1, R3, R4, R5, R6, R9"""
    for path in (OAUTH, OPENID):
        answer = application.ask("GET", path)
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.json == {
            "issuer": AUDIENCE,
            "token_endpoint": AUDIENCE + "/token",
            "jwks_uri": AUDIENCE + JWKS,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256", "RS256"],
            "claims_supported": ["iss", "sub", "aud", "client_id", "scope", "iat", "exp", "jti"],
            "grant_types_supported": [
                "urn:ietf:params:oauth:grant-type:token-exchange",
                "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "client_credentials",
            ],
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": [
                "ES256",
                "ES384",
                "ES512",
                "Ed25519",
                "EdDSA",
                "PS256",
                "PS384",
                "PS512",
                "RS256",
                "RS384",
                "RS512",
            ],
            "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "Ed25519"],
            "introspection_endpoint": AUDIENCE + "/introspect",
            "introspection_endpoint_auth_methods_supported": ["Bearer", "DPoP"],
            "revocation_endpoint": AUDIENCE + "/revoke",
            "revocation_endpoint_auth_methods_supported": ["none"],
        }


def test_the_metadata_names_no_feature_that_is_not_there(application: Application) -> None:
    """R3, R7, R8, R10"""
    document = application.ask("GET", OAUTH).json
    assert all(document.values())
    assert not {"authorization_endpoint", "challenge_endpoint", "mtls_endpoint_aliases"} & document.keys()
    assert not {"registration_endpoint", "tls_client_certificate_bound_access_tokens"} & document.keys()
    assert "none" not in document["token_endpoint_auth_signing_alg_values_supported"]
    assert application.ask("POST", "/introspect").headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("issuer", [AUDIENCE, f"{AUDIENCE}/a/b"])
def test_where_devices_can_enrol_the_metadata_says_how_and_with_which_proofs(
    issuer: str, make_application: MakeApplication
) -> None:
    """R3, R6; RFC 8414 section 2, RFC 7591 section 3, RFC 9449 section 5.1"""
    application = make_application(issuer=issuer, more=PHONES.format(phones=""))
    document = application.ask("GET", issuer.removeprefix(AUDIENCE) + OPENID).json
    assert document["registration_endpoint"] == f"{issuer}/register"
    assert document["dpop_signing_alg_values_supported"] == ["ES256", "EdDSA", "Ed25519"]
    assert "private_key_jwt" in document["token_endpoint_auth_methods_supported"]


def test_an_issuer_with_a_path_is_found_at_the_inserted_path_and_below_itself(
    make_application: MakeApplication, identity: str
) -> None:
    """R2"""
    application = make_application(issuer="https://example.com/auth")
    for path in (f"{OAUTH}/auth", f"/auth{OAUTH}", f"/auth{OPENID}"):
        document = application.ask("GET", path).json
        assert document["issuer"] == "https://example.com/auth"
        assert document["token_endpoint"] == "https://example.com/auth/token"
    assert application.ask("GET", OAUTH).status == 404
    assert application.ask("GET", "/auth" + JWKS).status == 200
    for path in ("/auth/livez", "/auth/readyz"):
        assert application.ask("GET", path).status == 200
    assert application.post(exchange_form(identity)).status == 404
    assert application.ask("POST", "/auth/token").status == 400


@pytest.mark.parametrize(
    "headers",
    [
        [("Host", "evil.example")],
        [("X-Forwarded-Host", "evil.example")],
        [("Forwarded", "host=evil.example;proto=http")],
        [("X-Forwarded-Prefix", "/evil")],
        [("X-Original-URL", "/evil"), ("X-Forwarded-Port", "1")],
    ],
)
def test_a_forged_host_changes_nothing(headers: list[tuple[str, str]], application: Application, identity: str) -> None:
    """R4; Dapr CVE-2026-59096: the issuer was taken from the request, and cached."""
    for _ in range(2):
        answer = application.ask("GET", OAUTH, headers=headers)
        assert answer.json["issuer"] == AUDIENCE
        assert b"evil" not in answer.body
        issued = application.post(exchange_form(identity), headers=headers)
        assert issued.status == 200
    from authserver.jose.compact import parse

    assert parse(issued.json["access_token"]).unverified_claims["iss"] == AUDIENCE


def test_the_key_set_shows_public_keys_only(application: Application) -> None:
    """R11, R12, R13, R14, R15"""
    from joserfc.jwk import JWKRegistry

    answer = application.ask("GET", JWKS)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/jwk-set+json"
    assert answer.json.keys() == {"keys"}
    keys = answer.json["keys"]
    assert sorted(key["alg"] for key in keys) == ["ES256", "ES256", "RS256", "RS256"]
    assert len({key["kid"] for key in keys}) == 4
    for key in keys:
        assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & key.keys()
        assert key["use"] == "sig"
        assert JWKRegistry.import_key(key).thumbprint() == key["kid"]


def test_the_key_set_is_kept_by_its_etag_and_for_at_most_the_configured_time(
    application: Application,
) -> None:
    """R18"""
    answer = application.ask("GET", JWKS)
    etag = answer.headers["ETag"]
    assert etag.startswith('"')
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    for tags in (etag, f'"other", {etag}', "*", f"W/{etag}"):
        cached = application.ask("GET", JWKS, headers=[("If-None-Match", tags)])
        assert (cached.status, cached.body) == (304, b"")
        assert cached.headers["ETag"] == etag
        assert cached.headers["Cache-Control"] == "public, max-age=300"
    assert application.ask("GET", JWKS, headers=[("If-None-Match", '"other"')]).status == 200
    assert application.ask("HEAD", JWKS).body == b""


def test_only_get_is_allowed_where_documents_are(application: Application) -> None:
    for path in (JWKS, OAUTH, OPENID, "/livez", "/readyz"):
        answer = application.ask("POST", path)
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD"
