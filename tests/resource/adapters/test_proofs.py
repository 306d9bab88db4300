"""Tokens that are bound to the key of a device, on every adapter (RFC 9449 sections 4.3 and 7 to 9)."""

from typing import Any

import pytest

from authserver.resource import ReplayMemory
from authserver.testing import FakeIssuer, FrozenClock
from tests.resource.adapters.views import Make
from tests.resource.adapters.wire import Application, Call, Got
from tests.resource.calls import Device
from tests.resource.environment import AUDIENCE

METADATA = f'resource_metadata="{AUDIENCE}/.well-known/oauth-protected-resource"'
ALGORITHMS = 'algs="ES256 EdDSA Ed25519"'


def call(app: Application, device: Device, path: str = "/images", mount: str = "", **proof: Any) -> Got:
    headers = device.headers(mount + path.partition("?")[0], **proof)
    return app(Call(target=path, headers=list(headers.items()), mount=mount))


def error(got: Got) -> str:
    """The error of a refusal that is made in the scheme DPoP."""
    (challenge,) = got.all("WWW-Authenticate")
    assert challenge.startswith(f'DPoP realm="{AUDIENCE}", error="')
    assert f", {ALGORITHMS}, {METADATA}" in challenge
    code: str = got.json["error"]
    assert f'error="{code}"' in challenge
    return code


def test_the_view_sees_which_device_calls(app: Application, phone: Device) -> None:
    """R65"""
    got = call(app, phone)
    assert (got.status, got.json["device"]) == (200, phone.key.thumbprint)
    assert call(app, phone, "/optional").json["device"] == phone.key.thumbprint


@pytest.mark.parametrize(
    ("proof", "code"),
    [
        ({"htm": "POST"}, "invalid_dpop_proof"),
        ({"htu": f"{AUDIENCE}/secret"}, "invalid_dpop_proof"),
        ({"ath": "a"}, "invalid_dpop_proof"),
        ({"iat": 0}, "use_dpop_nonce"),
        ({"nonce": "none-of-ours"}, "use_dpop_nonce"),
    ],
)
def test_a_bad_proof_is_401_in_the_scheme_dpop(app: Application, phone: Device, proof: Any, code: str) -> None:
    """R65, R67, R70"""
    got = call(app, phone, **proof)
    assert (got.status, error(got)) == (401, code)
    assert len(got.all("DPoP-Nonce")) == (code == "use_dpop_nonce")


def test_no_proof_and_two_proofs_are_401(app: Application, phone: Device) -> None:
    """R61, R70, attacks: two DPoP headers."""
    token, proof = phone.headers().items()
    for headers in ([token], [token, proof, ("DPoP", phone.headers()["DPoP"])]):
        got = app(Call(headers=headers))
        assert (got.status, error(got)) == (401, "invalid_dpop_proof")


def test_a_bound_token_as_bearer_is_401_invalid_token(app: Application, phone: Device) -> None:
    """R68; RFC 9449 section 7.2, figure 18"""
    got = app(Call(headers=[("Authorization", f"Bearer {phone.token}")]))
    challenge, alternative = got.all("WWW-Authenticate")
    assert got.status == 401
    assert challenge.startswith(f'Bearer realm="{AUDIENCE}", error="invalid_token"')
    assert alternative == f"DPoP {ALGORITHMS}"


def test_the_token_of_another_device_is_401_invalid_token(
    app: Application, phone: Device, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    """R65, R70"""
    thief = Device(issuer, clock)
    thief.token = phone.token
    assert error(call(app, thief)) == "invalid_token"


def test_a_proof_is_good_once(app: Application, phone: Device) -> None:
    """R64, attacks: a replayed DPoP proof."""
    once = list(phone.headers().items())
    assert [app(Call(headers=once)).status for _ in range(3)] == [200, 401, 401]


def test_what_is_protected_twice_uses_a_proof_once(app: Application, phone: Device) -> None:
    """R64: the second check is of the scope; the first has used the proof up."""
    assert call(app, phone, "/twice").status == 200


def test_a_wrong_clock_is_answered_with_the_nonce_that_helps(app: Application, phone: Device) -> None:
    """R67; RFC 9449 section 9"""
    got = call(app, phone, iat=0)
    assert error(got) == "use_dpop_nonce"
    assert call(app, phone, iat=0, nonce=got.one("DPoP-Nonce")).status == 200


def test_an_answer_that_renews_the_nonce_is_not_cached(app: Application, phone: Device, clock: FrozenClock) -> None:
    """R67; RFC 9449 section 8.2"""
    nonce = call(app, phone, nonce="old").one("DPoP-Nonce")
    assert call(app, phone, nonce=nonce).all("DPoP-Nonce") == []
    clock.advance(200)
    got = call(app, phone, nonce=nonce)
    assert (got.status, got.one("Cache-Control")) == (200, "no-store")
    following = got.one("DPoP-Nonce")
    clock.advance(200)
    assert error(call(app, phone, nonce=nonce)) == "use_dpop_nonce"
    assert call(app, phone, nonce=following).status == 200


def test_a_full_memory_is_503(make: Make, phone: Device) -> None:
    """Contract section 5: an outage is never 401."""
    app = make(replay=ReplayMemory(1))
    assert [call(app, phone).status for _ in range(2)] == [200, 503]


def test_an_api_may_take_no_bearer_tokens(make: Make, phone: Device, bearer: tuple[str, str]) -> None:
    """R68; RFC 9728 section 2"""
    app = make(sender_constrained=True)
    assert error(app(Call(headers=[bearer]))) == "invalid_token"
    assert (
        app(Call()).one("WWW-Authenticate") == f'DPoP realm="{AUDIENCE}", scope="images:read", {ALGORITHMS}, {METADATA}'
    )
    assert call(app, phone).status == 200


# The address of the request


@pytest.mark.parametrize(
    "path", ["/images", "/images?size=2", "/images/a%2Fb", "/images/caf%C3%A9", "/images/%E2%82%AC", "/images/a;b=c,d"]
)
def test_the_path_counts_as_it_was_sent(app: Application, phone: Device, path: str) -> None:
    """R63"""
    assert call(app, phone, path).status == 200


def test_an_encoded_slash_is_not_a_slash(app: Application, phone: Device) -> None:
    """R63"""
    assert call(app, phone, "/images/a%2Fb", htu=f"{AUDIENCE}/images/a/b").status == 401


def test_a_mounted_application_counts_from_the_root_of_the_server(app: Application, phone: Device) -> None:
    """R63"""
    assert call(app, phone, mount="/v1").status == 200
    assert call(app, phone, mount="/v1", htu=f"{AUDIENCE}/images").status == 401


def test_the_configured_address_counts_and_not_the_audience(make: Make, phone: Device) -> None:
    """R63"""
    app = make(url="https://cdn.example/api")
    assert call(app, phone, htu="https://cdn.example/api/images").status == 200
    assert call(app, phone).status == 401


@pytest.mark.parametrize("host", ["attacker.example", "localhost", "127.0.0.1:5000"])
def test_a_forged_host_neither_opens_nor_closes_anything(app: Application, phone: Device, host: str) -> None:
    """R63, attacks: Host forged."""
    for url, status in ((f"https://{host}/images", 401), (f"{AUDIENCE}/images", 200)):
        headers = [*phone.headers(url=url).items(), ("Host", host)]
        assert app(Call(headers=headers)).status == status


def test_on_this_machine_nothing_needs_to_be_configured(app: Application, phone: Device) -> None:
    headers = [*phone.headers(url="https://localhost/images").items(), ("Host", "localhost")]
    assert app(Call(headers=headers, peer="127.0.0.1")).status == 200
    headers = [*phone.headers(url="https://localhost/images").items(), ("Host", "localhost")]
    assert app(Call(headers=headers)).status == 401
