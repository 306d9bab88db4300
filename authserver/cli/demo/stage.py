"""What the demo plays on: an identity issuer, the server, and an API, each with a port of its own on loopback."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode

import urllib3

from authserver.oauth import JWKS_PATH, TOKEN_PATH, Grant, TokenType
from authserver.testing import FakeIssuer

AUDIENCE: Final = "https://auth.example.com"
IMAGES: Final = "https://images.example.com"
PATIENCE: Final = 30
"""Seconds that anything may take before the demo counts as failed."""

_CONFIGURATION: Final = """
[server]
issuer = "{issuer}"
environment = "demo"
bind = "127.0.0.1:{port}"
workers = 2
clock_skew = "0s"
insecure_allow_http = true

[keys]
algorithms = ["ES256"]
rotate_every = "4s"
publish_ahead = "2s"
jwks_max_age = "1s"
master_key = {{ file = "master.key" }}

[resources.images]
identifier = "https://images.example.com"
scopes = ["images:read", "images:write"]

[sources.cluster]
type = "kubernetes"
issuer = "{cluster}"
audience = "https://auth.example.com"
algorithms = ["ES256"]

[[allow]]
name = "thumbnailer-reads-images"
source = "cluster"
match = {{ namespace = "media", service_account = "thumbnailer" }}
resource = "https://images.example.com"
scope = ["images:read"]

[sources.phones]
type = "device"

[[allow]]
name = "phones-of-alice-read-images"
source = "phones"
match = {{ owner = "alice" }}
resource = "https://images.example.com"
scope = ["images:read"]
"""


class DemoFailed(Exception):
    """A step did not do what it says."""


class Stage:
    """Starts everything, asks for tokens, calls the API, and clears up at the end."""

    def __init__(self, folder: Path, cluster: FakeIssuer) -> None:
        self.cluster = cluster
        self.configuration = folder / "authserver.toml"
        self.output = folder / "output.log"
        self.phone = folder / "phone"
        self.port, self.api_port = _free_port(), _free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._http = urllib3.PoolManager(retries=False, timeout=5.0)

    @property
    def issuer(self) -> str:
        """The server's own issuer."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> str:
        """The API's address."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def images(self) -> str:
        """The address that the API is called at."""
        return self.api + "/images"

    def identity(self, service_account: str, **claims: Any) -> str:
        """The identity token that the cluster gives a service account in the namespace ``media``."""
        return self.cluster.kubernetes_token("media", service_account, AUDIENCE, **claims)

    def exchange(self, identity: str, scope: str = "images:read") -> tuple[int, dict[str, Any]]:
        """Trade an identity token for an access token; the status and the answer."""
        form = {
            "grant_type": Grant.TOKEN_EXCHANGE.value,
            "subject_token": identity,
            "subject_token_type": TokenType.JWT.value,
            "resource": IMAGES,
            "scope": scope,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        response = self._http.request("POST", self.issuer + TOKEN_PATH, body=urlencode(form), headers=headers)
        return response.status, json.loads(response.data)

    def token(self, service_account: str = "thumbnailer") -> str:
        """An access token.

        :raises DemoFailed: the server gave none.
        """
        status, answer = self.exchange(self.identity(service_account))
        expect(status == 200, f"the server answered {status} {answer.get('error')}")
        return str(answer["access_token"])

    def call(self, token: str, method: str = "GET") -> tuple[int, Mapping[str, str], bytes]:
        """Call the API with a token; status, headers and body."""
        return self.request({"Authorization": f"Bearer {token}"}, method)

    def request(self, headers: Mapping[str, str], method: str = "GET") -> tuple[int, Mapping[str, str], bytes]:
        """Call the API with these headers; status, headers and body."""
        response = self._http.request(method, self.images, headers=headers)
        return response.status, response.headers, response.data

    def published(self) -> list[str]:
        """The identifiers of the keys that the server publishes."""
        keys = json.loads(self._http.request("GET", self.issuer + JWKS_PATH).data)["keys"]
        return [key["kid"] for key in keys]

    def event(self, request_id: str) -> dict[str, Any]:
        """The audit event of a request, as an operator finds it."""
        for line in self.output.read_text(encoding="utf-8").splitlines():
            if request_id in line:
                event: dict[str, Any] = json.loads(line)
                return event
        raise DemoFailed(f"there is no audit event for request {request_id}")

    def command(self, *arguments: str) -> str:
        """Run ``authserver`` as an operator would; what it prints."""
        command = [sys.executable, "-m", "authserver", *arguments, "--config", str(self.configuration)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603
        expect(done.returncode == 0, f"authserver {arguments[0]} ended with {done.returncode}")
        return done.stdout

    def __enter__(self) -> Self:
        values = {"issuer": self.issuer, "port": self.port, "cluster": self.cluster.issuer}
        self.configuration.write_text(_CONFIGURATION.format(**values), encoding="utf-8")
        self._start("authserver", "serve", "--config", str(self.configuration))
        self._start(
            "gunicorn",
            "authserver.hosting.demo_api:application",
            f"--bind=127.0.0.1:{self.api_port}",
            "--threads=2",
            "--no-control-socket",
            DEMO_ISSUER=self.issuer,
            DEMO_AUDIENCE=IMAGES,
        )
        self._wait_for(self.issuer + "/readyz", 200)
        self._wait_for(self.api + "/images", 401)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()

    def _start(self, *arguments: str, **environment: str) -> None:
        command = [sys.executable, "-m", *arguments]
        with self.output.open("ab") as output:
            self._processes.append(
                subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **environment})  # noqa: S603
            )

    def _wait_for(self, url: str, status: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                if self._http.request("GET", url).status == status:
                    return
            if any(process.poll() is not None for process in self._processes):
                break
            time.sleep(0.1)
        last = self.output.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise DemoFailed(f"{url} does not answer. The last output was:\n{last}")


def expect(fact: bool, otherwise: str) -> None:
    """:raises DemoFailed: ``fact`` is not one."""
    if not fact:
        raise DemoFailed(otherwise)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
