"""The same request gets the same challenge, byte for byte, from every adapter."""

import pytest

from authserver.testing import FakeIssuer
from tests.resource.adapters.views import Make
from tests.resource.adapters.wire import Call, Got
from tests.resource.calls import Device
from tests.resource.environment import AUDIENCE

OURS = frozenset(("www-authenticate", "content-type", "cache-control", "retry-after", "dpop-nonce"))


def essence(got: Got) -> tuple[int, list[tuple[str, str]], bytes]:
    """What is ours of an answer; servers and frameworks add ``Content-Length`` and the like."""
    headers = [(name.lower(), value) for name, value in got.headers if name.lower() in OURS]
    return got.status, sorted(headers, key=lambda header: header[0]), got.body


@pytest.mark.parametrize("status", [400, 401, 403])
def test_every_adapter_s_challenge_is_byte_equal_to_the_rfc_s_form(
    make_all: dict[str, Make], issuer: FakeIssuer, status: int
) -> None:
    """R98, R100; RFC 6750 section 3, RFC 9728 section 5.1"""
    sent = {
        400: [("Authorization", "Bearer a"), ("Authorization", "Bearer b")],
        401: [("Authorization", "Bearer a.b.c")],
        403: [("Authorization", f"Bearer {issuer.access_token(AUDIENCE, 'images:write')}")],
    }
    expected = {
        400: 'error="invalid_request", error_description="The request must carry exactly one access token, in the '
        'Authorization header."',
        401: 'error="invalid_token", error_description="The access token is malformed, expired, or not valid for '
        'this resource."',
        403: 'error="insufficient_scope", error_description="The request requires more scope than the access token '
        'has.", scope="images:read"',
    }
    metadata = f'resource_metadata="{AUDIENCE}/.well-known/oauth-protected-resource"'
    challenges = [f'Bearer realm="{AUDIENCE}", {expected[status]}, {metadata}']
    challenges += ['DPoP algs="ES256 EdDSA Ed25519"'] if status == 401 else []
    for name, make in make_all.items():
        got = make()(Call(headers=sent[status]))
        assert (got.status, got.all("WWW-Authenticate")) == (status, challenges), name


def test_every_other_answer_is_the_same_too(make_all: dict[str, Make], issuer: FakeIssuer, phone: Device) -> None:
    """R65, R67, R68, R70"""
    bound = ("Authorization", f"DPoP {phone.token}")
    proof = ("DPoP", phone.headers(htm="POST")["DPoP"])
    calls = {
        "nothing": Call(),
        "no proof": Call(headers=[bound]),
        "a wrong proof": Call(headers=[bound, proof]),
        "two proofs": Call(headers=[bound, proof, proof]),
        "as bearer": Call(headers=[("Authorization", f"Bearer {phone.token}")]),
        "the document": Call(target="/.well-known/oauth-protected-resource"),
    }
    apps = {name: make() for name, make in make_all.items()}
    for title, call in calls.items():
        answers = {name: essence(app(call)) for name, app in apps.items()}
        for name, answer in answers.items():
            assert answer == answers["flask"], f"{title}, {name}"
    issuer.down()
    answers = {
        name: essence(make()(Call(headers=[("Authorization", f"Bearer {issuer.access_token(AUDIENCE)}")])))
        for name, make in make_all.items()
    }
    assert {answer[0] for answer in answers.values()} == {503}
    assert len({str(answer) for answer in answers.values()}) == 1
