"""AWS Signature Version 4, against the test suite of aws-c-auth."""

import calendar
import hashlib
import json
import time
from dataclasses import replace

import pytest

from authserver.client.sigv4 import AwsCredentials, Signer, Unsigned, canonical_request
from tests import vectors
from tests.absent import absent

SUITE = "aws-sigv4/aws-c-auth/tests/aws-signing-test-suite/v4"
NAMES = sorted(each.name for each in (vectors.VECTORS / SUITE).glob("*")) or ["get-vanilla"]


def request_in(text: str) -> Unsigned:
    """The request of a file of the suite, in which a header may go on in the next lines."""
    head, _, body = text.partition("\n\n")
    first, *lines = head.splitlines()
    method, _, rest = first.partition(" ")
    path, _, query = rest.removesuffix(" HTTP/1.1").partition("?")
    headers: list[tuple[str, str]] = []
    for line in lines:
        name, _, value = line.partition(":")
        if line.startswith(" "):
            headers[-1] = (headers[-1][0], headers[-1][1] + "\n" + line)
        else:
            headers.append((name, value))
    return Unsigned(method, path, query, headers, body.encode())


def read(name: str, file: str) -> str:
    path = vectors.VECTORS / SUITE / name / file
    if not path.is_file():
        absent(f"the public test vector {name} of {SUITE} is absent")
    return path.read_text("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_every_request_of_the_suite_is_signed_as_it_should_be(name: str) -> None:
    context = json.loads(read(name, "context.json"))
    request = request_in(read(name, "request.txt"))
    if context["sign_body"]:
        hashed = ("x-amz-content-sha256", hashlib.sha256(request.body).hexdigest())
        request = replace(request, headers=[*request.headers, hashed])
    given = context["credentials"]
    # Some services have the session token added after signing; STS is not one of them.
    token = None if context.get("omit_session_token") else given.get("token")
    signer = Signer(
        AwsCredentials(given["access_key_id"], given["secret_access_key"], token),
        context["region"],
        context["service"],
        normalizes=context["normalize"],
    )
    now = calendar.timegm(time.strptime(context["timestamp"], "%Y-%m-%dT%H:%M:%SZ"))
    *headers, (_, authorization) = signer.sign(request, now)
    _, canonical = canonical_request(request, headers, normalized=context["normalize"])
    assert canonical == read(name, "header-canonical-request.txt")
    assert authorization.endswith(f"Signature={read(name, 'header-signature.txt')}")
    assert f"authorization:{authorization}".lower() in read(name, "header-signed-request.txt").lower()


def test_credentials_show_nothing_that_is_secret() -> None:
    credentials = AwsCredentials("AKIDEXAMPLE", "the-secret", "the-token")
    assert "the-" not in repr(credentials)
    assert "the-" not in repr(Signer(credentials, "us-east-1", "sts"))
