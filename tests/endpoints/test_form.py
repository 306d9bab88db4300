"""What arrives at the token endpoint that is not a token request: an RFC 6749 error each time, never a 500."""

from urllib.parse import urlencode

import pytest

from authserver.testing import FakeIssuer
from tests.endpoints.conftest import Application, MakeApplication
from tests.served import AUDIENCE, Answer, exchange_form


@pytest.fixture
def application(make_application: MakeApplication) -> Application:
    """An application that is quick to make: what is wrong here is found before any key is needed."""
    return make_application(keys='algorithms = ["ES256"]', reports="")


CLOSED = {"error", "error_description", "request_id"}


def assert_refused(application: Application, answer: Answer, reason: str) -> None:
    """The answer is an ``invalid_request`` in the form of RFC 6749 section 5.2, for this reason."""
    assert answer.status == 400
    body = answer.json
    assert body.keys() == CLOSED
    assert body["error"] == "invalid_request"
    assert all(" " <= c <= "~" and c not in '"\\' for c in body["error_description"])
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert application.reason == reason


@pytest.mark.parametrize(
    "name", ["grant_type", "subject_token", "subject_token_type", "scope", "client_id", "unknown", "client_secret"]
)
@pytest.mark.parametrize("value", ["", "x"])
def test_a_repeated_parameter_is_refused(name: str, value: str, application: Application, identity: str) -> None:
    """R20"""
    form = [*exchange_form(identity, client_id="a", unknown="a").items(), (name, value)]
    if name == "client_secret":
        form.append((name, "y"))
    assert_refused(application, application.post(form), "parameter_repeated")


def test_an_empty_parameter_counts_as_absent_and_an_unknown_one_is_ignored(
    application: Application, identity: str
) -> None:
    """R21"""
    form = exchange_form(identity, actor_token="", client_secret="", requested_token_type="", audience="", foo="bar")
    assert application.post(form).status == 200
    assert_refused(application, application.post(exchange_form("")), "parameter_missing")


def test_parameters_in_the_query_are_refused(application: Application, identity: str) -> None:
    form = exchange_form(identity)
    assert_refused(application, application.post(form, query="scope=images:read"), "parameter_in_query")
    assert_refused(application, application.post(b"", query=urlencode(form)), "parameter_in_query")


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "application/json",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/x-www-form-urlencoded2",
    ],
)
def test_a_body_that_is_no_form_is_refused(content_type: str | None, application: Application, identity: str) -> None:
    """R19"""
    form = urlencode(exchange_form(identity)).encode()
    assert_refused(application, application.post(form, content_type=content_type), "not_a_form")


def test_a_json_body_is_refused(application: Application) -> None:
    assert_refused(application, application.post(b'{"grant_type": "x"}', content_type="application/json"), "not_a_form")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded; charset=UTF-8",
        "Application/X-WWW-Form-Urlencoded",
        "application/x-www-form-urlencoded ;",
    ],
)
def test_the_content_type_may_have_parameters_and_any_case(
    content_type: str, application: Application, identity: str
) -> None:
    assert application.post(exchange_form(identity), content_type=content_type).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"grant_type=\xff",
        b"grant_type=%ff",
        b"grant_type=%00",
        b"%00=1",
        b"grant_type=%ed%a0%80",
        b"grant_type=%c0%af",
        b"\x00",
        "grant_type=\u00e9".encode(),
        b"&".join(b"a%d=1" % number for number in range(60)),
    ],
    ids=["raw byte", "not UTF-8", "NUL", "NUL name", "lone surrogate", "overlong", "raw NUL", "raw UTF-8", "60 fields"],
)
def test_bytes_that_are_no_text_are_refused(body: bytes, application: Application) -> None:
    assert_refused(application, application.post(body), "form_malformed")


@pytest.mark.parametrize("body", [b"", b"&&&", b"=", b"grant_type", b"%", b"%zz=%zz", b";", b"a=b;c=d"])
def test_a_form_without_a_grant_is_refused(body: bytes, application: Application) -> None:
    assert_refused(application, application.post(body), "parameter_missing")


def test_a_body_of_a_mebibyte_is_refused_unread(application: Application, identity: str) -> None:
    assert_refused(application, application.post(b"a=" + b"x" * (1 << 20)), "body_too_large")
    padded = {**exchange_form(identity), "padding": "x" * (64 * 1024)}
    assert_refused(application, application.post(padded), "body_too_large")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_post_is_allowed(method: str, application: Application) -> None:
    """R19"""
    answer = application.ask(method, "/token")
    assert answer.status == 405
    assert answer.headers["Allow"] == "POST"
    if method != "HEAD":
        assert answer.json.keys() == CLOSED


def test_a_path_with_a_slash_too_many_is_not_found_and_not_a_redirect(application: Application) -> None:
    for path in ("//token", "/token/", "/nothing", "/.well-known/", "/static/x"):
        answer = application.ask("POST", path)
        assert answer.status == 404
        assert answer.json["error"] == "not_found"
        assert answer.headers["Content-Type"] == "application/json"


def test_two_authorization_headers_are_refused(application: Application, identity: str) -> None:
    headers = [("Authorization", "Basic YTpi"), ("Authorization", "Basic YTpi")]
    answer = application.post(exchange_form(identity), headers=headers)
    # WSGI has joined them with a comma; either way the answer is a refusal.
    assert answer.status in (400, 401)


def test_nothing_of_the_request_is_echoed(application: Application, cluster: FakeIssuer) -> None:
    """R26; Authlib's error descriptions with odd characters"""
    marker = 'MARKER-\u00e9-"\\-<script>'
    for name in exchange_form("x"):
        answer = application.post({**exchange_form("x"), name: marker})
        assert b"MARKER" not in answer.body
        assert not any("MARKER" in value for _, value in answer.headers.items())
    for header in ("X-Request-Id", "DPoP", "Authorization", "X-Forwarded-For", "Origin"):
        answer = application.post(exchange_form("x"), headers=[(header, "MARKER")])
        assert b"MARKER" not in answer.body
        assert not any("MARKER" in value for _, value in answer.headers.items())
    unknown = cluster.kubernetes_token("media", "thumbnailer", AUDIENCE, iss="https://MARKER.example")
    assert b"MARKER" not in application.post(exchange_form(unknown)).body
