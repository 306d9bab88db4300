"""A whole server, in this process or as a process of its own, from a configuration file as a user writes it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import urlencode

import urllib3

from tests import leaks

IMAGES = "https://images.example.com"
REPORTS = "https://reports.example.com"
AUDIENCE = "https://auth.example.com"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
BEARER_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"

TOML = """
[server]
issuer = "{issuer}"
environment = "{environment}"
bind = "127.0.0.1:{port}"
workers = {workers}
insecure_allow_http = true
{server}

[store]
url = "sqlite:authserver.db"

[keys]
master_key = {{ file = "master.key" }}
{keys}

[limits]
failures = "{failures}"

[telemetry]
bind = "127.0.0.1:{telemetry}"

[resources.images]
identifier = "https://images.example.com"
scopes = ["images:read", "images:write"]
{images}

[resources.reports]
identifier = "https://reports.example.com"
scopes = ["reports:read"]
default_scopes = ["reports:read"]
{reports}

[resources.bound]
identifier = "https://bound.example.com"
scopes = ["bound:read"]
sender_constrained = true

[sources.cluster]
type = "kubernetes"
issuer = "{cluster}"
audience = "https://auth.example.com"

[sources.github]
type = "github"
issuer = "{cluster}"
audience = "https://github.auth.example.com"
algorithms = ["ES256"]

[sources.once]
type = "oidc"
issuer = "{cluster}"
audience = "https://once.auth.example.com"
attributes = ["sub", "team"]
single_use = true

[[allow]]
name = "thumbnailer-reads-images"
source = "cluster"
match = {{ namespace = "media", service_account = "thumbnailer" }}
resource = "https://images.example.com"
scope = ["images:read"]

[[allow]]
name = "thumbnailer-reads-reports"
source = "cluster"
match = {{ namespace = "media", service_account = "thumbnailer" }}
resource = "https://reports.example.com"
scope = ["reports:read"]
lifetime = "15m"

[[allow]]
name = "thumbnailer-is-bound"
source = "cluster"
match = {{ namespace = "media", service_account = "thumbnailer" }}
resource = "https://bound.example.com"
scope = ["bound:read"]

[[allow]]
name = "somebody-once"
source = "once"
match = {{ sub = "somebody" }}
resource = "https://images.example.com"
scope = ["images:read", "images:write"]

[[allow]]
name = "deploy-writes-images"
source = "github"
match = {{ repository_id = "1" }}
resource = "https://images.example.com"
scope = ["images:write"]
{more}
"""


def free_port() -> int:
    """A port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_configuration(
    folder: Path,
    *,
    cluster: str,
    port: int | None = None,
    issuer: str | None = None,
    environment: str = "testing",
    workers: int = 1,
    failures: str = "off",
    server: str = "",
    keys: str = "",
    images: str = "",
    reports: str = 'algorithm = "RS256"',
    more: str = "",
    telemetry: int = 0,
) -> Path:
    """Write a configuration file whose identity issuer is ``cluster``; its path."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "authserver.toml"
    text = TOML.format(
        issuer=issuer or f"http://127.0.0.1:{port}",
        environment=environment,
        port=port,
        workers=workers,
        failures=failures,
        server=server,
        keys=keys,
        images=images,
        reports=reports,
        cluster=cluster,
        more=more,
        telemetry=telemetry,
    )
    file.write_text(text, encoding="utf-8")
    return file


def exchange_form(token: str, **changes: str | None) -> dict[str, str]:
    """The form of a token exchange for ``images:read``; None takes a parameter away."""
    form = {
        "grant_type": EXCHANGE,
        "subject_token": token,
        "subject_token_type": JWT_TYPE,
        "resource": IMAGES,
        "scope": "images:read",
        **changes,
    }
    return {name: value for name, value in form.items() if value is not None}


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


_pool = urllib3.PoolManager(retries=False, timeout=10.0, maxsize=20)


def ask(
    method: str, url: str, *, form: Mapping[str, str] | Sequence[tuple[str, str]] | None = None, **options: Any
) -> Answer:
    """One HTTP request, without retries and without following redirects."""
    if form is not None:
        options["body"] = urlencode(list(form.items()) if isinstance(form, Mapping) else form)
        options["headers"] = {"Content-Type": "application/x-www-form-urlencoded", **options.get("headers", {})}
    response = _pool.request(method, url, redirect=False, **options)
    answer = Answer(response.status, response.headers, response.data)
    if b"access_token" in answer.body:
        leaks.handled(str(answer.json.get("access_token", "")))
    return answer


class Server:
    """``authserver serve`` as a process of its own. Its output is read at the end, and must not hold a credential."""

    options: ClassVar[Sequence[str]] = ()
    """What every server is started with. Its own arguments come after."""

    def __init__(self, configuration: Path, *arguments: str) -> None:
        self.configuration = configuration
        self.output = configuration.with_suffix(f".{free_port()}.log")
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None
        settings = tomllib.loads(configuration.read_text(encoding="utf-8"))
        self.url = "http://" + settings["server"]["bind"]
        self.worker_count = int(settings["server"]["workers"])

    def start(self) -> Self:
        """Start, and return when it answers."""
        command = [sys.executable, "-m", "authserver", "serve", "--config", str(self.configuration)]
        command += [*self.options, *self.arguments]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        self.wait_until_live()
        return self

    def wait_until_live(self, seconds: float = 30) -> None:
        """Return when ``/livez`` answers and every worker is there.

        :raises AssertionError: it does not within ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process is not None
            assert self.process.poll() is None, f"the server ended with {self.process.returncode}: {self.read_output()}"
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                if ask("GET", f"{self.url}/livez").status == 200 and len(self.workers()) == self.worker_count:
                    return
            time.sleep(0.05)
        raise AssertionError("the server does not answer")

    def stop(self) -> int:
        """Stop gracefully; the exit code."""
        assert self.process is not None
        _pool.clear()  # or gunicorn waits for what we might still send on a connection that was kept
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """Kill every process of the server at once, as a power failure would."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text(encoding="ascii").split()]

    def read_output(self) -> str:
        """Everything that the server wrote."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def events(self) -> list[dict[str, Any]]:
        """The audit events so far."""
        lines = [json.loads(line) for line in self.read_output().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == "decision"]

    def token(self, token: str, **changes: str | None) -> Answer:
        """Exchange an identity token."""
        return ask("POST", f"{self.url}/token", form=exchange_form(token, **changes))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.stop()
        leak = leaks.find(self.read_output())
        assert leak is None, f"the server's output holds {leak}"


@contextlib.contextmanager
def serving(folder: Path, *, cluster: str, **settings: Any) -> Iterator[Server]:
    """A running server with a configuration of its own."""
    with Server(write_configuration(folder, cluster=cluster, **settings)) as server:
        yield server
