"""What STS answers, and what is made of it: by namespace and path, or not at all."""

from collections.abc import Callable

import pytest

from authserver.errors import CredentialRejected, Reason, Unavailable
from authserver.identity.aws.request import UnverifiedSignedRequest, read_signed_request
from authserver.identity.aws.sts import COOL_DOWN, MAX_AT_ONCE, SecurityTokenService
from authserver.identity.aws_principal import Principal
from authserver.jose.fetch import Answer, Cause, unreachable
from authserver.jose.xml_text import xml_texts
from authserver.model import Subject
from authserver.testing import FrozenClock
from tests.identity.aws.signed import sign, token
from tests.identity.aws.sts import ACCOUNT, ARN, NAMESPACE, ROLE_ID, FakeSts, identity, refusal

Show = Callable[..., Subject]
Why = Callable[..., Reason]

GOOD = identity()
ANSWER = Reason.STS_ANSWER_MALFORMED
ENTITIES = '<!DOCTYPE x [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not XML",
        '{"GetCallerIdentityResponse": {}}',
        f'{{"x": "{GOOD}"}}',
        f"x{GOOD}",
        f"{GOOD}x",
        GOOD + GOOD,
        GOOD[:-30],
        f"<x>{GOOD}</x>",
        ENTITIES + GOOD,
        '<!DOCTYPE x SYSTEM "file:///etc/passwd">' + GOOD,
        GOOD.replace(ARN, "&a;"),
        GOOD.replace("<Arn>", "<!-- x --><Arn>"),
        GOOD.replace(ARN, ARN.replace("deployer", "deploy<!-- x -->er")),
        GOOD.replace("<Arn>", "<?x y?><Arn>"),
        GOOD.replace(ARN, f"{ARN}<x/>"),
        GOOD.replace(ARN, f"<x/>{ARN}"),
        identity(namespace="https://sts.amazonaws.com/doc/2011-06-15"),
        identity(namespace="urn:other"),
        GOOD.replace(f' xmlns="{NAMESPACE}"', ""),
        GOOD.replace("<Account>", '<Account xmlns="urn:other">'),
        GOOD.replace(f"<Arn>{ARN}</Arn>", ""),
        GOOD.replace(f"<Arn>{ARN}</Arn>", f"<Arn>{ARN}</Arn><Arn>{ARN}</Arn>"),
        GOOD.replace("GetCallerIdentityResult>", "Result>"),
        GOOD.replace("GetCallerIdentityResponse", "ErrorResponse"),
        GOOD.replace("<Arn>", "<a><b><c><d><e><f><g></g></f></e></d></c></b></a><Arn>"),
        identity(account="999999999999"),
        identity(account=f" {ACCOUNT}"),
        identity(user_id=ROLE_ID),
        identity(user_id=f"{ROLE_ID}:another-session"),
        identity(user_id=f"short:{ARN.rpartition('/')[2]}"),
        identity(user_id=""),
        "\ufeff\ufeff" + GOOD,
    ],
)
def test_an_answer_that_is_not_exactly_the_one_that_is_due_is_refused(
    body: str, reason: Why, clock: FrozenClock, sts: FakeSts
) -> None:
    """CVE-2020-16250: an identity was found inside another answer that a caller had made AWS give."""
    sts.said = 200, "text/xml", body
    assert reason(sign(clock())) is ANSWER


def test_an_answer_that_says_it_is_not_xml_is_refused(reason: Why, clock: FrozenClock, sts: FakeSts) -> None:
    for media_type in ("application/json", "text/html", "text/plain", ""):
        sts.said = 200, media_type, GOOD
        assert reason(sign(clock())) is ANSWER


def test_an_answer_in_another_encoding_is_refused() -> None:
    for raw in (GOOD.encode("utf-16"), GOOD.replace("deployer", "d\u00e9ployeur").encode("latin-1")):
        with pytest.raises(ValueError, match="utf-8"):
            xml_texts(raw, NAMESPACE)


@pytest.mark.parametrize("inner", ["a<b/>", "<b/>a", "<b/>a<c/>", "<b>a<c/></b>"])
def test_text_among_elements_is_refused(inner: str) -> None:
    with pytest.raises(ValueError, match="among"):
        xml_texts(f'<x xmlns="{NAMESPACE}">{inner}</x>'.encode(), NAMESPACE)


def test_a_document_with_very_many_elements_is_read_in_bounded_time() -> None:
    inner = "".join(f"<e{number}>{number}</e{number}>" for number in range(20_000))
    found = xml_texts(f'<x xmlns="{NAMESPACE}">{inner}</x>'.encode(), NAMESPACE)
    assert (len(found), found["x", "e19999"]) == (20_000, "19999")


@pytest.mark.parametrize("declared", ['<?xml version="1.0"?>\n', '<?xml version="1.0" encoding="UTF-8"?>'])
def test_a_declaration_and_more_metadata_are_no_matter(
    declared: str, show: Show, clock: FrozenClock, sts: FakeSts
) -> None:
    body = declared + GOOD.replace("</ResponseMetadata>", "<x><y/></x></ResponseMetadata>")
    sts.said = 200, "text/xml;charset=UTF-8", body
    assert show(sign(clock())).attributes["role"] == ("deployer",)


@pytest.mark.parametrize(
    ("arn", "user_id"),
    [
        (f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT),
        (f"arn:aws:sts::{ACCOUNT}:federated-user/bob", f"{ACCOUNT}:bob"),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer", ROLE_ID),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/a/b/c", f"{ROLE_ID}:c"),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy er/x", f"{ROLE_ID}:x"),
        (f"arn:other:sts::{ACCOUNT}:assumed-role/deployer/x", f"{ROLE_ID}:x"),
        ("", ""),
    ],
)
def test_who_is_neither_a_role_nor_a_user_is_no_caller(
    arn: str, user_id: str, reason: Why, clock: FrozenClock, sts: FakeSts
) -> None:
    sts.said = 200, "text/xml", identity(arn, user_id)
    assert reason(sign(clock())) is Reason.PRINCIPAL_UNSUPPORTED


def test_a_user_is_known_by_its_arn(show: Show, clock: FrozenClock, sts: FakeSts) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:user/ops/alice"
    sts.said = 200, "text/xml", identity(arn, "AIDAEXAMPLEUSERID0001")
    subject = show(sign(clock()))
    assert (subject.subject, subject.attributes) == (arn, {"account": (ACCOUNT,), "arn": (arn,)})


def test_a_role_has_one_name_in_every_partition_and_with_every_path() -> None:
    for partition in ("aws", "aws-cn", "aws-us-gov", "aws-eusc"):
        name = f"arn:{partition}:sts::{ACCOUNT}:assumed-role/deployer"
        for arn in (f"{name}/session", f"arn:{partition}:iam::{ACCOUNT}:role/a/b/deployer"):
            assert Principal.of(arn).subject == name


def test_a_name_that_is_very_long_is_refused_in_bounded_time() -> None:
    for arn in (f"arn:aws:iam::{ACCOUNT}:role/" + "a/" * 100_000, f"arn:aws:iam::{ACCOUNT}:role/" + "a" * 100_000):
        with pytest.raises(CredentialRejected):
            Principal.of(arn)


@pytest.mark.parametrize(
    "code", ["SignatureDoesNotMatch", "InvalidClientTokenId", "ExpiredToken", "AccessDenied", "x<y"]
)
def test_what_aws_refuses_is_refused_and_its_code_is_told_to_the_operator(
    code: str, show: Show, clock: FrozenClock, sts: FakeSts
) -> None:
    sts.said = 403, "text/xml", refusal(code)
    with pytest.raises(CredentialRejected) as refused:
        show(sign(clock()))
    assert refused.value.reason is Reason.STS_REFUSED
    assert refused.value.source == "here"
    assert refused.value.facts["sts_code"] == (code if code.isalpha() else "")


@pytest.mark.parametrize(
    "said",
    [
        (500, "text/xml", ""),
        (503, "text/xml", refusal("ServiceUnavailable")),
        (429, "text/xml", ""),
        (400, "text/xml", refusal("Throttling")),
        (301, "text/xml", GOOD),
        (307, "text/xml", GOOD),
        (200, "text/xml", GOOD + " " * 20_000),
    ],
    ids=lambda said: str(said[0]),
)
def test_aws_that_is_away_is_no_refusal(
    said: tuple[int, str, str], show: Show, clock: FrozenClock, sts: FakeSts
) -> None:
    """503 with Retry-After; a redirect is not followed; no answer is read that is too long to be one."""
    sts.said, sts.location = said, "https://attacker.example.com/"
    with pytest.raises(Unavailable) as away:
        show(sign(clock()))
    assert away.value.reason is Reason.ISSUER_UNREACHABLE
    assert len(sts.hosts) == 1


def unverified(now: float, host: str) -> UnverifiedSignedRequest:
    return read_signed_request(token(sign(now, host=host)))


def test_an_endpoint_that_is_away_is_left_alone_for_a_while_and_others_are_not(clock: FrozenClock) -> None:
    asked: list[str] = []
    away = {"one"}

    def forward(request: UnverifiedSignedRequest) -> Answer:
        asked.append(request.host)
        if request.host in away:
            raise unreachable(Cause.TIMED_OUT, host=request.host)
        return Answer(200, "text/xml", GOOD.encode())

    service, now = SecurityTokenService(forward), clock()
    for _ in range(5):
        with pytest.raises(Unavailable) as unavailable:
            service.ask(unverified(now, "one"), now)
    assert asked == ["one"] * 3
    assert unavailable.value.retry_after == COOL_DOWN
    assert service.ask(unverified(now, "two"), now)
    with pytest.raises(Unavailable):
        service.ask(unverified(now, "one"), now - 3600)
    assert asked == ["one"] * 3 + ["two", "one"]  # a clock that was set back closes nothing for an hour
    away.clear()
    assert service.ask(unverified(now, "one"), now + COOL_DOWN)
    assert service.ask(unverified(now, "one"), now + COOL_DOWN)


def test_only_failures_in_a_row_close_an_endpoint(clock: FrozenClock) -> None:
    """One that refuses a request is there."""
    answers = [Answer(503, "", b""), Answer(503, "", b""), Answer(403, "", b"")] * 3
    service = SecurityTokenService(lambda _: answers.pop())
    for _ in range(9):
        with pytest.raises((CredentialRejected, Unavailable)):
            service.ask(unverified(clock(), "one"), clock())
    assert answers == []


def test_what_callers_send_never_closes_an_endpoint(clock: FrozenClock) -> None:
    service = SecurityTokenService(lambda _: Answer(403, "text/xml", refusal("SignatureDoesNotMatch").encode()))
    for _ in range(10):
        with pytest.raises(CredentialRejected):
            service.ask(unverified(clock(), "one"), clock())


@pytest.mark.parametrize(("status", "body"), [(400, refusal("Throttling").encode()), (429, b"")])
def test_an_account_that_aws_throttles_closes_no_endpoint_for_others(
    status: int, body: bytes, clock: FrozenClock
) -> None:
    """Anybody has an account, and can have it throttled."""
    answers = [Answer(200, "text/xml", GOOD.encode()), *[Answer(status, "text/xml", body)] * 5]
    service = SecurityTokenService(lambda _: answers.pop())
    for _ in range(5):
        with pytest.raises(Unavailable):
            service.ask(unverified(clock(), "one"), clock())
    assert service.ask(unverified(clock(), "one"), clock())


def test_only_so_many_wait_for_aws_at_a_time(clock: FrozenClock) -> None:
    depth: list[int] = []

    def forward(request: UnverifiedSignedRequest) -> Answer:
        depth.append(1)
        with pytest.raises(Unavailable) as unavailable:
            service.ask(request, clock())
        if len(depth) == MAX_AT_ONCE:
            assert unavailable.value.facts["cause"] == "busy"
        raise unavailable.value

    service = SecurityTokenService(forward)
    with pytest.raises(Unavailable):
        service.ask(unverified(clock(), "one"), clock())
    assert len(depth) == MAX_AT_ONCE
