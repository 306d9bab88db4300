"""``authserver health``, which orchestrators run beside the server."""

import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from authserver.cli.commands import authserver
from authserver.testing import FakeIssuer
from tests.authority import SERVER, Authority, dns
from tests.served import free_port, serving

ANSWERS = {
    "/livez": (200, b'{"status": "alive"}'),
    "/readyz": (200, b'{"status": "degraded", "degraded": ["store"]}'),
    "/below/livez": (200, b'{"status": "alive"}'),
    "/below/readyz": (503, b'{"status": "unready", "degraded": ["store", "algorithm:ES256"]}'),
    "/page/livez": (200, b"<html>"),
    "/other/livez": (200, b"[]"),
}


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers as it is told to."""

    def do_GET(self) -> None:
        status, body = ANSWERS[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def health(*arguments: str) -> tuple[int, str]:
    """The exit code, and everything that was printed."""
    done = CliRunner().invoke(authserver, ["health", *arguments])
    return done.exit_code, done.output


def test_it_says_how_the_server_is(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert health("--url", url) == (0, "alive\n")
    assert health("--url", f"{url}/", "--ready") == (0, "degraded: store\n")
    assert health("--url", f"{url}/below") == (0, "alive\n")
    assert health("--url", f"{url}/below", "--ready") == (1, "503 unready: store, algorithm:ES256\n")


def test_what_does_not_answer_as_a_server_does_is_not_well(url: str) -> None:
    for below in ("page", "other"):
        code, said = health("--url", f"{url}/{below}")
        assert code == 1
        assert "no answer" in said
    code, said = health("--url", f"http://127.0.0.1:{free_port()}")
    assert code == 1
    assert "no answer" in said


@pytest.fixture(scope="module")
def tls_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that speaks TLS itself, with a certificate for the name of its issuer."""
    certified = Authority(now=time.time()).issue(dns("auth.example.com"), purposes=(SERVER,))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certified.write(tmp_path_factory.mktemp("tls"), "server"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_server_with_tls_of_its_own_is_asked_whatever_name_its_certificate_has(tls_url: str) -> None:
    assert health("--url", tls_url) == (0, "alive\n")
    assert health("--url", tls_url, "--ready") == (0, "degraded: store\n")
    code, said = health("--url", tls_url.replace("https:", "http:"))
    assert code == 1
    assert "no answer" in said


@pytest.mark.parametrize("wrong", ["127.0.0.1:8400", "ftp://127.0.0.1", "http://", "", "http://[::1", "http://x:99999"])
def test_an_address_that_is_none_is_a_mistake_in_use(wrong: str) -> None:
    assert health("--url", wrong)[0] == 2


@pytest.mark.slow
def test_a_server_that_runs_is_well(tmp_path: Path, cluster: FakeIssuer) -> None:
    with serving(tmp_path, cluster=cluster.issuer, keys='algorithms = ["ES256"]', reports="") as server:
        assert health("--url", server.url) == (0, "alive\n")
        assert health("--url", server.url, "--ready")[0] == 0
    assert health("--url", server.url)[0] == 1
