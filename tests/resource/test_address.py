"""Where a resource server believes itself to be, and what a WSGI server says that was asked for."""

from typing import Any

import pytest

from authserver.resource.address import ExternalAddress
from authserver.resource.urls import is_on_this_machine
from authserver.resource.wsgi import offered_proof, sent_path

AUDIENCE = "https://images.example.com"
ELSEWHERE = {"own_origin": "https://attacker.example", "peer": "203.0.113.7"}
HERE = {"own_origin": "http://localhost:5000", "peer": "127.0.0.1"}


@pytest.mark.parametrize(
    ("url", "audience", "address"),
    [
        (None, AUDIENCE, f"{AUDIENCE}/cats"),
        (None, f"{AUDIENCE}/", f"{AUDIENCE}/cats"),
        (None, f"{AUDIENCE}/v1/images?x=1", f"{AUDIENCE}/cats"),
        (None, "https://images.example.com:8443/v1", "https://images.example.com:8443/cats"),
        ("https://cdn.example", AUDIENCE, "https://cdn.example/cats"),
        ("https://cdn.example/api", AUDIENCE, "https://cdn.example/api/cats"),
        ("https://cdn.example/api/", "images", "https://cdn.example/api/cats"),
    ],
)
def test_the_address_is_what_was_configured(url: str | None, audience: str, address: str) -> None:
    """R63"""
    assert ExternalAddress(url, audience).of("/cats", **ELSEWHERE) == (address,)


def test_an_identifier_that_is_no_web_address_says_nothing_about_it() -> None:
    """R63: and nothing that a caller says fills the gap."""
    for audience in ("images", "urn:example:images"):
        assert ExternalAddress(None, audience).of("/cats", **ELSEWHERE) == ()


def test_a_program_under_development_needs_no_configuration() -> None:
    assert ExternalAddress(None, "images").of("/cats", **HERE) == ("http://localhost:5000/cats",)
    assert ExternalAddress(None, AUDIENCE).of("/cats", **HERE) == (f"{AUDIENCE}/cats", "http://localhost:5000/cats")


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("origin", ["http://localhost", "http://127.0.0.1:5000", "http://[::1]:5000"])
def test_this_machine_has_many_names(origin: str, peer: str) -> None:
    assert ExternalAddress(None, "images").of("/", own_origin=origin, peer=peer) == (f"{origin}/",)


@pytest.mark.parametrize("peer", ["", "10.0.0.1", "203.0.113.7", "localhost", "unix:", "::2"])
def test_from_another_machine_a_forged_host_is_not_believed(peer: str) -> None:
    """R63, attacks: Host forged."""
    assert ExternalAddress(None, "images").of("/", own_origin="http://localhost:5000", peer=peer) == ()


@pytest.mark.parametrize(
    "origin",
    [
        "http://",
        "http://localhost.attacker.example",
        "http://127.0.0.1.attacker.example",
        "http://attacker.example@localhost",
        "http://localhost@attacker.example",
        "http://localhost#",
        "http://localhost:port",
        "http://127.1",
        "http://0x7f000001",
        "http://0.0.0.0",
        "http://[::]",
        "http://[::1",
        "http://10.0.0.1",
        "ftp://localhost",
        "http://local host",
        "http://löcalhost",
    ],
)
def test_nothing_else_is_taken_for_this_machine(origin: str) -> None:
    """R63"""
    assert not is_on_this_machine(origin)
    assert ExternalAddress(None, "images").of("/", own_origin=origin, peer="127.0.0.1") == ()


def test_with_a_configured_url_nothing_that_a_request_says_counts() -> None:
    """R63"""
    assert ExternalAddress("https://cdn.example", AUDIENCE).of("/", **HERE) == ("https://cdn.example/",)


# The path


@pytest.mark.parametrize("name", ["RAW_URI", "REQUEST_URI"])
@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/images/a%2Fb?size=2", "/images/a%2Fb"),
        ("/caf%C3%A9", "/caf%C3%A9"),
        ("/caf\xc3\xa9", "/caf%C3%A9"),
        ("//images//a", "//images//a"),
        ("/images/../a", "/images/../a"),
        ("/a#b?c", "/a"),
        ("/%", "/%"),
        ("/a b", "/a%20b"),
        ("https://attacker.example/images?size=2", "/images"),
        ("http://attacker.example", ""),
        ("http://[::1/images", "/images"),
        ("*", ""),
        ("/\u20ac", "/%3F"),
    ],
)
def test_the_path_is_taken_as_it_was_sent(name: str, target: str, path: str) -> None:
    """R63: percent-encoding kept, and a host in the request line is not looked at."""
    assert sent_path({name: target, "SCRIPT_NAME": "/wrong", "PATH_INFO": "/wrong"}) == path


@pytest.mark.parametrize(
    ("script_name", "path_info", "path"),
    [
        ("", "/images", "/images"),
        ("/api", "/images", "/api/images"),
        ("/api", "", "/api"),
        ("", "", ""),
        ("", "/caf\xc3\xa9", "/caf%C3%A9"),
        ("", "/a b%", "/a%20b%25"),
        ("", "//images//a;v=1,2:3@4", "//images//a;v=1,2:3@4"),
    ],
)
def test_a_server_that_does_not_say_is_asked_for_the_path_that_it_decoded(
    script_name: str, path_info: str, path: str
) -> None:
    """PEP 3333: the environment has bytes, each as one character."""
    assert sent_path({"SCRIPT_NAME": script_name, "PATH_INFO": path_info}) == path


def environment(**members: Any) -> dict[str, Any]:
    return {"REQUEST_METHOD": "GET", "wsgi.url_scheme": "https", "PATH_INFO": "/images", **members}


def test_without_a_header_there_is_no_proof() -> None:
    assert offered_proof(environment(), ExternalAddress(None, AUDIENCE)) is None


def test_what_was_forged_does_not_get_into_the_address() -> None:
    """R63, attacks: Host and X-Forwarded-* forged."""
    forged = {
        "HTTP_HOST": "attacker.example",
        "HTTP_X_FORWARDED_HOST": "attacker.example",
        "HTTP_X_FORWARDED_PROTO": "http",
        "HTTP_X_FORWARDED_PREFIX": "/attacker",
        "HTTP_FORWARDED": "host=attacker.example",
        "REMOTE_ADDR": "127.0.0.1",
    }
    offered = offered_proof(environment(HTTP_DPOP="proof", **forged), ExternalAddress(None, AUDIENCE))
    assert offered is not None
    assert (offered.headers, offered.method, offered.urls) == (("proof",), "GET", (f"{AUDIENCE}/images",))
