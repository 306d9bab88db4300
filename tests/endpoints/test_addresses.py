"""Whose address a failure counts against, and what proxies are believed about."""

from typing import Any

import pytest

from authserver.endpoints.http import Request, TrustedProxies
from authserver.settings.urls import network
from tests.endpoints.conftest import MakeApplication
from tests.served import exchange_form

QUICK: dict[str, Any] = {"keys": 'algorithms = ["ES256"]', "reports": ""}
PROXIES = TrustedProxies([network("10.0.0.0/8"), network("fd00::/8")])


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("10.1.1.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.1.1.1", ["1.2.3.4, 198.51.100.1"], "198.51.100.1"),
        ("10.1.1.1", ["1.2.3.4", "198.51.100.1"], "198.51.100.1"),
        ("10.1.1.1", ["198.51.100.1, 10.2.2.2"], "198.51.100.1"),
        ("10.1.1.1", ["1.2.3.4, nonsense, 10.2.2.2"], "10.2.2.2"),
        ("10.1.1.1", ["10.3.3.3"], "10.3.3.3"),
        ("10.1.1.1", [], "10.1.1.1"),
        ("10.1.1.1", [""], "10.1.1.1"),
        ("::ffff:10.1.1.1", ["198.51.100.1"], "198.51.100.1"),
        ("fd00::1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        ("2001:db8::1", [], "2001:db8::/64"),
        ("", ["198.51.100.1"], "unknown"),
        ("unix:", [], "unknown"),
    ],
)
def test_failures_count_against_the_rightmost_hop_that_is_not_trusted(
    peer: str, forwarded: list[str], counted: str
) -> None:
    headers = {"x-forwarded-for": tuple(forwarded)}
    assert PROXIES.client_address(Request("POST", "id", peer, headers=headers)) == counted


def test_an_address_of_any_length_is_read_and_only_short_ones_are_remembered() -> None:
    proxies = TrustedProxies([network("10.0.0.0/8")])
    zoned = f"fe80::1%{'z' * 100}"
    for peer, counted in ((zoned, "fe80::/64"), ("fe80::1%z", "fe80::/64"), (" " * 100, "unknown")):
        for _ in range(2):
            assert proxies.client_address(Request("POST", "id", peer)) == counted
    assert proxies._remembered.cache_info().currsize == 1


@pytest.mark.parametrize(
    ("peer", "scheme", "status"),
    [
        ("10.1.1.1", "http", 400),
        ("10.1.1.1", "HTTP", 400),
        ("10.1.1.1", "https, http", 400),
        ("10.1.1.1", "https", 200),
        ("10.1.1.1", "http, https", 200),
        ("203.0.113.7", "http", 200),
    ],
)
def test_what_a_trusted_proxy_marks_as_plain_http_is_refused(
    peer: str, scheme: str, status: int, make_application: MakeApplication, identity: str
) -> None:
    """R19"""
    application = make_application(**QUICK, server='trusted_proxies = ["10.0.0.0/8"]')
    answer = application.post(exchange_form(identity), headers=[("X-Forwarded-Proto", scheme)], peer=peer)
    assert answer.status == status
    assert status == 200 or application.reason == "plain_http"


def test_past_the_limit_failures_are_answered_slow_down_and_successes_are_not_touched(
    make_application: MakeApplication, identity: str
) -> None:
    application = make_application(**QUICK, failures="3/hour", server='trusted_proxies = ["10.0.0.0/8"]')
    bad = exchange_form("broken")
    assert [application.post(bad).status for _ in range(3)] == [400] * 3
    slowed = application.post(bad)
    assert (slowed.status, slowed.json["error"]) == (429, "slow_down")
    assert int(slowed.headers["Retry-After"]) > 0
    assert application.reason == "too_many_failures"
    assert application.events[-1]["facts"]["refused_for"] == "token_malformed"
    assert application.post(exchange_form(identity)).status == 200
    assert application.post({}).status == 429
    elsewhere = application.post(bad, peer="198.51.100.1")
    assert elsewhere.status == 400
    spoofed = application.post(bad, headers=[("X-Forwarded-For", "192.0.2.9")])
    assert spoofed.status == 429


def test_neighbours_in_one_ipv6_network_share_a_limit(make_application: MakeApplication) -> None:
    application = make_application(**QUICK, failures="1/hour")
    assert application.post({}, peer="2001:db8::1").status == 400
    assert application.post({}, peer="2001:db8::ffff").status == 429
    assert application.post({}, peer="2001:db8:0:1::1").status == 400


def test_the_limit_can_be_switched_off(make_application: MakeApplication) -> None:
    application = make_application(**QUICK, failures="off")
    assert {application.post({}).status for _ in range(200)} == {400}
