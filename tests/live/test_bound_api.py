"""A bound token at an API whose own server speaks TLS: gunicorn hands the connection to the adapter."""

import json
import os
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
import urllib3

from authserver.certificate import ClientCertificate
from authserver.testing import FakeIssuer
from tests import leaks
from tests.authority import SERVER, Authority, Certified, dns
from tests.served import IMAGES, free_port

pytestmark = pytest.mark.slow


def test_gunicorn_shows_whose_connection_it_is(tmp_path: Path, cluster: FakeIssuer) -> None:
    """R71"""
    servers, callers = Authority("servers", now=time.time()), Authority("callers", now=time.time())
    cert, key = servers.issue(dns("localhost"), purposes=(SERVER,)).write(tmp_path, "server")
    for name, authority in (("trust", servers), ("ca", callers)):
        (tmp_path / f"{name}.pem").write_text(authority.pem, encoding="ascii")
    backup, other = (callers.issue(dns("backup.example.com")) for _ in range(2))
    bound_to = {"x5t#S256": ClientCertificate(backup.der).thumbprint}
    token = leaks.handled(cluster.access_token(IMAGES, "images:read", cnf=bound_to))
    url = f"https://localhost:{(port := free_port())}"

    def call(certified: Certified | None) -> int:
        context = ssl.create_default_context(cafile=tmp_path / "trust.pem")
        if certified is not None:
            context.load_cert_chain(*certified.write(tmp_path, "shown"))
        with urllib3.PoolManager(ssl_context=context, retries=False, timeout=10.0) as pool:
            return pool.request("GET", f"{url}/images", headers={"Authorization": f"Bearer {token}"}).status

    tls = [f"--certfile={cert}", f"--keyfile={key}", f"--ca-certs={tmp_path / 'ca.pem'}", "--cert-reqs=1"]
    command = [sys.executable, "-m", "gunicorn", "tests.bound_api:application", "--no-control-socket"]
    environment = {**os.environ, "BOUND_ISSUER": cluster.issuer, "BOUND_CERTIFICATES": json.dumps("tls")}
    api = subprocess.Popen([*command, f"--bind=127.0.0.1:{port}", *tls], env=environment)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                assert call(None) == 401
                break
            except urllib3.exceptions.HTTPError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert [call(backup), call(other), call(None), call(backup)] == [200, 401, 401, 200]
    finally:
        api.terminate()
        api.wait(30)
