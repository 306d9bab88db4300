"""Section C: what is common to every request for a token."""

from collections.abc import Sequence

import pytest

from authserver.endpoints import respond
from authserver.endpoints.http import Endpoint, Request
from authserver.oauth import ErrorCode, Grant
from authserver.settings.tables import NAME
from authserver.testing import FakeIssuer
from tests import leaks, oracle
from tests.endpoints.conftest import Application, MakeApplication
from tests.requirements.grants import each_grant, form
from tests.served import AUDIENCE, REPORTS, exchange_form

FORM = {"content-type": ("application/x-www-form-urlencoded",)}
ALLOWED = frozenset(map(chr, range(0x20, 0x7F))) - {'"', "\\"}

ANOTHER_SOURCE = """
[sources.people]
type = "oidc"
issuer = "{issuer}"
audience = "https://people.auth.example.com"
attributes = ["team"]

[[allow]]
name = "anybody-of-people"
source = "people"
match = { team = "media" }
resource = "https://images.example.com"
scope = ["images:read"]
"""


def endpoint(application: Application, path: str) -> Endpoint:
    """The function behind a path, without a framework."""
    return next(route.endpoint for route in application.service.routes if route.path == path)


def test_every_description_has_only_the_characters_that_the_rfc_allows() -> None:
    """R26; RFC 6749 section 5.2: %x20-21 / %x23-5B / %x5D-7E"""
    for code, description in respond.DESCRIPTIONS.items():
        assert set(code.value) <= ALLOWED
        assert description
        assert set(description) <= ALLOWED


@pytest.mark.parametrize(
    ("changes", "headers", "reason"),
    [
        ({"client_secret": "s3cret"}, [], "client_secret_offered"),
        ({}, [("Authorization", "Basic YTpi")], "client_secret_offered"),
        ({"client_assertion": "x"}, [], "client_authentication_unexpected"),
        ({"grant_type": "password"}, [], "grant_unsupported"),
    ],
)
def test_the_reason_of_a_refused_form_is_on_record(
    changes: dict[str, str], headers: Sequence[tuple[str, str]], reason: str, application: Application, identity: str
) -> None:
    """R27, R28, R29"""
    assert application.post(exchange_form(identity, **changes), headers=headers).status in (400, 401)
    assert application.reason == reason


@pytest.mark.parametrize("header", ["Authorization", "Content-Type"])
def test_a_header_that_may_appear_once_is_refused_twice(header: str, application: Application) -> None:
    """R27; a server that does not join repeated headers hands them on as they are."""
    headers = {**FORM, header.lower(): ("Basic YTpi", "Basic YTpi")}
    answer = endpoint(application, "/token")(Request("POST", "an-id", "127.0.0.1", headers=headers))
    assert answer.status == 400
    assert application.reason == "header_repeated"


def test_two_dpop_headers_are_refused(application: Application, identity: str) -> None:
    """R61"""
    answer = application.post(exchange_form(identity), headers=[("DPoP", "a"), ("DPoP", "b")])
    assert (answer.status, answer.json["error"]) == (400, "invalid_dpop_proof")


def test_the_scope_is_told_when_it_was_not_asked_for(application: Application, identity: str) -> None:
    """R23; RFC 6749 sections 3.3 and 5.1"""
    answer = application.post(exchange_form(identity, resource=REPORTS, scope=None))
    assert answer.json["scope"] == "reports:read"


def test_line_breaks_in_what_is_sent_reach_no_header_and_no_body(application: Application, identity: str) -> None:
    """R26"""
    break_out = "x\r\nSet-Cookie: a=b\r\n\r\n<html>"
    for name in exchange_form(identity):
        answer = application.post({**exchange_form(identity), name: break_out})
        assert answer.status == 400
        assert "Set-Cookie" not in answer.headers
        assert b"Set-Cookie" not in answer.body
    assert "\r" not in application.audit.getvalue().decode()


def test_no_subject_of_one_source_is_a_subject_or_client_of_another(
    make_application: MakeApplication, cluster: FakeIssuer
) -> None:
    """R31; RFC 9700 section 4.15, RFC 9068 section 5"""
    application = make_application(more=ANOTHER_SOURCE.replace("{issuer}", cluster.issuer))
    key_set = application.ask("GET", "/.well-known/jwks.json").json
    workload = "cluster:system:serviceaccount:media:thumbnailer"
    for subject in (workload, f":{workload}", "dev_0123456789abcdef", "owner/alice", "device/dev_0123456789abcdef"):
        token = cluster.identity_token("https://people.auth.example.com", sub=subject, team="media")
        answer = application.post(exchange_form(leaks.handled(token)))
        _, claims = oracle.read(answer.json["access_token"], key_set)
        assert claims["sub"] == claims["client_id"] == f"people:{subject}"


@pytest.mark.parametrize("name", ["", "a:b", "A", "dev_1", "-a", "a/b", "a b", "\u00e4", "a\n"])
def test_the_name_of_a_source_cannot_make_a_subject_ambiguous(name: str) -> None:
    """R31: a colon ends the name, and a registered ``dev_`` identifier is none."""
    assert NAME.fullmatch(name) is None


def test_no_two_tokens_and_no_two_requests_have_the_same_identifier(application: Application, identity: str) -> None:
    """R32; RFC 6749 section 10.10"""
    answers = [application.post(exchange_form(identity)) for _ in range(20)]
    assert len({event["jti"] for event in application.events}) == 20
    assert all(len(event["jti"]) * 6 >= 128 for event in application.events)
    assert len({answer.headers["X-Request-Id"] for answer in answers}) == 20


@each_grant
def test_every_error_of_every_grant_is_a_registered_code(
    grant: str, application: Application, identity: str, cluster: FakeIssuer
) -> None:
    """R25; RFC 6749 section 5.2, RFC 8707 section 2, RFC 9449 section 5"""
    registered = {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_target",
        "invalid_dpop_proof",
    }
    stranger = leaks.handled(cluster.kubernetes_token("media", "stranger", AUDIENCE))
    for request in (
        {},
        form(grant, identity, grant_type="other"),
        form(grant, identity, resource=None),
        form(grant, identity, scope=None),
        form(grant, "broken"),
        form(grant, stranger),
        form(grant, identity, client_secret="x"),
    ):
        answer = application.post(request)
        assert answer.json["error"] in registered
        assert answer.status == (401 if answer.json["error"] == "invalid_client" else 400)
        assert answer.json["error_description"] == respond.DESCRIPTIONS[ErrorCode(answer.json["error"])]


def test_the_grants_are_these_three_and_no_setting_adds_one() -> None:
    """R28, R29; RFC 9700 section 2.4"""
    assert {grant.value for grant in Grant} == {
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "client_credentials",
    }
