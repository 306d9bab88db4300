"""One contract of requests and answers, on every adapter: RFC 6750 and what is served."""

import pytest

from authserver.resource.refusal import Refusal
from authserver.testing import FakeIssuer, FrozenClock, hostile_tokens
from tests.resource.adapters.views import Make
from tests.resource.adapters.wire import Application, Call, Got
from tests.resource.environment import AUDIENCE, claims

DOCUMENT = "/.well-known/oauth-protected-resource"
METADATA = f'resource_metadata="{AUDIENCE}{DOCUMENT}"'
FORM = ("Content-Type", "application/x-www-form-urlencoded")
DPOP_TOO = 'DPoP algs="ES256 EdDSA Ed25519"'

Bearer = tuple[str, str]


def error(got: Got) -> tuple[int, str]:
    """The status and the error code, which challenge and body must agree on."""
    code = got.json.get("error", "")
    for challenge in got.all("WWW-Authenticate")[:1]:
        assert ("error=" in challenge) == bool(code)
        assert f'error="{code}"' in challenge or not code
    return got.status, code


def with_scope(issuer: FakeIssuer, scope: str | None) -> tuple[Bearer]:
    return (("Authorization", f"Bearer {issuer.access_token(AUDIENCE, scope)}"),)


# Who is let in


def test_a_view_sees_who_calls_it(app: Application, bearer: Bearer) -> None:
    got = app(Call(headers=[bearer]))
    assert (got.status, got.json) == (200, {"caller": "tests:somebody", "device": None, "name": ""})
    assert got.all("WWW-Authenticate") == got.all("DPoP-Nonce") == []
    assert app(Call("POST", headers=[bearer])).status == 200


@pytest.mark.parametrize(
    ("path", "scope", "status"),
    [
        ("/images", None, 403),
        ("/images", "images:write", 403),
        ("/images", "images:read images:write", 200),
        ("/both", "images:read", 403),
        ("/both", "images:write images:read", 200),
        ("/either", "images:read", 403),
        ("/either", "images:admin", 200),
        ("/anybody", None, 200),
        ("/albums/cats", "images:read:cats", 200),
        ("/albums/cats", "images:read:*", 200),
        ("/albums/cats", "images:read:dogs", 403),
        ("/albums/cats", "images:read", 403),
        ("/albums/cats", "images:*", 403),
        ("/albums/*", "images:read:*", 403),
        ("/albums/a%20b", "images:read:a b", 403),
    ],
)
def test_the_scope_decides(app: Application, issuer: FakeIssuer, path: str, scope: str | None, status: int) -> None:
    """R98: all of these, one of those, and what a callable says about this one request."""
    assert app(Call(target=path, headers=with_scope(issuer, scope))).status == status


def test_a_missing_scope_is_named(app: Application, issuer: FakeIssuer) -> None:
    """R98"""
    got = app(Call(target="/both", headers=with_scope(issuer, None)))
    assert error(got) == (403, "insufficient_scope")
    assert ' scope="images:read images:write"' in got.one("WWW-Authenticate")
    assert ' scope="images:read:cats"' in app(
        Call(target="/albums/cats", headers=with_scope(issuer, "images:read"))
    ).one("WWW-Authenticate")
    unspeakable = app(Call(target="/albums/a%22b", headers=with_scope(issuer, "images:read")))
    assert "scope=" not in unspeakable.one("WWW-Authenticate").replace('"insufficient_scope"', "")


def test_with_optional_nobody_is_somebody_too(app: Application, bearer: Bearer) -> None:
    assert app(Call(target="/optional")).json["caller"] is None
    assert app(Call(target="/optional", headers=[bearer])).json["caller"] == "tests:somebody"
    refused = app(Call(target="/optional", headers=[("Authorization", "Bearer a.b.c")]))
    assert error(refused) == (401, "invalid_token")
    assert app(Call(target="/optional", headers=[bearer, bearer])).status == 400


def test_what_is_protected_twice_asks_twice(app: Application, bearer: Bearer) -> None:
    assert app(Call(target="/twice", headers=[bearer])).status == 200
    assert app(Call(target="/twice")).status == 401


def test_one_request_does_not_see_the_token_of_the_last(app: Application, bearer: Bearer) -> None:
    assert app(Call(headers=[bearer])).status == 200
    assert app(Call(target="/open", headers=[bearer])).json == {"token": False}


def test_what_the_view_raises_is_the_application_s_business(app: Application, bearer: Bearer) -> None:
    assert app(Call(target="/broken", headers=[bearer])).status == 500


# Who is not


def test_no_credentials_are_challenged_without_an_error_code(app: Application) -> None:
    """R98, R100"""
    got = app(Call())
    assert (got.status, got.json) == (401, {})
    assert got.all("WWW-Authenticate") == [
        f'Bearer realm="{AUDIENCE}", scope="images:read", {METADATA}',
        DPOP_TOO,
    ]
    assert got.one("Content-Type") == "application/json"
    assert got.one("Cache-Control") == "no-store"


def test_a_token_that_is_not_believed_is_401_invalid_token(
    app: Application, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    """R91, R92, R94, R98, R99"""
    for hostile in hostile_tokens(issuer, claims(issuer, clock), typ="at+jwt", now=clock()):
        if hostile.fits_a_header:
            got = app(Call(headers=[("Authorization", f"Bearer {hostile.token}")]))
            assert error(got) in ((400, "invalid_request"), (401, "invalid_token")), hostile.name


@pytest.mark.parametrize(
    ("target", "credentials", "status"),
    [
        ("/images?access_token=a", [], 401),
        ("/images", [("Authorization", "Basic dXNlcjpwYXNz")], 401),
        ("/images", [("Authorization", "Bearer")], 400),
        ("/images", [("Authorization", "Bearer ")], 400),
        ("/images", [("Authorization", "Bearer a"), ("Authorization", "Bearer b")], 400),
        ("/images", [("Authorization", "Bearer a, Bearer b")], 400),
        ("/images", [("Authorization", "Basic dXNlcjpwYXNz"), ("Authorization", "Bearer a")], 400),
        ("/images?access_token=a", [("Authorization", "Bearer a")], 400),
        ("/images?access%5Ftoken=a", [("Authorization", "Bearer a")], 400),
        ("/images?a=b&access_token", [("Authorization", "Bearer a")], 400),
        ("/images?xaccess_token=a", [("Authorization", "Bearer a")], 401),
        ("/images", [("Authorization", "Bearer a b")], 401),
        ("/images", [("Authorization", "Bearer \xff\xfe")], 401),
    ],
)
def test_one_token_in_the_header_and_nowhere_else(
    app: Application, target: str, credentials: list[Bearer], status: int
) -> None:
    """R98, attacks: two Authorization headers."""
    got = app(Call(target=target, headers=credentials))
    assert got.status == status
    assert (error(got)[1] == "invalid_request") == (status == 400)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "DELETE"])
def test_a_method_opens_nothing(app: Application, method: str) -> None:
    got = app(Call(method))
    assert b"caller" not in got.body
    assert got.status != 200 or method == "OPTIONS"


# Forms


def test_a_token_in_the_form_besides_the_header_is_400(app: Application, bearer: Bearer) -> None:
    """R98"""
    form = b"a=b&access%5Ftoken=x"
    assert app(Call("POST", headers=[bearer, FORM], body=form)).status == 400
    assert app(Call("POST", headers=[FORM], body=form)).status == 401
    assert app(Call("POST", headers=[bearer, ("Content-Type", "text/plain")], body=form)).status == 200


@pytest.mark.parametrize("size", [10, 100_000])
@pytest.mark.parametrize("content_type", [FORM[1], f"{FORM[1]}; charset=utf-8", "application/json"])
def test_the_view_still_reads_the_body_as_it_likes(
    app: Application, bearer: Bearer, size: int, content_type: str
) -> None:
    body = b"name=" + b"x" * size
    got = app(Call("POST", "/body", [bearer, ("Content-Type", content_type)], body))
    assert (got.status, got.body) == (200, body)


# Outages


def test_an_outage_is_503_with_retry_after_and_never_401(app: Application, bearer: Bearer, issuer: FakeIssuer) -> None:
    """Contract section 5"""
    issuer.down()
    got = app(Call(headers=[bearer]))
    assert error(got) == (503, "temporarily_unavailable")
    assert int(got.one("Retry-After")) > 0
    assert got.all("WWW-Authenticate") == []


# What the application writes itself


def test_the_body_of_a_refusal_may_be_the_application_s_own(make: Make) -> None:
    def render(refusal: Refusal) -> tuple[str, bytes]:
        return "text/plain; charset=utf-8", f"{refusal.status} {refusal.error} {refusal.request_id}".encode()

    app, plain = make(render=render), make()
    call = Call(headers=[("Authorization", "Bearer a.b.c"), ("X-Request-ID", "seven")])
    got = app(call)
    assert (got.body, got.one("Content-Type")) == (b"401 invalid_token seven", "text/plain; charset=utf-8")
    assert got.status == plain(call).status
    assert got.all("WWW-Authenticate") == plain(call).all("WWW-Authenticate")


# The metadata document


@pytest.mark.parametrize("path", ["", "/v1", "/caf%C3%A9"])
def test_the_metadata_document_is_served_where_the_challenge_says(make: Make, issuer: FakeIssuer, path: str) -> None:
    """R100"""
    app = make(audience=AUDIENCE + path)
    got = app(Call(target=DOCUMENT + path))
    assert (got.status, got.one("Content-Type")) == (200, "application/json")
    assert got.json == {
        "resource": AUDIENCE + path,
        "authorization_servers": [issuer.issuer],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "Ed25519"],
        "scopes_supported": ["images:read"],
    }
    assert f'resource_metadata="{AUDIENCE}{DOCUMENT}{path}"' in app(Call()).all("WWW-Authenticate")[0]
    head = app(Call("HEAD", DOCUMENT + path))
    assert head.status == 200
    assert app(Call("POST", DOCUMENT + path)).status == 405


# What callers can forge


@pytest.mark.parametrize(
    "forged",
    [
        [("Host", "attacker.example")],
        [("X-Forwarded-Host", "attacker.example"), ("X-Forwarded-Proto", "http"), ("X-Forwarded-Prefix", "/evil")],
        [("Forwarded", "host=attacker.example;proto=http"), ("X-Forwarded-For", "10.0.0.1")],
    ],
)
def test_forged_headers_change_nothing(app: Application, forged: list[Bearer]) -> None:
    """R4, R100, attacks: Host and X-Forwarded-* forged."""
    for path in ("/images", DOCUMENT):
        assert app(Call(target=path, headers=forged)) == app(Call(target=path))
