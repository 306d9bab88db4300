"""Which address a proof must be for, over the Flask adapter (RFC 9449 section 4.3)."""

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from authserver.testing import FakeIssuer, FrozenClock
from tests.resource.calls import OUTSIDE, Device, MakeApp
from tests.resource.environment import AUDIENCE, bound_token
from tests.resource.live import get, serving


@pytest.mark.parametrize(
    "path", ["/images", "/images?size=2", "/images/a%2Fb", "/images/caf%C3%A9", "/images/%E2%82%AC", "/images/a;b=c,d"]
)
def test_the_path_counts_as_it_was_sent(client: FlaskClient, device: Device, path: str) -> None:
    """R63"""
    assert device.call(client, path).status_code == 200


def test_an_encoded_slash_is_not_a_slash(client: FlaskClient, device: Device) -> None:
    """R63: a proof for one resource is not one for another that is routed alike."""
    assert device.call(client, "/images/a%2Fb", htu=f"{AUDIENCE}/images/a/b").status_code == 401


@pytest.mark.parametrize(
    "forged",
    [
        {"Host": "attacker.example"},
        {"Host": "localhost"},
        {"Host": "127.0.0.1:5000"},
        {"X-Forwarded-Host": "attacker.example", "X-Forwarded-Proto": "http", "X-Forwarded-Prefix": "/evil"},
        {"Forwarded": "host=attacker.example;proto=http", "X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"},
    ],
)
def test_forged_headers_neither_open_nor_close_anything(
    client: FlaskClient, device: Device, forged: dict[str, str]
) -> None:
    """R63, attacks: Host and X-Forwarded-* forged."""
    good = {**device.headers(), **forged}
    assert client.get("/images", headers=good, environ_overrides=OUTSIDE).status_code == 200
    host = forged.get("Host", "attacker.example")
    for origin in (f"http://{host}", f"https://{host}"):
        stolen = {**device.headers(url=f"{origin}/images"), **forged}
        assert client.get("/images", headers=stolen, environ_overrides=OUTSIDE).status_code == 401


def test_on_this_machine_nothing_needs_to_be_configured(make_app: MakeApp, device: Device) -> None:
    """A proof for the address that was really called is enough, because nobody but the key's owner can make one."""
    client = make_app().test_client()  # it calls http://localhost from 127.0.0.1
    assert client.get("/images", headers=device.headers(url="http://localhost/images")).status_code == 200
    assert client.get("/images", headers=device.headers(url="http://localhost:81/images")).status_code == 401


@pytest.mark.parametrize("url", [None, AUDIENCE])
@pytest.mark.parametrize("peer", ["127.0.0.1", "203.0.113.7"])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_forging_this_machine_lets_nobody_in_who_was_not_let_in_before(
    make_app: MakeApp, device: Device, issuer: FakeIssuer, clock: FrozenClock, host: str, peer: str, url: str | None
) -> None:
    """R63, attacks: Host forged. What a thief can come by is refused with the exception and without it (``url``)."""
    client = make_app(url=url).test_client()
    thief = Device(issuer, clock)
    thief.token = device.token
    used = device.headers()
    assert client.get("/images", headers=used).status_code == 200
    loot = {
        "made by the thief": thief.headers(url=f"http://{host}/images"),
        "used already": used,
        "for another path": device.headers("/secret"),
        "for the thief's own server": device.headers(url="https://attacker.example/images"),
        "for another token": {**device.headers(url=f"http://{host}/images", ath="a")},
    }
    for name, stolen in loot.items():
        answer = client.get("/images", headers={**stolen, "Host": host}, environ_overrides={"REMOTE_ADDR": peer})
        assert answer.status_code == 401, name


def test_with_a_url_this_machine_is_nothing_special(make_app: MakeApp, device: Device) -> None:
    """R63"""
    client = make_app(url="https://cdn.example/api").test_client()
    assert client.get("/images", headers=device.headers(url="http://localhost/images")).status_code == 401
    assert client.get("/images", headers=device.headers()).status_code == 401
    assert client.get("/images", headers=device.headers(url="https://cdn.example/api/images")).status_code == 200


def test_an_api_that_cannot_know_its_address_refuses(
    make_app: MakeApp, device: Device, issuer: FakeIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    """R63"""
    client = make_app(audience="images").test_client()
    device.token = bound_token(issuer, device.key, aud="images")
    assert device.call(client).status_code == 401
    assert "set url to the external address" in caplog.text


def test_a_mounted_application_counts_from_the_root_of_the_server(make_app: MakeApp, device: Device) -> None:
    """R63: with and without a server that says what was asked for."""
    mounted = DispatcherMiddleware(Flask(__name__), {"/v1": make_app()})
    client = Client(mounted)
    assert device.call(client, "/v1/images").status_code == 200
    assert device.call(client, "/v1/images", htu=f"{AUDIENCE}/images").status_code == 401
    silent = {**OUTSIDE, "RAW_URI": "", "REQUEST_URI": ""}
    for htu, status in ((f"{AUDIENCE}/v1/images", 200), (f"{AUDIENCE}/images", 401)):
        headers = device.headers(url=htu)
        assert client.get("/v1/images", headers=headers, environ_overrides=silent).status_code == status


# Over a real server


def test_over_http(make_app: MakeApp, device: Device) -> None:
    """R61, R63, R68, attacks: two DPoP headers."""
    with serving(make_app()) as port:

        def call(*headers: tuple[str, str], target: str = "/images") -> int:
            return get(port, target, *headers).status

        def made(**proof: Any) -> list[tuple[str, str]]:
            return list(device.headers(**proof).items())

        here = f"http://127.0.0.1:{port}"
        assert call(*made()) == 200
        assert call(*made(url=f"{here}/images")) == 200
        assert call(*made(url=f"{here}/images/a%2Fb"), target="/images/a%2Fb?x=%2F") == 200
        assert call(*made(), ("DPoP", device.headers()["DPoP"])) == 401
        assert call(*made(), made()[0]) == 400
        assert call(*made(url=f"http://127.0.0.1:{port + 1}/images")) == 401
        assert call(("Authorization", f"Bearer {device.token}")) == 401
        assert call(("Authorization", f"DPoP {device.token}")) == 401
        assert call(*made(url="http://attacker.example/images"), target="http://attacker.example/images") == 401
