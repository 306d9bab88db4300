"""Signed requests to STS GetCallerIdentity: the one that may be signed, and everything that is almost it."""

import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from authserver.errors import CredentialRejected, Reason
from authserver.identity.authenticate import Identity
from authserver.identity.aws.request import read_signed_request
from authserver.model import Credential, Subject
from authserver.testing import FrozenClock
from tests.identity.aws.signed import AUDIENCE, HOST, NAME, QUERY, replaced, sign, token, with_headers
from tests.identity.aws.sts import ACCOUNT, ARN, ROLE_ID, FakeSts
from tests.identity.conftest import SKEW, Remembered

Show = Callable[..., Subject]
Why = Callable[..., Reason]

MALFORMED, UNSIGNED = Reason.SIGNED_REQUEST_MALFORMED, Reason.SIGNED_HEADER_MISSING


def test_who_signed_is_a_role_in_an_account_whatever_its_session(show: Show, clock: FrozenClock, sts: FakeSts) -> None:
    subject = show(sign(clock()))
    assert subject.sub == f"here:arn:aws:sts::{ACCOUNT}:assumed-role/deployer"
    assert subject.attributes == {
        "account": (ACCOUNT,),
        "role": ("deployer",),
        "role_id": (ROLE_ID,),
        "arn": (f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer", ARN),
    }
    assert sts.hosts == [HOST]


@pytest.mark.parametrize("encode", [quote, quote_plus], ids=["percent", "plus"])
@pytest.mark.parametrize("url", [f"https://{HOST}?{QUERY}", f"https://{HOST}/?{QUERY}"])
def test_every_spelling_of_googles_libraries_is_read(
    encode: Callable[[str], str], url: str, show: Show, clock: FrozenClock
) -> None:
    """Python encodes a space as %20 and Go and Java as +; some leave out the path, and some write names in capitals."""
    request = with_headers(
        {**sign(clock()), "url": url}, lambda pairs: [(name.title(), value) for name, value in pairs]
    )
    assert show(token(request, encode)).source == "here"


@pytest.mark.parametrize("name", ["host", NAME])
def test_a_header_that_is_relied_on_and_not_signed_is_refused(
    name: str, reason: Why, clock: FrozenClock, sts: FakeSts
) -> None:
    """CVE-2026-71861, CVE-2020-16250: what names us and where it goes was read and not covered by the signature."""
    assert reason(sign(clock(), unsigned=[name])) is UNSIGNED
    assert sts.hosts == []


@pytest.mark.parametrize("name", ["host", NAME, "x-amz-date", "x-amz-security-token"])
def test_a_name_dropped_from_signed_headers_is_refused_before_aws_is_asked(
    name: str, reason: Why, clock: FrozenClock, sts: FakeSts
) -> None:
    """CVE-2026-71861"""
    kept = ";".join(sorted({"host", NAME, "x-amz-date", "x-amz-security-token"} - {name}))
    everything = ";".join(sorted(("host", NAME, "x-amz-date", "x-amz-security-token")))
    assert reason(replaced(sign(clock()), "authorization", lambda value: value.replace(everything, kept))) is UNSIGNED
    assert sts.hosts == []


@pytest.mark.parametrize("name", ["host", NAME, "x-amz-date", "authorization"])
def test_a_header_that_is_not_there_at_all_is_refused(name: str, reason: Why, clock: FrozenClock) -> None:
    def without(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return [pair for pair in pairs if pair[0] != name]

    assert reason(with_headers(sign(clock()), without)) is MALFORMED


def test_a_nonce_tells_two_requests_of_one_second_apart_and_must_be_signed(
    show: Show, reason: Why, clock: FrozenClock, sts: FakeSts
) -> None:
    more = ("x-authserver-nonce", "a")
    ids = {show(sign(clock(), more=each)).credential_id for each in ((), [more], [(more[0], "b")])}
    assert len(ids) == 3
    asked = len(sts.hosts)
    assert reason(sign(clock(), more=[more], unsigned=[more[0]])) is UNSIGNED
    assert reason(with_headers(sign(clock()), lambda pairs: [*pairs, more])) is UNSIGNED
    assert len(sts.hosts) == asked
    assert reason(replaced(sign(clock(), more=[more]), more[0], lambda _: "b")) is Reason.STS_REFUSED


def test_a_session_token_that_was_signed_and_left_out_is_refused(reason: Why, clock: FrozenClock) -> None:
    request = with_headers(sign(clock()), lambda pairs: [pair for pair in pairs if pair[0] != "x-amz-security-token"])
    assert reason(request) is MALFORMED


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", HOST),
        ("Host", "sts.us-east-1.amazonaws.com"),
        (NAME, AUDIENCE),  # as Google's library for Java has it
        (NAME.upper(), "https://other.example.com"),
        ("X-Amz-Date", "20010909T014640Z"),
        ("accept", "application/json"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("x-amz-target", "Something"),
        ("content-length", "10"),
        ("transfer-encoding", "chunked"),
        ("ho\u017ft", HOST),
        ("host ", HOST),
        ("", ""),
    ],
)
def test_a_header_twice_or_one_that_does_not_belong_there_is_refused(
    name: str, value: str, reason: Why, clock: FrozenClock, sts: FakeSts
) -> None:
    assert reason(with_headers(sign(clock()), lambda pairs: [*pairs, (name, value)])) is MALFORMED
    assert sts.hosts == []


@pytest.mark.parametrize(
    "listed",
    [
        None,
        "host",
        {"host": HOST},
        ["host"],
    ],
)
def test_headers_in_another_form_are_refused(listed: Any, reason: Why, clock: FrozenClock) -> None:
    assert reason({**sign(clock()), "headers": listed}) is MALFORMED


@pytest.mark.parametrize(
    "entry",
    [
        {"key": "host"},
        {"key": "host", "value": 7},
        {"key": 7, "value": HOST},
        {"key": "host", "value": HOST, "more": ""},
        ["host", HOST],
        "host",
        None,
    ],
)
def test_a_header_in_another_form_is_refused(entry: Any, reason: Why, clock: FrozenClock, sts: FakeSts) -> None:
    signed = sign(clock())
    others = [each for each in signed["headers"] if each["key"] != "host"]
    for listed in ([entry, *others], [*signed["headers"], entry]):
        assert reason({**signed, "headers": listed}) is MALFORMED
    assert sts.hosts == []


@pytest.mark.parametrize("value", ["", " x", "x ", "a\r\nb: c", "a\nb", "a\tb", "a\0b", "a  b", "\u00e4"])
def test_a_value_that_is_not_plain_is_refused(value: str, reason: Why, clock: FrozenClock, sts: FakeSts) -> None:
    for name in ("x-amz-security-token", NAME):
        assert reason(replaced(sign(clock()), name, lambda _: value)) is MALFORMED
    assert sts.hosts == []


@pytest.mark.parametrize(
    "host",
    [
        "sts.us-east-1.amazonaws.com",
        "sts.amazonaws.com",
        "sts-fips.eu-central-1.amazonaws.com",
        "iam.amazonaws.com",
        "attacker.example.com",
        "127.0.0.1",
        "169.254.169.254",
        f"{HOST}.",
        f"{HOST}.attacker.example.com",
        f"{HOST}:443",
        HOST.upper(),
        f"{HOST}@attacker.example.com",
        "sts.eu-central-1.amazonaws.com.cn",
    ],
)
def test_a_host_that_is_not_listed_is_refused(host: str, reason: Why, clock: FrozenClock, sts: FakeSts) -> None:
    assert reason(sign(clock(), host=host)) is Reason.STS_HOST_NOT_ALLOWED
    assert sts.hosts == []


@pytest.mark.parametrize(
    "url",
    [
        f"http://{HOST}/?{QUERY}",
        f"HTTPS://{HOST}/?{QUERY}",
        f"https://attacker.example.com/?{QUERY}",
        f"https://{HOST}:443/?{QUERY}",
        f"https://user@{HOST}/?{QUERY}",
        f"https://{HOST}@attacker.example.com/?{QUERY}",
        f"https://{HOST}\\@attacker.example.com/?{QUERY}",
        f"https://{HOST}//?{QUERY}",
        f"https://{HOST}/x/../?{QUERY}",
        f"https://{HOST}/%2e/?{QUERY}",
        f"https://{HOST}/?{QUERY}#",
        f"https://{HOST}/?{QUERY}&",
        f"https://{HOST}/?{QUERY}&Action=AssumeRole",
        f"https://{HOST}/?{QUERY}&action=AssumeRole",
        f"https://{HOST}/?Action=AssumeRole&{QUERY}",
        f"https://{HOST}/?Version=2011-06-15&Action=GetCallerIdentity",
        f"https://{HOST}/?Action=GetCallerIdentity",
        f"https://{HOST}/?Action=getcalleridentity&Version=2011-06-15",
        f"https://{HOST}/?Action=Get%43allerIdentity&Version=2011-06-15",
        f"https://{HOST}/?Action=AssumeRole&Version=2011-06-15",
        f"https://{HOST}/?{QUERY}%26x=y",
        f" https://{HOST}/?{QUERY}",
        f"https://{HOST}/?{QUERY}\n",
        f"https://{HOST}",
        "",
        None,
        7,
    ],
)
def test_another_address_is_refused_however_it_is_spelled(
    url: Any, reason: Why, clock: FrozenClock, sts: FakeSts
) -> None:
    """CVE-2020-16250; CVE-2022-2385, where a parameter twice in two cases got past the list of parameters."""
    assert reason({**sign(clock()), "url": url}) is MALFORMED
    assert sts.hosts == []


def test_another_method_or_anything_more_is_refused(reason: Why, clock: FrozenClock, sts: FakeSts) -> None:
    for method in ("GET", "post", "PUT", "POST ", "", None):
        assert reason({**sign(clock()), "method": method}) is MALFORMED
    assert reason(sign(clock(), method="GET")) is MALFORMED
    for more in ({"body": ""}, {"body": "Action=AssumeRole"}, {"data": "x"}, {"Url": "x"}):
        assert reason({**sign(clock()), **more}) is MALFORMED
    for name in ("url", "method", "headers"):
        assert reason({key: value for key, value in sign(clock()).items() if key != name}) is MALFORMED
    assert sts.hosts == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
        ("AWS4-HMAC-SHA256 ", "aws4-hmac-sha256 "),
        ("/sts/", "/iam/"),
        ("/aws4_request", "/aws4_request/x"),
        ("Signature=", "signature="),
        ("SignedHeaders=host;", "SignedHeaders=Host;"),
        ("SignedHeaders=host;", "SignedHeaders=host;host;"),
        ("SignedHeaders=host;x-amz-date;", "SignedHeaders=x-amz-date;host;"),
        ("SignedHeaders=host;", "SignedHeaders=accept;host;"),
        ("SignedHeaders=host;", "SignedHeaders=;host;"),
        (", SignedHeaders", ",SignedHeaders"),
        ("Credential=", "Credential=A/"),
        ("/20", "/19"),
    ],
)
def test_an_authorization_in_another_form_is_refused(
    old: str, new: str, reason: Why, clock: FrozenClock, sts: FakeSts
) -> None:
    request = replaced(sign(clock()), "authorization", lambda value: value.replace(old, new, 1))
    assert request != sign(clock())
    assert reason(request) is MALFORMED
    assert sts.hosts == []


def test_a_signature_in_capitals_or_cut_short_is_refused(reason: Why, clock: FrozenClock, sts: FakeSts) -> None:
    """One spelling for each, so that a request that was used is known again."""

    def capitals(value: str) -> str:
        return value[:-64] + value[-64:].upper()

    for change in (capitals, lambda value: value[:-1], lambda value: value + "0", lambda value: value + ", x=y"):
        assert reason(replaced(sign(clock()), "authorization", change)) is MALFORMED
    assert sts.hosts == []


@pytest.mark.parametrize(
    "shown",
    [
        "%7B%7D%00",
        "%7",
        "%zz",
        "%ff",
        "%257B%2522url%2522%253A7%257D",
        "%5B%5D",
        "%7B%22a%22%3A1%2C%22a%22%3A2%7D",
        "%7B%22headers%22%3ANaN%7D",
    ],
)
def test_what_is_not_one_json_object_in_percent_encoding_is_refused(shown: str, reason: Why) -> None:
    assert reason(shown) is MALFORMED


def test_a_request_that_is_not_encoded_or_too_large_is_refused(
    identity: Callable[..., Identity], clock: FrozenClock
) -> None:
    for shown, why in (('{"url":7}', MALFORMED), ("a" * 16_385, Reason.TOKEN_TOO_LARGE), ("", MALFORMED)):
        with pytest.raises(CredentialRejected) as refused:
            identity().authenticate(Credential(shown, is_signed_request=True), clock())
        assert refused.value.reason is why


def test_the_edges_of_freshness_are_exact(reason: Why, show: Show, clock: FrozenClock, sts: FakeSts) -> None:
    """Five minutes, and no leeway on top: AWS itself takes fifteen."""
    now = int(clock())
    for good in (now - 300, now, now + 30):
        show(sign(good))
    asked = len(sts.hosts)
    assert reason(sign(now - 301)) is Reason.TOO_OLD
    assert reason(sign(now + 31)) is Reason.ISSUED_IN_FUTURE
    assert reason(sign(now - 86_400)) is Reason.TOO_OLD
    assert len(sts.hosts) == asked


@pytest.mark.parametrize(
    "instant", ["20010909T014640", "2001-09-09T01:46:40Z", "20010909T256199Z", "Sun, 09 Sep 2001 01:46:40 GMT"]
)
def test_a_date_that_is_none_is_refused(instant: str, reason: Why, clock: FrozenClock) -> None:
    day = instant[:8]
    request = replaced(sign(clock()), "x-amz-date", lambda _: instant)
    request = replaced(request, "authorization", lambda value: value.replace("/" + value.split("/")[1], "/" + day, 1))
    assert reason(request) is MALFORMED


def test_a_request_is_good_once(identity: Callable[..., Identity], clock: FrozenClock) -> None:
    here = identity()
    shown = sign(clock())
    here.spend(here.authenticate(Credential(token(shown), is_signed_request=True), clock()), clock())
    for spelling in (token(shown), token(shown, quote_plus), token({**shown, "url": f"https://{HOST}?{QUERY}"})):
        again = here.authenticate(Credential(spelling, is_signed_request=True), clock())
        with pytest.raises(CredentialRejected) as refused:
            here.spend(again, clock())
        assert refused.value.reason is Reason.USED_TWICE
    here.spend(here.authenticate(Credential(token(sign(clock() - 1)), is_signed_request=True), clock()), clock())


def test_it_is_remembered_for_as_long_as_it_would_be_accepted(show: Show, clock: FrozenClock) -> None:
    """Also by a node whose clock is behind."""
    for signed_at in (clock() - 300, clock(), clock() + 30):
        until = show(sign(signed_at)).single_use_until
        assert until is not None
        assert until > int(signed_at) + 300 + SKEW


def test_what_is_over_by_the_time_that_aws_has_answered_is_good_for_nothing(
    identity: Callable[..., Identity], clock: FrozenClock
) -> None:
    """Nothing is remembered that is over, so of two that waited for AWS both would be the first."""
    here = identity()
    subject = here.authenticate(Credential(token(sign(clock() - 300)), is_signed_request=True), clock())
    with pytest.raises(CredentialRejected) as refused:
        here.spend(subject, clock() + SKEW + 2)
    assert refused.value.reason is Reason.EXPIRED


def test_of_fifty_at_once_one_is_accepted(identity: Callable[..., Identity], clock: FrozenClock) -> None:
    here, shown, won = identity(), token(sign(clock())), []
    subject = here.authenticate(Credential(shown, is_signed_request=True), clock())

    def spend() -> None:
        try:
            here.spend(subject, clock())
        except CredentialRejected:
            return
        won.append(1)

    threads = [threading.Thread(target=spend) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [1]


def test_a_request_for_somebody_else_is_refused(reason: Why, clock: FrozenClock, sts: FakeSts) -> None:
    """One that was signed for another server must not do here."""
    for audience in ("https://other.example.com", AUDIENCE + "/", AUDIENCE.upper(), "//iam.googleapis.com/projects/1"):
        assert reason(sign(clock(), audience=audience)) is Reason.AUDIENCE_WRONG
    assert sts.hosts == []


def test_an_audience_that_was_changed_after_signing_is_refused_by_aws(reason: Why, clock: FrozenClock) -> None:
    request = sign(clock(), audience="https://other.example.com")
    assert reason(replaced(request, NAME, lambda _: AUDIENCE)) is Reason.STS_REFUSED


def test_an_unsigned_audience_is_read_where_the_operator_says_so_and_nothing_else_may_be_unsigned(
    reason: Why, show: Show, clock: FrozenClock
) -> None:
    """google-auth for Python and Node sends the header and does not sign it."""
    assert show(sign(clock(), unsigned=[NAME]), unsigned_audience=True).source == "here"
    assert reason(sign(clock(), unsigned=["host"]), unsigned_audience=True) is UNSIGNED
    other = sign(clock(), unsigned=[NAME], audience="https://other.example.com")
    assert reason(other, unsigned_audience=True) is Reason.AUDIENCE_WRONG


def test_a_server_without_such_a_source_takes_none(clock: FrozenClock) -> None:
    with pytest.raises(CredentialRejected) as refused:
        Identity((), Remembered()).authenticate(Credential(token(sign(clock())), is_signed_request=True), clock())
    assert refused.value.reason is Reason.AUDIENCE_WRONG


def test_an_account_that_is_not_listed_is_refused(reason: Why, clock: FrozenClock) -> None:
    assert reason(sign(clock()), accounts=["999999999999"]) is Reason.ACCOUNT_NOT_ALLOWED


def test_nothing_of_a_request_is_shown(clock: FrozenClock) -> None:
    shown = repr(read_signed_request(token(sign(clock()))))
    assert "AWS4" not in shown
    assert "a-session-token" not in shown
