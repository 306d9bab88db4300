"""The way to a server through a proxy, with real TLS through a real tunnel."""

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from authserver.client.failures import CallFailed, NoAnswer
from authserver.client.http import Http
from authserver.client.proxy import find_proxy
from authserver.jose.addresses import Location
from tests.jose.servers import Authority, Server, answer, sending
from tests.leaks import handled

HOST = "auth.internal.example"
SERVER = Location.of(f"https://{HOST}/token")


@pytest.fixture(autouse=True)
def no_proxy_but_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "http_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Server, ssl.SSLContext]]:
    authority = Authority(tmp_path)
    trust = ssl.create_default_context(cafile=authority.file)
    with Server(sending(answer({"a": 1})), authority.server_context(HOST)).running() as running:
        yield running, trust


def copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


def tunnelling(port: int) -> Server:
    """A proxy that connects everybody with this port, whatever they ask for."""

    def respond(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as upstream:
            threading.Thread(target=copy, args=(upstream, client), daemon=True).start()
            copy(client, upstream)

    return Server(respond)


def test_a_server_is_reached_through_the_proxy_and_verified_by_its_own_name(
    server: tuple[Server, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    running, trust = server
    with tunnelling(running.port).running() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:{handled('pass%40word-of-mine')}@127.0.0.1:{proxy.port}")
        assert Http(trust=trust).send("GET", f"https://{HOST}/x").json == {"a": 1}
        with pytest.raises(NoAnswer, match="no trusted connection") as failed:
            Http(trust=trust).send("GET", "https://another.internal.example/x")
    assert f"through the proxy 127.0.0.1:{proxy.port}" in str(failed.value)
    asked = proxy.requests[0].split("\r\n")
    credentials = base64.b64encode(b"me:pass@word-of-mine").decode()
    assert asked[:3] == [
        f"CONNECT {HOST}:443 HTTP/1.1",
        f"Host: {HOST}:443",
        f"Proxy-Authorization: Basic {credentials}",
    ]
    assert running.requests[0].startswith("GET /x HTTP/1.1")
    assert credentials not in running.requests[0]


def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(sending(answer({}, "407 Proxy Authentication Required"))).running() as proxy:
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{proxy.port}")
        with pytest.raises(NoAnswer, match=rf"the proxy 127.0.0.1:{proxy.port} does not lead to \[::2\]:443: .* 407"):
            Http().send("GET", "https://[::2]/x")
    assert "Proxy-Authorization" not in proxy.requests[0]


@pytest.mark.parametrize(
    ("url", "no_proxy", "proxied"),
    [
        (f"https://{HOST}/", "", True),
        (f"https://{HOST}/", ".internal.example", False),
        (f"https://{HOST}:8443/", "a.example, auth.internal.example:8443", False),
        (f"https://{HOST}/", "internal.examples", True),
        (f"https://{HOST}/", "*", False),
        ("https://localhost/", "", False),
        ("https://127.0.0.1/", "", False),
        ("https://[::1]/", "", False),
        ("http://127.0.0.1/", "", False),
    ],
)
def test_what_needs_no_proxy_is_asked_directly(
    url: str, no_proxy: str, proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert (find_proxy(Location.of(url)) is not None) is proxied


@pytest.mark.parametrize("named", ["socks5://proxy.example", "https://proxy.example", "http://", "http://proxy:x"])
def test_a_proxy_that_cannot_be_used_is_no_reason_to_go_without(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", named)
    with pytest.raises(CallFailed, match="HTTPS_PROXY"):
        find_proxy(SERVER)


def test_no_credentials_are_in_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:a-password@proxy.example")
    proxy = find_proxy(SERVER)
    assert "a-password" not in f"{proxy} {proxy!r}"
    assert str(proxy) == "proxy.example:80"
