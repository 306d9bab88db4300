"""RFC 6750 as this resource server speaks it, without a framework."""

import json
import logging
import re
from collections.abc import Sequence

import pytest

from authserver.errors import (
    CredentialMissing,
    CredentialRejected,
    Reason,
    Refused,
    RequestMalformed,
    ScopeInsufficient,
    Unavailable,
)
from authserver.resource import AccessTokenVerifier
from authserver.resource.challenge import ApiRequest, Requirement, answer, authenticate, bearer_token
from authserver.resource.metadata import ProtectedResource
from authserver.testing import FakeIssuer
from tests.resource.environment import AUDIENCE

RESOURCE = ProtectedResource(AUDIENCE, "https://auth.example.com")
ANY_TOKEN = Requirement()
READ = Requirement(("images:read",))
METADATA = 'resource_metadata="https://images.example.com/.well-known/oauth-protected-resource"'

ERRORS = [
    RequestMalformed(Reason.CREDENTIAL_REPEATED),
    CredentialMissing(),
    CredentialRejected(Reason.SIGNATURE_WRONG, unverified_sub='"\r\nSet-Cookie: a=b'),
    ScopeInsufficient(["images:read"]),
    Unavailable(Reason.KEYS_UNAVAILABLE),
]


def reason_of(*authorization: str, in_query: bool = False, in_form: bool = False) -> tuple[type[Refused], Reason]:
    with pytest.raises(Refused) as caught:
        bearer_token(ApiRequest(authorization, in_query, in_form))
    return type(caught.value), caught.value.reason


# Where the token is


@pytest.mark.parametrize("header", ["Bearer abc", "bearer abc", "BEARER   abc", " Bearer abc ", "\tBearer abc\t"])
def test_the_scheme_has_no_case_and_spaces_around_are_not_part_of_the_token(header: str) -> None:
    """R98; RFC 9110 section 11.1"""
    assert bearer_token(ApiRequest((header,))) == "abc"


@pytest.mark.parametrize("headers", [(), ("",), ("Basic dXNlcjpwYXNz",), ("DPoP abc",), ("Bearerabc",), ("abc",)])
def test_no_bearer_token_is_no_credentials(headers: Sequence[str]) -> None:
    """R98"""
    assert reason_of(*headers) == (CredentialMissing, Reason.CREDENTIAL_MISSING)


@pytest.mark.parametrize("place", [{"in_query": True}, {"in_form": True}, {"in_query": True, "in_form": True}])
def test_a_token_as_a_parameter_alone_is_no_credentials(place: dict[str, bool]) -> None:
    """R98; RFC 6750 section 3.1: an unsupported method is answered without an error code."""
    assert reason_of(**place) == (CredentialMissing, Reason.CREDENTIAL_MISSING)


@pytest.mark.parametrize("place", [{"in_query": True}, {"in_form": True}])
def test_a_token_as_a_parameter_besides_the_header_is_malformed(place: dict[str, bool]) -> None:
    """R98; RFC 6750 section 2: one method in each request."""
    assert reason_of("Bearer abc", **place) == (RequestMalformed, Reason.CREDENTIAL_REPEATED)


@pytest.mark.parametrize(
    "headers",
    [
        ("Bearer abc", "Bearer def"),
        ("Bearer abc", "Bearer abc"),
        ("Bearer abc,Bearer def",),
        ("Bearer abc , bearer def",),
        ("Bearer abc", "Basic dXNlcjpwYXNz"),
        ("Basic dXNlcjpwYXNz", "Bearer abc"),
        ("Bearer abc", "def"),
        ("Bearer", "Bearer"),
    ],
)
def test_more_than_one_authorization_is_malformed_whether_or_not_the_server_joined_them(headers: Sequence[str]) -> None:
    """R98, attacks: two Authorization headers."""
    assert reason_of(*headers) == (RequestMalformed, Reason.CREDENTIAL_REPEATED)


def test_parameters_of_another_scheme_are_not_taken_for_credentials() -> None:
    assert reason_of('Digest username="a", realm="b", nc=00000001')[0] is CredentialMissing


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "bearer   "])
def test_the_scheme_without_a_token_is_malformed(header: str) -> None:
    assert reason_of(header) == (RequestMalformed, Reason.CREDENTIAL_MISSING)


@pytest.mark.parametrize("token", ["a b", "a,b=", "é", "a\tb", 'a"b', "=a", "a=b", "{}", "\x00", "a\r\nb"])
def test_what_is_no_b64token_is_rejected_without_a_look_at_it(token: str) -> None:
    """RFC 6750 section 2.1"""
    assert reason_of(f"Bearer {token}") == (CredentialRejected, Reason.TOKEN_MALFORMED)


def test_a_header_made_of_commas_is_judged_in_no_time() -> None:
    for header in ("Bearer " + ", " * 30_000, "Bearer " + "," * 60_000, "Bearer " + ",a" * 30_000 + "="):
        assert issubclass(reason_of(header)[0], Refused)


def test_a_request_does_not_print_its_token() -> None:
    assert "secret" not in repr(ApiRequest(("Bearer secret",)))


# What scope is enough


@pytest.mark.parametrize(
    ("requirement", "scope", "enough"),
    [
        (Requirement(), "", True),
        (Requirement(("a",)), "a", True),
        (Requirement(("a",)), "a b", True),
        (Requirement(("a",)), "", False),
        (Requirement(("a",)), "ab A", False),
        (Requirement(("a", "b")), "a", False),
        (Requirement(("a", "b")), "b a", True),
        (Requirement(any_of=("a", "b")), "b", True),
        (Requirement(any_of=("a", "b")), "c", False),
        (Requirement(("a",), ("b", "c")), "a c", True),
        (Requirement(("a",), ("b", "c")), "a", False),
        (Requirement(("a",), ("b", "c")), "b c", False),
    ],
)
def test_all_of_these_and_one_of_those(
    verifier: AccessTokenVerifier, issuer: FakeIssuer, requirement: Requirement, scope: str, enough: bool
) -> None:
    token = verifier.verify(issuer.access_token(AUDIENCE, scope or None))
    if enough:
        requirement.check(token)
    else:
        with pytest.raises(ScopeInsufficient):
            requirement.check(token)


@pytest.mark.parametrize("scope", ["", "a b", 'a"', "a\\", "é", "a\r\n", "\x7f"])
def test_a_scope_that_no_token_can_have_is_refused_when_it_is_required(scope: str) -> None:
    """R24, R100: what is written into a challenge cannot break out of it."""
    with pytest.raises(ValueError, match="not a scope"):
        Requirement((scope,))
    with pytest.raises(ValueError, match="not a scope"):
        Requirement(any_of=(scope,))


def test_one_string_is_not_taken_for_the_scopes_of_its_letters() -> None:
    with pytest.raises(TypeError):
        Requirement(any_of="images:read")
    with pytest.raises(TypeError):
        Requirement("images:read")


# What is answered


def test_no_credentials_are_answered_with_a_challenge_that_has_no_error() -> None:
    """R98, R100; RFC 6750 section 3.1"""
    answered = answer(CredentialMissing(), RESOURCE, READ)
    assert answered.status == 401
    assert answered.body == b"{}"
    assert dict(answered.headers) == {
        "Content-Type": "application/json",
        "Cache-Control": "no-store",
        "WWW-Authenticate": f'Bearer realm="{AUDIENCE}", scope="images:read", {METADATA}',
    }


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RequestMalformed(Reason.CREDENTIAL_REPEATED), 400, "invalid_request"),
        (CredentialRejected(Reason.EXPIRED), 401, "invalid_token"),
        (ScopeInsufficient(["images:read"]), 403, "insufficient_scope"),
        (Refused(Reason.NO_RULE), 401, "invalid_token"),
    ],
)
def test_an_error_is_named_in_the_challenge_and_in_the_body_alike(error: Refused, status: int, code: str) -> None:
    """R98, R100"""
    answered = answer(error, RESOURCE, READ)
    body, challenge = json.loads(answered.body), dict(answered.headers)["WWW-Authenticate"]
    assert (answered.status, body["error"]) == (status, code)
    scope = ', scope="images:read"' if status == 403 else ""
    description = body["error_description"]
    assert challenge == (
        f'Bearer realm="{AUDIENCE}", error="{code}", error_description="{description}"{scope}, {METADATA}'
    )


def test_of_alternatives_the_challenge_asks_for_the_first() -> None:
    requirement = Requirement(("a",), ("b", "c"))
    with_scope = answer(ScopeInsufficient(requirement.sufficient), RESOURCE, requirement)
    assert ' scope="a b"' in dict(with_scope.headers)["WWW-Authenticate"]


def test_when_nothing_is_known_of_the_keys_it_is_503_and_never_401() -> None:
    """Contract section 5"""
    answered = answer(Unavailable(Reason.KEYS_UNAVAILABLE, retry_after=7), RESOURCE, READ)
    headers = dict(answered.headers)
    assert answered.status == 503
    assert headers["Retry-After"] == "7"
    assert "WWW-Authenticate" not in headers
    assert json.loads(answered.body)["error"] == "temporarily_unavailable"


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_what_is_said_has_only_characters_that_the_rfc_allows(error: Refused | Unavailable) -> None:
    """R26, R100; RFC 6750 section 3: %x20-21 / %x23-5B / %x5D-7E"""
    for value in json.loads(answer(error, RESOURCE, READ).body).values():
        assert re.fullmatch(r"[ !#-\[\]-~]+", value)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    "identifier", ['https://a.example/"', "https://a.example\r\nSet-Cookie: a=b", 'a"b\\c', "bücher", "a\x00\x7f", ""]
)
def test_an_identifier_cannot_break_out_of_its_quotes(error: Refused | Unavailable, identifier: str) -> None:
    """R100; RFC 9110 section 5.6.4"""
    answered = answer(error, ProtectedResource(identifier, "https://auth.example.com"), READ)
    for name, value in answered.headers:
        assert (name + value).isprintable()
        assert (name + value).isascii()
    challenge = dict(answered.headers).get("WWW-Authenticate", 'Bearer realm=""')
    parameter = r'[a-z_]+="(?:[^"\\]|\\.)*"'
    assert re.fullmatch(rf"Bearer {parameter}(?:, {parameter})*", challenge)


def test_without_a_web_address_there_is_no_link_and_the_realm_is_enough() -> None:
    """RFC 6750 section 3: at least one parameter follows the scheme."""
    answered = answer(CredentialMissing(), ProtectedResource("images", "https://auth.example.com"), ANY_TOKEN)
    assert dict(answered.headers)["WWW-Authenticate"] == 'Bearer realm="images"'


# What the operator sees


def test_the_operator_reads_the_reason_and_nobody_reads_the_token(
    verifier: AccessTokenVerifier, issuer: FakeIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    token = issuer.access_token(AUDIENCE, exp=1)
    with caplog.at_level(logging.INFO, "authserver.resource"), pytest.raises(CredentialRejected):
        authenticate(verifier, ApiRequest((f"Bearer {token}",)), ANY_TOKEN)
    [record] = caplog.records
    assert record.getMessage() == "refused: expired"
    assert record.__dict__["reason"] == "expired"
    assert record.__dict__["facts"]["exp"] == 1
    assert token not in str(record.__dict__)
