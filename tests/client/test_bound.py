"""Calls to an API with a token that is bound to a key."""

import pytest
import urllib3

from authserver.client import AuthorizationServer, BoundCalls, DeviceSupplier, Enrollment, IssuedToken, request_token
from authserver.client.nonces import MOST_SERVERS, NonceMemory
from tests.client.fake import FakeServer, Said


@pytest.fixture
def token(server: AuthorizationServer, enrolled: Enrollment, supplier: DeviceSupplier) -> IssuedToken:
    assert enrolled.issuer == server.issuer
    return request_token(server, supplier, resource="https://images.example.com", scope="images:read")


def call(fake: FakeServer, server: AuthorizationServer, token: IssuedToken, query: str = "") -> int:
    with urllib3.PoolManager(retries=False) as pool:
        calls = BoundCalls(server)
        url = fake.api + query
        return calls.call("GET", url, token, lambda headers: pool.request("GET", url, headers=headers)).status


def test_a_call_proves_the_key_for_that_address_and_that_token(
    fake: FakeServer, server: AuthorizationServer, token: IssuedToken
) -> None:
    """R65"""
    assert call(fake, server, token, "?album=1") == 200


def test_an_api_that_wants_a_nonce_gets_it_once(
    fake: FakeServer, server: AuthorizationServer, token: IssuedToken
) -> None:
    """R67"""
    fake.nonce = "nonce-2"
    before = len(fake.asked)
    assert call(fake, server, token) == 200
    assert call(fake, server, token) == 200
    assert len(fake.asked) - before == 3
    for _ in range(3):
        challenge = {"WWW-Authenticate": 'DPoP error="use_dpop_nonce"', "DPoP-Nonce": "another"}
        fake.say_next(Said(401, {}, challenge))
    assert call(fake, server, token) == 401
    assert len(fake.plans) == 1


def test_a_refusal_that_names_no_nonce_is_not_tried_again(
    fake: FakeServer, server: AuthorizationServer, token: IssuedToken
) -> None:
    fake.say_next(Said(401, {}, {"WWW-Authenticate": 'DPoP error="invalid_token"', "DPoP-Nonce": "another"}))
    before = len(fake.asked)
    assert call(fake, server, token) == 401
    assert len(fake.asked) == before + 1


def test_the_newest_nonce_of_each_origin_is_kept_and_not_of_too_many() -> None:
    memory = NonceMemory()
    assert memory.newest("https://a.example/x") is None
    assert memory.learn("https://a.example/x", {"DPoP-Nonce": "one"})
    assert memory.learn("https://A.example:443/y?z", {"DPoP-Nonce": "two"})
    assert not memory.learn("https://a.example/x", {})
    assert memory.newest("https://a.example/") == "two"
    assert memory.newest("http://a.example/") is None
    for number in range(MOST_SERVERS):
        memory.learn(f"https://{number}.example/", {"DPoP-Nonce": "n"})
    assert memory.newest("https://a.example/") is None
