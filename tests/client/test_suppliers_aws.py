"""AWS as a program there meets it: functions, containers, web identities and instances, over real HTTP."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from authserver.client.failures import AnswerUnusable, CallFailed, IdentityUnusable, NoAnswer
from authserver.client.suppliers.aws import AwsSupplier
from authserver.identity.aws.request import read_signed_request
from authserver.oauth import Grant, TokenType
from tests.client.aws import CONTAINER_TOKEN, METADATA_TOKEN, REGION, Aws, result
from tests.client.identities import NOW, asked_of_the_system, identity, surroundings
from tests.identity.aws.sts import KEY, refusal

AUDIENCE = "https://auth.example.com"
SIGNED = {"AUTHSERVER_AWS_PROOF": "signed-request"}
KEYS = {
    "AWS_ACCESS_KEY_ID": KEY.access_key_id,
    "AWS_SECRET_ACCESS_KEY": KEY.secret_access_key,
    "AWS_SESSION_TOKEN": KEY.session_token or "",
}
FUNCTION = {**KEYS, "AWS_LAMBDA_FUNCTION_NAME": "thumbnailer", "AWS_REGION": REGION}
PROFILE = "/latest/meta-data/iam/security-credentials/"


@pytest.fixture
def aws() -> Iterator[Aws]:
    with Aws() as aws:
        yield aws


@pytest.fixture
def places(aws: Aws, tmp_path: Path) -> dict[str, dict[str, str]]:
    """The environments of each kind of place."""
    web, container = tmp_path / "web", tmp_path / "container"
    web.write_text(identity(sub="a pod"), "ascii")
    container.write_text(CONTAINER_TOKEN + "\n", "ascii")
    common = {"AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL_STS": aws.url}
    url = f"{aws.url}/v2/credentials/1"
    return {
        "function": {**common, **FUNCTION},
        "keys": {**common, **KEYS, "AUTHSERVER_PLATFORM": "aws"},
        "web identity": {
            **common,
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(web),
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/deployer",
        },
        "container": {
            **common,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": url,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": CONTAINER_TOKEN,
        },
        "pod": {
            **common,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": url,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(container),
        },
        "instance": {
            "AUTHSERVER_PLATFORM": "aws",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": aws.url,
            "AWS_ENDPOINT_URL_STS": aws.url,
        },
    }


PLACES = ["function", "keys", "web identity", "container", "pod", "instance"]


def supplier(home: Path, environ: Mapping[str, str]) -> AwsSupplier:
    return AwsSupplier(surroundings(home, environ, audience=AUDIENCE))


@pytest.mark.parametrize("place", PLACES)
def test_in_every_place_an_identity_token_is_asked_for(
    place: str, places: dict[str, dict[str, str]], aws: Aws, home: Path
) -> None:
    here = supplier(home, places[place])
    with asked_of_the_system() as events:
        assert here.present()
        here.check(NOW)
    assert (events, aws.asked) == ([], [])
    offer = here.offer(NOW)
    assert offer.grant is Grant.TOKEN_EXCHANGE
    assert offer.parameters == {
        "subject_token": identity(aud=AUDIENCE),
        "subject_token_type": TokenType.JWT.value,
    }
    assert aws.forms[-1] == {
        "Action": "GetWebIdentityToken",
        "Version": "2011-06-15",
        "Audience.member.1": AUDIENCE,
        "SigningAlgorithm": "ES384",
        "DurationSeconds": "300",
    }


@pytest.mark.parametrize("place", PLACES)
def test_in_every_place_a_request_is_signed_where_that_is_what_is_wanted(
    place: str, places: dict[str, dict[str, str]], aws: Aws, home: Path
) -> None:
    offer = supplier(home, {**places[place], **SIGNED}).offer(NOW)
    assert offer.parameters["subject_token_type"] == "urn:ietf:params:aws:token-type:aws4_request"
    request = read_signed_request(offer.parameters["subject_token"])
    assert (request.host, request.unverified_audience) == (f"sts.{REGION}.amazonaws.com", AUDIENCE)
    assert (request.audience_is_signed, request.signed_at) == (True, NOW)
    assert "GetWebIdentityToken" not in [form["Action"] for form in aws.forms]


def test_two_requests_of_one_second_are_not_the_same_one(home: Path) -> None:
    """The server takes each signature once, and the programs of a machine sign with one key."""
    here = supplier(home, {**FUNCTION, **SIGNED})
    tokens = [here.offer(NOW).parameters["subject_token"] for _ in range(2)]
    assert len({read_signed_request(each).signature for each in tokens}) == 2


@pytest.mark.parametrize(
    ("region", "fips", "host"),
    [
        ("us-east-1", "", "sts.us-east-1.amazonaws.com"),
        ("us-west-2", "true", "sts-fips.us-west-2.amazonaws.com"),
        ("us-gov-west-1", "", "sts.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "", "sts.cn-north-1.amazonaws.com.cn"),
        ("eusc-de-east-1", "", "sts.eusc-de-east-1.amazonaws.eu"),
    ],
)
def test_the_host_is_that_of_the_region(region: str, fips: str, host: str, home: Path) -> None:
    environ = {**FUNCTION, **SIGNED, "AWS_REGION": region, "AWS_USE_FIPS_ENDPOINT": fips}
    shown = json.loads(unquote(supplier(home, environ).offer(NOW).parameters["subject_token"]))
    assert shown["url"] == f"https://{host}/?Action=GetCallerIdentity&Version=2011-06-15"


def test_long_lived_keys_have_no_session_token(home: Path) -> None:
    environ = {name: value for name, value in {**FUNCTION, **SIGNED}.items() if name != "AWS_SESSION_TOKEN"}
    request = read_signed_request(supplier(home, environ).offer(NOW).parameters["subject_token"])
    assert "x-amz-security-token" not in request.headers


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "AUTHSERVER_PLATFORM is not set"),
        (KEYS, "AUTHSERVER_PLATFORM is not set"),
        ({"AWS_REGION": REGION, "AWS_PROFILE": "x"}, "AUTHSERVER_PLATFORM is not set"),
        ({**FUNCTION, "AUTHSERVER_PLATFORM": "google"}, "AUTHSERVER_PLATFORM is not aws"),
        ({**FUNCTION, "CI": "true"}, "this is a job"),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/x", "CI": "true"}, "this is a job"),
    ],
    ids=["nothing", "keys", "region", "another", "job", "job with a role"],
)
def test_what_is_there_for_other_reasons_is_no_marker(environ: Mapping[str, str], said: str, home: Path) -> None:
    """Keys of AWS are in the environments of developers and jobs, and not for us."""
    assert said in str(supplier(home, environ).absence())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"AWS_REGION": ""}, "neither AWS_REGION nor AWS_DEFAULT_REGION"),
        ({"AWS_REGION": "attacker.example.com/"}, "does not hold the name of a region"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "AWS_SECRET_ACCESS_KEY is empty or not set"),
        ({"AWS_ACCESS_KEY_ID": "a\r\nb"}, "AWS_ACCESS_KEY_ID .* has characters"),
        ({"AWS_SESSION_TOKEN": "a-session-token\n"}, "AWS_SESSION_TOKEN .* has characters"),
        ({"AUTHSERVER_AWS_PROOF": "x"}, "AUTHSERVER_AWS_PROOF must be token or signed-request"),
        ({"AWS_ENDPOINT_URL_STS": "file:///etc/passwd"}, "AWS_ENDPOINT_URL_STS is not an address"),
    ],
    ids=str,
)
def test_what_lacks_half_is_broken_before_anything_is_sent(changes: Mapping[str, str], said: str, home: Path) -> None:
    here = supplier(home, {**FUNCTION, **changes})
    assert here.present()
    for ask in (here.check, here.offer):
        with pytest.raises(IdentityUnusable, match=said):
            ask(NOW)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "@attacker.example.com/"}, "is no path"),
        ({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/a b"}, "is not an address"),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "gopher://x"}, "is not an address"),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/x"}, "AWS_ROLE_ARN is empty or not set"),
    ],
    ids=str,
)
def test_a_place_that_is_none_is_broken(changes: Mapping[str, str], said: str, home: Path) -> None:
    with pytest.raises(IdentityUnusable, match=said):
        supplier(home, {"AWS_REGION": REGION, **changes}).check(NOW)


def test_credentials_of_a_container_come_in_the_clear_from_beside_it_only(home: Path) -> None:
    environ = {"AWS_REGION": REGION, "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://192.0.2.1/"}
    with pytest.raises(AnswerUnusable, match="without TLS"):
        supplier(home, environ).offer(NOW)


@pytest.mark.parametrize(
    ("place", "path", "said", "kind"),
    [
        ("instance", "/latest/api/token", (403, ""), IdentityUnusable),
        ("instance", "/latest/api/token", (200, "<html> </html>"), AnswerUnusable),
        ("instance", PROFILE, (404, ""), IdentityUnusable),
        ("instance", PROFILE, (200, "../../x y"), IdentityUnusable),
        ("instance", PROFILE + "deployer", (200, "{}"), AnswerUnusable),
        ("instance", "/latest/meta-data/placement/region", (200, "attacker.example.com/"), IdentityUnusable),
        ("container", "/v2/credentials/1", (500, ""), NoAnswer),
        ("container", "/v2/credentials/1", (200, '{"AccessKeyId": "a", "SecretAccessKey": 7}'), AnswerUnusable),
        ("function", "/", (403, refusal("AccessDenied")), IdentityUnusable),
        ("function", "/", (403, "not XML"), IdentityUnusable),
        ("function", "/", (400, refusal("Throttling")), NoAnswer),
        ("function", "/", (503, ""), NoAnswer),
        ("function", "/", (307, ""), IdentityUnusable),
        ("function", "/", (200, "not XML"), AnswerUnusable),
        ("function", "/", (200, result("GetWebIdentityToken", "<Other>x</Other>")), AnswerUnusable),
        (
            "function",
            "/",
            (200, result("GetWebIdentityToken", "<WebIdentityToken>x</WebIdentityToken>")),
            IdentityUnusable,
        ),
        ("web identity", "/", (403, refusal("AccessDenied")), IdentityUnusable),
    ],
)
def test_what_goes_wrong_is_told_apart(
    place: str,
    path: str,
    said: tuple[int, Any],
    kind: type[CallFailed],
    places: dict[str, dict[str, str]],
    aws: Aws,
    home: Path,
) -> None:
    aws.said[path] = said
    with pytest.raises(kind) as failed:
        supplier(home, places[place]).offer(NOW)
    assert type(failed.value) is kind
    for secret in (KEY.secret_access_key, KEY.session_token or "", METADATA_TOKEN, CONTAINER_TOKEN):
        assert secret not in str(failed.value)


def test_a_permission_that_is_missing_is_told_with_the_way_out_and_no_other_proof_is_tried(
    places: dict[str, dict[str, str]], aws: Aws, home: Path
) -> None:
    aws.said["/"] = 403, refusal("OutboundWebIdentityFederationDisabledException")
    with pytest.raises(IdentityUnusable, match=r"OutboundWebIdentityFederationDisabled.*signed-request"):
        supplier(home, places["function"]).offer(NOW)
    assert aws.asked == ["POST /"]


@pytest.mark.parametrize("file", ["absent", "binary"])
def test_a_token_of_the_container_that_cannot_be_read_is_told(
    file: str, places: dict[str, dict[str, str]], aws: Aws, tmp_path: Path, home: Path
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    environ = {**places["pod"], "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / file)}
    with pytest.raises(IdentityUnusable, match="cannot be read"):
        supplier(home, environ).offer(NOW)
    with pytest.raises(IdentityUnusable, match="characters"):
        supplier(home, {**places["container"], "AWS_CONTAINER_AUTHORIZATION_TOKEN": "a\r\nb"}).offer(NOW)
    assert aws.asked == []
