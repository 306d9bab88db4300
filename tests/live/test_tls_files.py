"""What ``[server] tls`` names and cannot be used is said before anything is served."""

import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from authserver.hosting.tls import server_tls
from authserver.settings import load
from authserver.testing import FakeIssuer, FrozenClock
from tests.authority import SERVER, Authority, dns
from tests.served import write_configuration

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


def test_files_are_read_again_and_the_last_good_ones_stay(tmp_path: Path) -> None:
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
    authority.issue(dns("localhost"), purposes=(SERVER,)).write(tmp_path, "server")
    assert tls.context() is not asking


def test_without_the_table_there_is_no_tls(tmp_path: Path) -> None:
    settings = load(write_configuration(tmp_path, cluster="https://cluster.example.com"))
    assert server_tls(settings) is None
