"""The one doorway that fetches: R96, and what discovery and ``jwks_uri`` were abused for elsewhere."""

import contextlib
import gzip
import itertools
import json
import socket
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from authserver.errors import Reason, Unavailable
from authserver.jose.addresses import Location, is_link_local, is_loopback, is_public
from authserver.jose.fetch import Cause, Endpoint, Fetcher
from tests.jose.servers import Authority, Responder, Server, answer, pouring, sending

DOCUMENT: dict[str, Any] = {"keys": []}


@contextlib.contextmanager
def serving(respond: Responder, **options: Any) -> Iterator[Server]:
    with Server(respond, **options).running() as server:
        yield server


def loopback(**options: Any) -> Fetcher:
    return Fetcher(insecure_allow_http=True, **options)


def resolving(*addresses: str) -> Callable[[str], Sequence[str]]:
    return lambda _: addresses


def cause_of(fetcher: Fetcher, endpoint: Endpoint) -> str:
    with pytest.raises(Unavailable) as unavailable:
        fetcher.get_json(endpoint)
    assert unavailable.value.reason is Reason.ISSUER_UNREACHABLE
    return str(unavailable.value.facts["cause"])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


# What a good answer is


def test_a_json_object_is_fetched() -> None:
    with serving(sending(answer(DOCUMENT, Content_Type="application/jwk-set+json"))) as server:
        assert loopback().get_json(Endpoint(server.url("/keys?v=1"))).document == DOCUMENT
    request = server.requests[0].lower()
    assert request.startswith("get /keys?v=1 http/1.1\r\n")
    assert f"\r\nhost: 127.0.0.1:{server.port}\r\n" in request
    assert "\r\naccept-encoding: identity\r\n" in request
    assert "authorization" not in request
    assert "cookie" not in request


def test_a_chunked_answer_is_fetched() -> None:
    body = json.dumps(DOCUMENT).encode()
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    with serving(sending(raw)) as server:
        assert loopback().get_json(Endpoint(server.url())).document == DOCUMENT


@pytest.mark.parametrize(
    ("headers", "max_age"),
    [
        ({}, None),
        ({"Cache_Control": "public"}, None),
        ({"Cache_Control": "public, max-age=600"}, 600),
        ({"Cache_Control": 'Max-Age="600"'}, 600),
        ({"Cache_Control": "max-age=600", "Age": "599"}, 1),
        ({"Cache_Control": "max-age=600", "Age": "601"}, 0),
        ({"Cache_Control": "max-age=600", "Age": "-5"}, 600),
        ({"Cache_Control": "max-age=600, no-cache"}, 0),
        ({"Cache_Control": "no-store"}, 0),
        ({"Cache_Control": "max-age=-1"}, None),
        ({"Cache_Control": "s-maxage=600"}, None),
        ({"Cache_Control": "max-age=" + "9" * 5000}, None),
    ],
)
def test_what_is_left_of_the_freshness_is_told(headers: dict[str, str], max_age: int | None) -> None:
    with serving(sending(answer(DOCUMENT, **headers))) as server:
        assert loopback().get_json(Endpoint(server.url())).max_age == max_age


@pytest.mark.parametrize(
    ("date", "epoch"),
    [("Thu, 01 Jan 1970 00:01:40 GMT", 100.0), ("yesterday", None), ("Thu, 01 Jan 99999 00:00:00 GMT", None)],
)
def test_the_clock_of_the_server_is_told(date: str, epoch: float | None) -> None:
    with serving(sending(answer(DOCUMENT, Date=date))) as server:
        assert loopback().get_json(Endpoint(server.url())).date == epoch


def test_the_clock_behind_an_answer_from_a_cache_is_told() -> None:
    date = "Thu, 01 Jan 1970 00:01:40 GMT"
    with serving(sending(answer(DOCUMENT, Date=date, Age="20"))) as server:
        assert loopback().get_json(Endpoint(server.url())).date == 120


# What a good answer is not


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_was_followed(status: str) -> None:
    """R96; Keycloak CVE-2026-1180"""
    with serving(sending(answer(DOCUMENT))) as target:
        with serving(sending(answer(DOCUMENT, status, Location=target.url()))) as server:
            assert cause_of(loopback(), Endpoint(server.url())) == Cause.REDIRECTED
        assert target.requests == []


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "204 No Content", "206 Partial Content", "401 No"])
def test_any_status_but_200_is_a_failure_that_names_it(status: str) -> None:
    with serving(sending(answer(DOCUMENT, status))) as server, pytest.raises(Unavailable) as unavailable:
        loopback().get_json(Endpoint(server.url()))
    assert unavailable.value.facts["cause"] == Cause.STATUS_WRONG
    assert unavailable.value.facts["status"] == int(status[:3])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'"keys"',
        b'{"keys": [], "keys": []}',
        b'{"keys": NaN}',
        b'{"a":' + b"[" * 40 + b"]" * 40 + b"}",
        b'\xef\xbb\xbf{"keys": []}',
        b'{"keys": "\xff"}',
        b'{"keys": []} {}',
        b'{"a":' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_not_exactly_one_json_object_is_refused(body: bytes) -> None:
    with serving(sending(answer(body))) as server:
        assert cause_of(loopback(), Endpoint(server.url())) == Cause.ANSWER_MALFORMED


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.7\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n{}",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70000 + b"\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999999999\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n{",
    ],
)
def test_an_answer_that_is_not_http_is_refused(raw: bytes) -> None:
    """Whatever size is announced, no more memory than the limit is taken for it."""
    with serving(sending(raw)) as server:
        assert cause_of(loopback(), Endpoint(server.url())) in (Cause.ANSWER_MALFORMED, Cause.CONNECTION_FAILED)


def test_a_compressed_answer_is_refused_so_that_no_bomb_is_unpacked() -> None:
    raw = answer(gzip.compress(b'{"keys": []}'), Content_Encoding="gzip")
    with serving(sending(raw)) as server:
        assert cause_of(loopback(), Endpoint(server.url())) == Cause.ENCODED


def test_a_second_content_encoding_header_hides_nothing() -> None:
    raw = b"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"
    with serving(sending(raw)) as server:
        assert cause_of(loopback(), Endpoint(server.url())) == Cause.ENCODED


def test_an_answer_larger_than_the_limit_is_refused() -> None:
    """R96"""
    with serving(sending(answer({"keys": "k" * 300_000}))) as server:
        assert cause_of(loopback(), Endpoint(server.url())) == Cause.TOO_LARGE


def test_an_answer_that_fits_the_limit_is_accepted() -> None:
    with serving(sending(answer({"keys": "k" * 250_000}))) as server:
        assert loopback().get_json(Endpoint(server.url())).document == {"keys": "k" * 250_000}


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b" " * 4096),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b" " * 4096 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: trailer\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_an_endless_answer_ends_at_the_limit(head: bytes, drop: bytes) -> None:
    """R96"""
    with serving(pouring(head, drop)) as server:
        assert cause_of(loopback(), Endpoint(server.url())) == Cause.TOO_LARGE


# Time


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"A"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n{", b" "),
    ],
)
def test_a_server_that_drips_does_not_outlive_the_deadline(head: bytes, drop: bytes) -> None:
    """R96: the clock gains a second with each read, so every single read is fast and the whole is not."""
    ticks = itertools.count()
    with serving(pouring(head, drop)) as server:
        fetcher = loopback(clock=lambda: float(next(ticks)), max_bytes=10**9)
        assert cause_of(fetcher, Endpoint(server.url())) == Cause.TIMED_OUT


def test_a_server_that_says_nothing_does_not_outlive_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert cause_of(loopback(deadline=0.2), Endpoint(url)) == Cause.TIMED_OUT


def test_a_server_that_never_finishes_the_handshake_does_not_outlive_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        assert cause_of(Fetcher(deadline=0.2), Endpoint(url)) == Cause.TIMED_OUT


def test_a_server_that_is_not_there_is_a_failed_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}/"
    assert cause_of(loopback(), Endpoint(url)) == Cause.CONNECTION_FAILED


# URLs


@pytest.mark.parametrize(
    "url",
    [
        "",
        "jwks",
        "//issuer.test/jwks",
        "ftp://issuer.test/jwks",
        "file:///etc/passwd",
        "https://",
        "https:///jwks",
        "https://user@issuer.test/",
        "https://user:password@issuer.test/",
        "https://@issuer.test/",
        "https://issuer.test\\@evil.test/",
        "https://issuer.test/#fragment",
        "https://issuer.test/#",
        "https://issuer.test:99999/",
        "https://issuer.test:port/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://issuer.test/ HTTP/1.1\r\nX: y",
        "https://issuer.test/\tjwks",
        "https://issuer.test/jwks\n",
        "https://\u0456ssuer.test/",
        "https://issuer%2etest/",
        "https://" + "a" * 300,
    ],
)
def test_a_url_that_is_not_plainly_https_is_refused(url: str) -> None:
    """R96"""
    assert cause_of(loopback(resolver=resolving("127.0.0.1")), Endpoint(url)) == Cause.URL_REFUSED


def test_a_label_that_is_too_long_for_a_name_is_a_name_without_address() -> None:
    assert cause_of(Fetcher(), Endpoint("https://" + "a" * 70 + ".test/")) == Cause.NAME_UNRESOLVED


def test_a_name_without_addresses_is_unresolved() -> None:
    assert cause_of(Fetcher(resolver=resolving()), Endpoint("https://issuer.test/")) == Cause.NAME_UNRESOLVED


def test_the_parts_of_a_url() -> None:
    location = Location.of("https://Issuer.Test:8443/a/b?c=d")
    assert location == Location("https", "issuer.test", 8443, "/a/b?c=d")
    assert location.authority == "issuer.test:8443"
    assert Location.of("https://[2001:DB8::1]").authority == "[2001:db8::1]"
    assert Location.of("https://issuer.test").target == "/"
    assert Location.of("https://issuer.test:443/x").has_origin_of(Location.of("https://ISSUER.test/y"))
    assert not Location.of("https://issuer.test:8443").has_origin_of(Location.of("https://issuer.test"))


# Plain HTTP


def test_http_is_refused_unless_it_was_allowed() -> None:
    """R96"""
    with serving(sending(answer(DOCUMENT))) as server:
        assert cause_of(Fetcher(), Endpoint(server.url())) == Cause.ADDRESS_REFUSED
    assert server.requests == []


@pytest.mark.parametrize("address", ["10.0.0.1", "93.184.215.14", "2606:4700::1111"])
def test_http_is_allowed_to_loopback_only(address: str) -> None:
    """R96"""
    fetcher = loopback(resolver=resolving("127.0.0.1", address))
    assert cause_of(fetcher, Endpoint("http://issuer.test/")) == Cause.ADDRESS_REFUSED


# Addresses

INWARD = [
    *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1"),
    *("100.64.0.1", "100.100.100.200", "169.254.169.254", "168.63.129.16", "192.0.0.192", "192.0.2.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "100::1", "::7f00:1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b:1::1", "2002:7f00:1::1", "2002:a9fe:a9fe::1", "2001:0:5ef5:79fb:0:0:80ff:fffe", "4000::1", "3fff::1"),
]
OUTWARD = [
    "8.8.8.8",
    "93.184.215.14",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "2a00:1450::1",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", INWARD)
def test_discovery_or_jwks_uri_reached_private_addresses(address: str) -> None:
    """R96; Keycloak CVE-2026-1180, Better Auth CVE-2026-53513"""
    literal = f"[{address}]" if ":" in address else address
    by_name = Fetcher(resolver=resolving("93.184.215.14", address))
    assert cause_of(by_name, Endpoint("https://keys.test/", discovered=True)) == Cause.ADDRESS_REFUSED
    assert cause_of(Fetcher(), Endpoint(f"https://{literal}/", discovered=True)) == Cause.ADDRESS_REFUSED


@pytest.mark.parametrize("address", OUTWARD)
def test_a_public_address_is_one_that_may_be_discovered(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("spelling", ["2130706433", "0x7f.1", "127.1", "0177.0.0.1", "localhost"])
def test_another_spelling_of_loopback_is_judged_by_what_it_resolves_to(spelling: str) -> None:
    """R96: the system's resolver reads these as 127.0.0.1."""
    with serving(sending(answer(DOCUMENT))) as server:
        endpoint = Endpoint(server.url(host=spelling), discovered=True)
        assert cause_of(loopback(), endpoint) in (Cause.ADDRESS_REFUSED, Cause.NAME_UNRESOLVED)
    assert server.requests == []


def test_rebinding_the_name_between_the_check_and_the_connection_changes_nothing(authority: Authority) -> None:
    """R96: one resolution for each fetch, and the connection goes to the address that was judged."""
    answers = iter([["127.0.0.1"], ["169.254.169.254"], ["169.254.169.254"]])
    with serving(sending(answer(DOCUMENT)), tls=authority.server_context("issuer.test")) as server:
        fetcher = Fetcher(resolver=lambda _: next(answers))
        endpoint = Endpoint(server.url(host="issuer.test"), ca_file=authority.file)
        assert fetcher.get_json(endpoint).document == DOCUMENT
        assert cause_of(fetcher, endpoint) == Cause.ADDRESS_REFUSED
        assert next(answers) == ["169.254.169.254"]
    assert len(server.requests) == 1


def test_a_host_that_the_configuration_names_may_be_private() -> None:
    with serving(sending(answer(DOCUMENT))) as server:
        fetcher = loopback(resolver=resolving("127.0.0.1"))
        assert fetcher.get_json(Endpoint(server.url(host="cluster.internal"))).document == DOCUMENT


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "fd00:ec2::254"])
def test_a_name_that_the_configuration_names_may_not_lead_to_a_metadata_service(address: str) -> None:
    fetcher = Fetcher(resolver=resolving("10.0.0.1", address))
    assert cause_of(fetcher, Endpoint("https://cluster.internal/")) == Cause.ADDRESS_REFUSED


def test_a_link_local_address_may_be_configured_as_a_literal() -> None:
    """With no time at all it gets as far as the connection, and no further."""
    assert cause_of(Fetcher(deadline=0), Endpoint("https://169.254.7.7/")) == Cause.TIMED_OUT
    assert cause_of(Fetcher(deadline=0), Endpoint("https://[fd00:ec2::254]/")) == Cause.TIMED_OUT


def test_loopback_and_link_local_are_recognised_inside_other_addresses() -> None:
    assert is_loopback(ip_address("::ffff:127.0.0.1"))
    assert is_link_local(ip_address("64:ff9b::a9fe:a9fe"))
    assert not is_link_local(ip_address("10.0.0.1"))


def test_the_second_address_is_tried_when_the_first_is_dead() -> None:
    with serving(sending(answer(DOCUMENT))) as server:
        fetcher = loopback(resolver=resolving("127.0.0.2", "127.0.0.1"))
        assert fetcher.get_json(Endpoint(server.url(host="issuer.test"))).document == DOCUMENT


# TLS


def test_a_server_of_the_configured_authority_is_believed(authority: Authority) -> None:
    with serving(sending(answer(DOCUMENT)), tls=authority.server_context("127.0.0.1")) as server:
        assert Fetcher().get_json(Endpoint(server.url(), ca_file=authority.file)).document == DOCUMENT


def test_a_server_of_another_authority_is_not_believed(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    with serving(sending(answer(DOCUMENT)), tls=other.server_context("127.0.0.1")) as server:
        assert cause_of(Fetcher(), Endpoint(server.url(), ca_file=authority.file)) == Cause.TLS_FAILED
        assert cause_of(Fetcher(), Endpoint(server.url())) == Cause.TLS_FAILED
    assert server.requests == []


def test_a_certificate_for_another_host_is_not_believed(authority: Authority) -> None:
    with serving(sending(answer(DOCUMENT)), tls=authority.server_context("other.test", "127.0.0.1")) as server:
        fetcher = Fetcher(resolver=resolving("127.0.0.1"))
        endpoint = Endpoint(server.url(host="issuer.test"), ca_file=authority.file)
        assert cause_of(fetcher, endpoint) == Cause.TLS_FAILED
    assert server.requests == []


def test_an_authority_that_cannot_be_read_is_named_as_the_cause(tmp_path: Path) -> None:
    (tmp_path / "garbage.pem").write_text("garbage")
    for name in ("absent.pem", "garbage.pem"):
        endpoint = Endpoint("https://127.0.0.1:9/", ca_file=tmp_path / name)
        assert cause_of(Fetcher(), endpoint) == Cause.CREDENTIAL_UNREADABLE


def test_the_authority_is_read_again_for_each_fetch(authority: Authority, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(Authority(tmp_path, "old").file.read_bytes())
    with serving(sending(answer(DOCUMENT)), tls=authority.server_context("127.0.0.1")) as server:
        endpoint = Endpoint(server.url(), ca_file=file)
        assert cause_of(Fetcher(), endpoint) == Cause.TLS_FAILED
        file.write_bytes(authority.file.read_bytes())
        assert Fetcher().get_json(endpoint).document == DOCUMENT


# Credentials and the environment


def test_the_bearer_token_is_read_again_for_each_fetch(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with serving(sending(answer(DOCUMENT))) as server:
        for value in ("first.value", "second.value"):
            file.write_text(f"{value}\n")
            loopback().get_json(Endpoint(server.url(), bearer_token_file=file))
    assert [
        f"\r\nAuthorization: Bearer {value}\r\n" in request
        for value, request in zip(("first.value", "second.value"), server.requests, strict=True)
    ] == [True, True]


@pytest.mark.parametrize("content", ["", "two words", "a\r\nX-Injected: b", "\u00e9"])
def test_a_bearer_token_that_is_none_is_not_sent(tmp_path: Path, content: str) -> None:
    file = tmp_path / "token"
    file.write_text(content, "utf-8")
    with serving(sending(answer(DOCUMENT))) as server:
        assert cause_of(loopback(), Endpoint(server.url(), bearer_token_file=file)) == Cause.CREDENTIAL_UNREADABLE
        endpoint = Endpoint(server.url(), bearer_token_file=tmp_path / "absent")
        assert cause_of(loopback(), endpoint) == Cause.CREDENTIAL_UNREADABLE
    assert server.requests == []


def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(sending(answer({"from": "proxy"}))) as proxy, serving(sending(answer(DOCUMENT))) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))
        assert loopback().get_json(Endpoint(server.url())).document == DOCUMENT
    assert proxy.requests == []


def test_a_cookie_is_never_sent_back() -> None:
    fetcher = loopback()
    with serving(sending(answer(DOCUMENT, Set_Cookie="session=1"))) as server:
        fetcher.get_json(Endpoint(server.url()))
        fetcher.get_json(Endpoint(server.url()))
    assert not any("cookie" in request.lower() for request in server.requests)


def test_an_error_tells_the_host_and_nothing_else_of_the_url() -> None:
    with pytest.raises(Unavailable) as unavailable:
        Fetcher(resolver=resolving("169.254.1.1")).get_json(Endpoint("https://issuer.test/secret?key=value"))
    assert unavailable.value.facts == {"cause": Cause.ADDRESS_REFUSED, "host": "issuer.test", "status": None}
