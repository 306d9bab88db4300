"""What ``[server] tls`` names and cannot be used is said before anything is served, and before anything is reloaded."""

import ssl
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from authserver.hosting.tls import server_tls
from authserver.settings import load
from authserver.testing import FakeIssuer, FrozenClock
from tests.authority import SERVER, Authority, dns
from tests.served import Server, write_configuration

TLS: dict[str, Any] = {
    "keys": 'algorithms = ["ES256"]',
    "reports": "",
    "server": 'tls = { cert_file = "server.pem", key_file = "server.key" }',
}


@pytest.mark.slow
def test_without_its_files_the_server_does_not_start(tmp_path: Path, cluster: FakeIssuer) -> None:
    configuration = write_configuration(tmp_path, cluster=cluster.issuer, **TLS)
    command = [sys.executable, "-m", "authserver", "serve", "--config", str(configuration)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 78
    assert "server.tls: names files that cannot be used: No such file or directory" in done.stderr


def test_files_are_read_again_and_the_last_good_ones_stay(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = load(write_configuration(tmp_path, cluster="https://cluster.example.com", **TLS))
    authority = Authority(now=FrozenClock()())
    known: list[Any] = []
    authority.issue(dns("localhost"), purposes=(SERVER,)).write(tmp_path, "server")
    tls = server_tls(settings, lambda: known)
    assert tls is not None
    first = tls.context()
    assert tls.context() is first
    assert first.options & ssl.OP_NO_RENEGOTIATION
    known.append(authority.certificate)
    asking = tls.context()
    assert (asking is first, len(asking.get_ca_certs())) == (False, 1)
    (tmp_path / "server.pem").write_text("half a file", encoding="ascii")
    assert tls.context() is asking
    (tmp_path / "server.pem").unlink()
    assert tls.context() is asking
    assert [each.message.partition(";")[0] for each in caplog.records] == [
        "the certificate of server.tls was not read again"
    ]
    authority.issue(dns("localhost"), purposes=(SERVER,)).write(tmp_path, "server")
    assert tls.context() is not asking
    (tmp_path / "server.pem").unlink()
    tls.context()
    assert len(caplog.records) == 2


def test_without_the_table_there_is_no_tls(tmp_path: Path) -> None:
    settings = load(write_configuration(tmp_path, cluster="https://cluster.example.com"))
    assert server_tls(settings) is None


def shown(server: Server) -> x509.Certificate:
    """The certificate that a new connection is shown."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    pem = ssl.get_server_certificate((host, int(port)), timeout=30)
    return x509.load_pem_x509_certificate(pem.encode("ascii"))


def until_it_is_shown(server: Server) -> None:
    """Return when the server answers with a certificate."""
    deadline = time.monotonic() + 60
    while True:
        try:
            shown(server)
        except OSError:
            assert time.monotonic() < deadline, server.read_output()
            time.sleep(0.05)
        else:
            return


def reload(server: Server) -> subprocess.CompletedProcess[str]:
    """``authserver reload``, to its end."""
    command = [sys.executable, "-m", "authserver", "reload", "--config", str(server.configuration)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_a_reload_takes_other_files_and_neither_those_it_cannot_use_nor_none(
    tmp_path: Path, cluster: FakeIssuer
) -> None:
    authority = Authority(now=time.time())
    first, second = (authority.issue(dns("localhost"), purposes=(SERVER,)) for _ in range(2))
    first.write(tmp_path, "server")
    second.write(tmp_path, "other")
    server = Server(write_configuration(tmp_path, cluster=cluster.issuer, workers=2, **TLS))
    server.wait_until_live = partial(until_it_is_shown, server)  # type: ignore[method-assign]
    with_tls = server.configuration.read_text(encoding="utf-8")
    with server:
        assert shown(server) == first.certificate
        server.configuration.write_text(with_tls.replace('"server.', '"absent.'), encoding="utf-8")
        done = reload(server)
        assert done.returncode == 78
        assert "server.tls: names files that cannot be used: No such file or directory" in done.stderr
        server.configuration.write_text(with_tls.replace(TLS["server"], ""), encoding="utf-8")
        done = reload(server)
        assert done.returncode == 1
        assert "server.tls: whether the server speaks TLS takes a restart to change" in done.stderr
        assert {shown(server) for _ in range(10)} == {first.certificate}
        server.configuration.write_text(with_tls.replace('"server.', '"other.'), encoding="utf-8")
        done = reload(server)
        assert done.returncode == 0, done.stderr
        assert {shown(server) for _ in range(10)} == {second.certificate}
