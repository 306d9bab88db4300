"""Where the token of a request is, and with which scheme."""

from collections.abc import Sequence

import pytest

from authserver.errors import CredentialMissing, CredentialRejected, Reason, Refused, RequestMalformed
from authserver.resource.credential import ApiRequest, OfferedProof, presented_credential


def reason_of(*authorization: str, in_query: bool = False, in_form: bool = False) -> tuple[type[Refused], Reason]:
    with pytest.raises(Refused) as caught:
        presented_credential(ApiRequest(authorization, in_query, in_form))
    return type(caught.value), caught.value.reason


@pytest.mark.parametrize("header", ["Bearer abc", "bearer abc", "BEARER   abc", " Bearer abc ", "\tBearer abc\t"])
def test_the_scheme_has_no_case_and_spaces_around_are_not_part_of_the_token(header: str) -> None:
    """R98; RFC 9110 section 11.1"""
    assert presented_credential(ApiRequest((header,))) == ("Bearer", "abc")
    as_dpop = header.lower().replace("bearer", "dPoP")
    assert presented_credential(ApiRequest((as_dpop,))) == ("DPoP", "abc")


@pytest.mark.parametrize("headers", [(), ("",), ("Basic dXNlcjpwYXNz",), ("DPoPabc",), ("Bearerabc",), ("abc",)])
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
        ("Bearer abc", "DPoP abc"),
        ("DPoP abc, Bearer abc",),
        ("DPoP abc", "DPoP abc"),
    ],
)
def test_more_than_one_authorization_is_malformed_whether_or_not_the_server_joined_them(headers: Sequence[str]) -> None:
    """R98, attacks: two Authorization headers."""
    assert reason_of(*headers) == (RequestMalformed, Reason.CREDENTIAL_REPEATED)


def test_parameters_of_another_scheme_are_not_taken_for_credentials() -> None:
    assert reason_of('Digest username="a", realm="b", nc=00000001')[0] is CredentialMissing


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "bearer   ", "DPoP", "dpop "])
def test_the_scheme_without_a_token_is_malformed(header: str) -> None:
    assert reason_of(header) == (RequestMalformed, Reason.CREDENTIAL_MISSING)


@pytest.mark.parametrize("token", ["a b", "a,b=", "é", "a\tb", 'a"b', "=a", "a=b", "{}", "\x00", "a\r\nb"])
def test_what_is_no_b64token_is_rejected_without_a_look_at_it(token: str) -> None:
    """RFC 6750 section 2.1"""
    assert reason_of(f"Bearer {token}") == (CredentialRejected, Reason.TOKEN_MALFORMED)
    assert reason_of(f"DPoP {token}") == (CredentialRejected, Reason.TOKEN_MALFORMED)


def test_a_header_made_of_commas_is_judged_in_no_time() -> None:
    for header in ("Bearer " + ", " * 30_000, "Bearer " + "," * 60_000, "Bearer " + ",a" * 30_000 + "="):
        assert issubclass(reason_of(header)[0], Refused)


def test_a_request_does_not_print_its_token() -> None:
    assert "secret" not in repr(ApiRequest(("Bearer secret",)))


def test_a_request_does_not_print_its_proof() -> None:
    assert "secret" not in repr(ApiRequest((), proof=OfferedProof(("secret",), "GET", ())))


@pytest.mark.parametrize(
    ("headers", "scheme"),
    [
        ((), "Bearer"),
        (("",), "Bearer"),
        (("Basic abc",), "Bearer"),
        (("Bearer abc",), "Bearer"),
        (("dpop",), "DPoP"),
        ((" DPoP abc",), "DPoP"),
        (("DPoP abc", "Bearer abc"), "DPoP"),
        (("Bearer abc", "DPoP abc"), "Bearer"),
    ],
)
def test_who_tried_dpop_first_is_challenged_with_it(headers: Sequence[str], scheme: str) -> None:
    """R70; RFC 9449 section 7.2"""
    assert ApiRequest(headers).scheme == scheme
