"""A server tells systemd when it listens (sd_notify), which the unit in deploy/ relies on: ``Type=notify``."""

import socket
from pathlib import Path

import pytest

from authserver.testing import FakeIssuer
from tests.served import serving

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("either_server")
def test_it_says_that_it_is_ready(tmp_path: Path, cluster: FakeIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(place))
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(place))
        with serving(tmp_path, cluster=cluster.issuer, keys='algorithms = ["ES256"]', reports=""):
            assert b"READY=1" in manager.recv(4096).splitlines()
