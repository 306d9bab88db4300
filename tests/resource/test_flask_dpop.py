"""DPoP over the Flask adapter: what goes over the wire (RFC 9449 sections 7 to 9)."""

import pytest
from flask.testing import FlaskClient

from authserver.resource import ReplayMemory
from authserver.testing import FakeIssuer, FrozenClock
from tests.resource.calls import Device, MakeApp
from tests.resource.environment import AUDIENCE

METADATA = f'resource_metadata="{AUDIENCE}/.well-known/oauth-protected-resource"'
ALGORITHMS = 'algs="ES256 EdDSA Ed25519"'


def test_the_view_sees_which_device_calls(client: FlaskClient, device: Device) -> None:
    """R65"""
    answer = device.call(client)
    assert (answer.status_code, answer.json) == (
        200,
        {"caller": "tests:somebody", "device": device.key.thumbprint, "name": ""},
    )
    assert "DPoP-Nonce" not in answer.headers


def test_no_credentials_are_challenged_with_both_schemes(client: FlaskClient) -> None:
    """R70, R98; RFC 9449 section 7.2, figure 17"""
    assert client.get("/images").headers.getlist("WWW-Authenticate") == [
        f'Bearer realm="{AUDIENCE}", scope="images:read", {METADATA}',
        f"DPoP {ALGORITHMS}",
    ]


def test_a_bad_proof_is_401_invalid_dpop_proof(client: FlaskClient, device: Device) -> None:
    """R70"""
    answer = device.call(client, htm="POST")
    description = "The DPoP proof is missing, malformed, expired, used, or not for this request."
    assert (answer.status_code, answer.headers.getlist("WWW-Authenticate")) == (
        401,
        [
            f'DPoP realm="{AUDIENCE}", error="invalid_dpop_proof", error_description="{description}", '
            f"{ALGORITHMS}, {METADATA}"
        ],
    )
    assert answer.json == {"error": "invalid_dpop_proof", "error_description": description}


def test_a_bound_token_as_bearer_is_401_invalid_token(client: FlaskClient, device: Device) -> None:
    """R68; RFC 9449 section 7.2, figure 18"""
    for proof in ({}, {"DPoP": device.headers()["DPoP"]}):
        answer = client.get("/images", headers={"Authorization": f"Bearer {device.token}", **proof})
        error, alternative = answer.headers.getlist("WWW-Authenticate")
        assert answer.status_code == 401
        assert error.startswith(f'Bearer realm="{AUDIENCE}", error="invalid_token"')
        assert alternative == f"DPoP {ALGORITHMS}"


def test_a_token_that_was_copied_to_another_key_is_401_invalid_token(
    client: FlaskClient, device: Device, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    """R65, R70; RFC 9449 section 7.1, figure 16"""
    thief = Device(issuer, clock)
    thief.token = device.token
    answer = thief.call(client)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith(f'DPoP realm="{AUDIENCE}", error="invalid_token"')


def test_an_unbound_token_with_the_scheme_dpop_is_401_invalid_token(
    client: FlaskClient, device: Device, issuer: FakeIssuer
) -> None:
    device.token = issuer.access_token(AUDIENCE, "images:read")
    answer = device.call(client)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith(f'DPoP realm="{AUDIENCE}", error="invalid_token"')


def test_too_little_scope_is_403_and_named(client: FlaskClient, device: Device) -> None:
    """R98"""
    answer = device.call(client, "/secret")
    assert answer.status_code == 403
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith(f'DPoP realm="{AUDIENCE}", error="insufficient_scope"')
    assert f', scope="images:admin", {ALGORITHMS}' in challenge


def test_a_replayed_proof_is_401(client: FlaskClient, device: Device) -> None:
    """R64, R70"""
    headers = device.headers()
    assert [client.get("/images", headers=headers).status_code for _ in range(3)] == [200, 401, 401]


def test_a_wrong_clock_is_answered_with_the_nonce_that_helps(client: FlaskClient, device: Device) -> None:
    """R67; RFC 9449 section 9"""
    answer = device.call(client, iat=0)
    (nonce,) = answer.headers.getlist("DPoP-Nonce")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith(f'DPoP realm="{AUDIENCE}", error="use_dpop_nonce"')
    assert answer.headers["Cache-Control"] == "no-store"
    assert device.call(client, iat=0, nonce=nonce).status_code == 200


@pytest.mark.parametrize(("path", "status"), [("/images", 200), ("/broken", 500)])
def test_an_answer_that_renews_the_nonce_is_not_cached(
    client: FlaskClient, device: Device, clock: FrozenClock, path: str, status: int
) -> None:
    """R67; RFC 9449 section 8.2"""
    nonce = device.call(client, path, nonce="old").headers["DPoP-Nonce"]
    clock.advance(200)
    answer = device.call(client, path, nonce=nonce)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (status, "no-store")
    (following,) = answer.headers.getlist("DPoP-Nonce")
    clock.advance(200)
    assert device.call(client, path, nonce=nonce).status_code == 401
    assert device.call(client, path, nonce=following).status_code == status


def test_a_full_memory_is_503_for_all_and_401_for_one_key(make_app: MakeApp, device: Device) -> None:
    """Contract section 5: an outage is never 401."""
    client = make_app(replay=ReplayMemory(1)).test_client()
    assert [device.call(client).status_code for _ in range(2)] == [200, 503]
    full = device.call(client)
    assert int(full.headers["Retry-After"]) == 90
    assert "WWW-Authenticate" not in full.headers
    client = make_app(replay=ReplayMemory(10, per_key=1)).test_client()
    assert [device.call(client).status_code for _ in range(2)] == [200, 401]


def test_an_api_may_take_no_bearer_tokens(make_app: MakeApp, device: Device, issuer: FakeIssuer) -> None:
    """R68, R3; RFC 9728 section 2"""
    client = make_app(sender_constrained=True).test_client()
    bearer = {"Authorization": f"Bearer {issuer.access_token(AUDIENCE, 'images:read')}"}
    (challenge,) = client.get("/images", headers=bearer).headers.getlist("WWW-Authenticate")
    assert challenge.startswith(f'DPoP realm="{AUDIENCE}", error="invalid_token"')
    (challenge,) = client.get("/images").headers.getlist("WWW-Authenticate")
    assert challenge == f'DPoP realm="{AUDIENCE}", scope="images:read", {ALGORITHMS}, {METADATA}'
    assert device.call(client).status_code == 200
    document = client.get("/.well-known/oauth-protected-resource").json
    assert document is not None
    assert document["dpop_bound_access_tokens_required"] is True
