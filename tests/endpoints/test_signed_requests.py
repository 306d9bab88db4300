"""Signed requests to AWS at ``POST /token``: what is answered, and what is in the audit log."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from authserver.errors import Unavailable
from authserver.identity.aws.request import read_signed_request
from authserver.server.signed_requests import forward_to_sts
from authserver.testing import FrozenClock
from tests.endpoints.conftest import Application, MakeApplication
from tests.identity.aws.signed import HOST, NAME, QUERY, replaced, sign, token
from tests.identity.aws.sts import ACCOUNT, ROLE_ID, FakeSts, identity, refusal
from tests.served import EXCHANGE, IMAGES

SIGNED_TYPE = "urn:ietf:params:aws:token-type:aws4_request"
SUB = f"aws:arn:aws:sts::{ACCOUNT}:assumed-role/deployer"
MORE = f"""
[sources.aws]
type = "aws"
audience = "https://auth.example.com"
signed_requests = {{ accounts = ["{ACCOUNT}"], hosts = ["{HOST}"] }}

[[allow]]
name = "deployer-reads-images"
source = "aws"
match = {{ role_id = "{ROLE_ID}" }}
resource = "https://images.example.com"
scope = ["images:read"]
"""


@pytest.fixture
def sts() -> Iterator[FakeSts]:
    """STS on loopback."""
    with FakeSts() as sts:
        yield sts


@pytest.fixture
def aws(make_application: MakeApplication, sts: FakeSts) -> Application:
    """A server with a source of signed requests."""
    return make_application(more=MORE, forward=sts.forward)


def form(document: Any, **changes: str) -> dict[str, str]:
    shown = {"subject_token": token(document), "subject_token_type": SIGNED_TYPE}
    return {"grant_type": EXCHANGE, **shown, "resource": IMAGES, "scope": "images:read", **changes}


def test_a_signed_request_gives_a_token_once(aws: Application, clock: FrozenClock) -> None:
    request = sign(clock())
    answer = aws.post(form(request))
    assert answer.status == 200
    assert answer.json["issued_token_type"].endswith(":access_token")
    event = aws.events[-1]
    assert (event["source"], event["sub"]) == ("aws", SUB)
    again = aws.post(form({**request, "url": f"https://{HOST}?{QUERY}"}))
    assert (again.status, again.json["error"], aws.reason) == (400, "invalid_request", "used_twice")


def test_a_request_that_was_refused_for_its_scope_can_be_made_again(aws: Application, clock: FrozenClock) -> None:
    request = sign(clock())
    assert aws.post(form(request, scope="images:write")).json["error"] == "invalid_scope"
    assert aws.post(form(request)).status == 200


def test_a_role_that_was_made_anew_under_its_old_name_is_refused(
    aws: Application, clock: FrozenClock, sts: FakeSts
) -> None:
    sts.said = 200, "text/xml", identity(user_id="AROAEXAMPLEROLEID0002:i-0123456789abcdef0")
    answer = aws.post(form(sign(clock())))
    assert (answer.status, aws.reason) == (400, "no_rule")


def test_every_refusal_is_the_same_to_the_caller(aws: Application, clock: FrozenClock) -> None:
    """The reason is in the audit log alone."""
    answers = []
    for document, reason in (
        (sign(clock(), unsigned=[NAME]), "signed_header_missing"),
        (sign(clock(), host="attacker.example.com"), "sts_host_not_allowed"),
        (sign(clock() - 301), "too_old"),
        (sign(clock(), method="GET"), "signed_request_malformed"),
        (replaced(sign(clock()), "authorization", lambda value: value[:-64] + "0" * 64), "sts_refused"),
    ):
        answer = aws.post(form(document))
        assert aws.reason == reason
        answers.append((answer.status, answer.json["error"], answer.json["error_description"]))
    assert len(set(answers)) == 1
    assert answers[0][:2] == (400, "invalid_request")


def test_aws_that_is_away_is_503_with_retry_after(aws: Application, clock: FrozenClock, sts: FakeSts) -> None:
    sts.said = 503, "text/xml", refusal("ServiceUnavailable")
    for _ in range(4):
        answer = aws.post(form(sign(clock())))
        assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    assert len(sts.hosts) == 3


def test_where_nothing_else_is_said_a_request_goes_to_its_host_over_https(clock: FrozenClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host = f"127.0.0.1:{listening.getsockname()[1]}"
        accepted: list[bytes] = []

        def accept() -> None:
            connection, _ = listening.accept()
            with connection:
                accepted.append(connection.recv(3))

        thread = threading.Thread(target=accept)
        thread.start()
        with pytest.raises(Unavailable):
            forward_to_sts(read_signed_request(token(sign(clock(), host=host))))
        thread.join()
    assert accepted == [b"\x16\x03\x01"]  # the beginning of a TLS handshake


def test_a_server_without_such_a_source_refuses(application: Application, clock: FrozenClock) -> None:
    answer = application.post(form(sign(clock())))
    assert (answer.status, application.reason) == (400, "audience_wrong")


def test_a_signed_request_is_no_jwt_and_a_jwt_no_signed_request(
    aws: Application, identity: str, clock: FrozenClock
) -> None:
    for changes in ({"subject_token_type": "urn:ietf:params:oauth:token-type:jwt"}, {"subject_token": identity}):
        answer = aws.post(form(sign(clock()), **changes))
        assert (answer.status, answer.json["error"]) == (400, "invalid_request")
