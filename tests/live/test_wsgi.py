"""The application under a WSGI server of one's own."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import urllib3

from authserver.testing import FakeIssuer
from tests import leaks
from tests.served import AUDIENCE, ask, exchange_form, free_port, write_configuration

pytestmark = pytest.mark.slow

ES256: dict[str, Any] = {"keys": 'algorithms = ["ES256"]', "reports": ""}


def test_any_wsgi_server_can_host_the_application(tmp_path: Path, cluster: FakeIssuer) -> None:
    configuration, port = write_configuration(tmp_path, cluster=cluster.issuer, **ES256), free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "gunicorn", "authserver.hosting.wsgi:application", "--no-control-socket"]
    with (tmp_path / "output.log").open("wb") as output:
        host = subprocess.Popen(
            [*command, f"--bind=127.0.0.1:{port}"],
            stdout=output,
            stderr=output,
            env={**os.environ, "AUTHSERVER_CONFIG": str(configuration)},
        )
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    if ask("GET", f"{url}/livez").status == 200:
                        break
                except urllib3.exceptions.HTTPError:
                    assert time.monotonic() < deadline
                    assert host.poll() is None
                    time.sleep(0.05)
            token = leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))
            assert ask("POST", f"{url}/token", form=exchange_form(token)).status == 200
        finally:
            host.terminate()
            assert host.wait(30) == 0
    leak = leaks.find((tmp_path / "output.log").read_text(encoding="utf-8"))
    assert leak is None


@pytest.mark.parametrize(("named", "says"), [(False, "AUTHSERVER_CONFIG must name"), (True, "server.colour")])
def test_without_a_configuration_that_can_be_used_it_says_so(
    named: bool, says: str, tmp_path: Path, cluster: FakeIssuer
) -> None:
    configuration = write_configuration(tmp_path, cluster=cluster.issuer, server='colour = "red"', **ES256)
    environment = {name: value for name, value in os.environ.items() if name != "AUTHSERVER_CONFIG"}
    if named:
        environment["AUTHSERVER_CONFIG"] = str(configuration)
    done = subprocess.run(
        [sys.executable, "-c", "import authserver.hosting.wsgi"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
