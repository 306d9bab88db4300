"""AWS, by the identity token of GetWebIdentityToken."""

from collections.abc import Callable
from typing import Any

import pytest

from authserver.errors import CredentialRejected, Reason
from authserver.identity.sources.aws import AwsTable
from authserver.model import Subject
from authserver.testing import FakeIssuer
from authserver.testing.claims import aws_claims
from tests.identity.conftest import AUDIENCE

ACCOUNT = "123456789012"
SUBJECT = f"arn:aws:sts::{ACCOUNT}:assumed-role/DataProcessingRole"
NAMESPACE = "https://sts.amazonaws.com/"
Authenticate = Callable[..., Subject]


def test_the_sample_of_the_documentation_is_the_role_in_its_account(
    issuer: FakeIssuer, authenticate: Authenticate
) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_outbound_token_claims.html"""
    sub = f"arn:aws:iam::{ACCOUNT}:role/DataProcessingRole"
    subject = authenticate("aws", issuer.token(aws_claims(sub, AUDIENCE)))
    assert subject.subject == SUBJECT
    assert subject.attributes == {"account": (ACCOUNT,), "role": ("DataProcessingRole",), "arn": (SUBJECT, sub)}


def test_a_path_does_not_make_it_another_caller(issuer: FakeIssuer, authenticate: Authenticate) -> None:
    """The name of a role is unique in its account whatever its path, which a signed request does not tell."""
    sub = f"arn:aws:iam::{ACCOUNT}:role/service-role/x/DataProcessingRole"
    subject = authenticate("aws", issuer.aws_token(sub, AUDIENCE))
    assert (subject.subject, subject.attributes["arn"]) == (SUBJECT, (SUBJECT, sub))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sub": f"arn:aws:iam::{ACCOUNT}:root"}, Reason.PRINCIPAL_UNSUPPORTED),
        ({"sub": "DataProcessingRole"}, Reason.PRINCIPAL_UNSUPPORTED),
        ({"sub": f"arn:aws:iam::{ACCOUNT}:role/"}, Reason.PRINCIPAL_UNSUPPORTED),
        ({"sub": f"arn:aws:iam::{ACCOUNT}:role/a//b"}, Reason.PRINCIPAL_UNSUPPORTED),
        ({"sub": f"ARN:aws:iam::{ACCOUNT}:role/a"}, Reason.PRINCIPAL_UNSUPPORTED),
        ({"sub": "arn:aws:iam::999999999999:role/a"}, Reason.SUBJECT_MISMATCH),
        ({NAMESPACE: None}, Reason.CLAIM_MISSING),
        ({NAMESPACE: {}}, Reason.CLAIM_MISSING),
        ({NAMESPACE: {"aws_account": "999999999999"}}, Reason.SUBJECT_MISMATCH),
        ({NAMESPACE: {"aws_account": int(ACCOUNT)}}, Reason.SUBJECT_MISMATCH),
        ({NAMESPACE: [ACCOUNT]}, Reason.CLAIM_MISSING),
    ],
    ids=str,
)
def test_a_principal_that_is_none_or_of_another_account_is_refused(
    changes: dict[str, Any], reason: Reason, issuer: FakeIssuer, authenticate: Authenticate
) -> None:
    claims = aws_claims(f"arn:aws:iam::{ACCOUNT}:role/DataProcessingRole", AUDIENCE)
    with pytest.raises(CredentialRejected) as refused:
        authenticate("aws", issuer.token({**claims, **changes}))
    assert refused.value.reason is reason


def table(**settings: Any) -> AwsTable:
    return AwsTable.model_validate({"type": "aws", "audience": AUDIENCE, **settings})


def signed(**changes: Any) -> dict[str, Any]:
    return {"accounts": [ACCOUNT], "hosts": ["sts.eu-central-1.amazonaws.com"], **changes}


def test_a_source_takes_what_its_settings_say() -> None:
    tokens = table(issuer="https://1.tokens.sts.global.api.aws")
    assert (tokens.reads_tokens, tokens.signed_requests, tokens.max_age) == (True, None, 3600)
    assert tokens.allowed_algorithms == ("ES384", "RS256")
    assert tokens.identifying in tokens.one_workload
    assert not table(signed_requests=signed()).reads_tokens
    with pytest.raises(ValueError, match='neither "issuer" nor "signed_requests"'):
        table()


@pytest.mark.parametrize(
    "host",
    [
        "sts.amazonaws.com",
        "sts.us-east-1.amazonaws.com",
        "sts-fips.us-west-2.amazonaws.com",
        "sts.us-gov-west-1.amazonaws.com",
        "sts.cn-north-1.amazonaws.com.cn",
        "sts.eusc-de-east-1.amazonaws.eu",
        "sts.eu-west-1.api.aws",
        "sts.cn-northwest-1.api.amazonwebservices.com.cn",
    ],
)
def test_every_kind_of_endpoint_of_sts_can_be_listed(host: str) -> None:
    listed = table(signed_requests=signed(hosts=[host])).signed_requests
    assert listed is not None
    assert listed.hosts == (host,)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "sts",
        "STS.amazonaws.com",
        "sts.amazonaws.com.",
        "sts.amazonaws.com:443",
        "https://sts.amazonaws.com",
        "sts.amazonaws.com.cn",
        "sts.cn-north-1.amazonaws.com",
        "sts.us-east-1.amazonaws.com.cn",
        "iam.amazonaws.com",
        "sts.attacker.amazonaws.com",
        "sts.us-east-1.s3.amazonaws.com",
        "sts.us-east-1.amazonaws.com\n",
        "attacker.example.com",
        "169.254.169.254",
    ],
)
def test_a_host_that_is_not_sts_is_a_mistake_in_the_configuration(host: str) -> None:
    with pytest.raises(ValueError, match="not STS"):
        table(signed_requests=signed(hosts=[host]))


def test_accounts_and_hosts_must_be_said() -> None:
    mistakes: tuple[dict[str, list[str]], ...] = (
        {"accounts": []},
        {"hosts": []},
        {"accounts": ["1234"]},
        {"accounts": ["12345678901\u0662"]},
    )
    for wrong in mistakes:
        with pytest.raises(ValueError, match=r"accounts|hosts"):
            table(signed_requests=signed(**wrong))
