"""A host as the runbooks take it for granted: the server is a service, and its files are in their places."""

import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from authserver.testing import FakeIssuer
from tests import leaks
from tests.recipes.following import authserver_program, follow, part, program
from tests.served import AUDIENCE, Answer, ask, exchange_form, free_port

MAIN: Final = """
[server]
issuer = "http://127.0.0.1:{port}"
bind = "127.0.0.1:{port}"
environment = "testing"
workers = 2
include = ["policies/*.toml"]
insecure_allow_http = true

[store]
url = "sqlite:{folder}/store/authserver.db"

[keys]
algorithms = ["ES256"]
master_key = {{ file = "{folder}/key/master.key" }}

[telemetry]
bind = "127.0.0.1:{telemetry}"

[resources.images]
identifier = "https://images.example.com"
scopes = ["images:read"]

[sources.prod-cluster]
type = "kubernetes"
issuer = "{cluster}"
audience = "https://auth.example.com"

[sources.other-cluster]
type = "kubernetes"
issuer = "{cluster}"
audience = "https://other.auth.example.com"
"""

RULES: Final = """
[[allow]]
name = "thumbnailer-of-{source}-reads-images"
source = "{source}"
match = {{ namespace = "media", service_account = "thumbnailer" }}
resource = "https://images.example.com"
scope = ["images:read"]
"""

SYSTEMCTL: Final = """
set -eu
cd {folder}
pid() {{ cat pid; }}
lives() {{ kill -0 "$(pid)" 2>/dev/null; }}
answers() {{ curl -fsS -o /dev/null {url}/livez 2>/dev/null; }}
workers() {{ tr ' ' '\\n' < /proc/$(pid)/task/$(pid)/children | sed '/^$/d'; }}
start() {{
  setsid authserver serve --config etc/authserver.toml >> log/audit.log 2>> log/serve.log < /dev/null &
  echo $! > pid
  until answers; do lives || exit 1; sleep 0.1; done
}}
stop() {{ kill -TERM "$(pid)"; while lives; do sleep 0.1; done; }}
reload() {{
  workers > before
  kill -HUP "$(pid)"
  while workers | grep -q -x -F -f before || [ "$(workers | wc -l)" != 2 ]; do sleep 0.1; done
}}
restart() {{ stop; start; }}
reload-or-restart() {{ if lives; then reload; else start; fi; }}
"$1"
"""
"""What systemd does for the service, as far as the pages ask for it."""


@dataclass(frozen=True)
class Host:
    """Its files are below ``folder``. Both of its sources believe ``cluster``, for different audiences."""

    folder: Path
    cluster: FakeIssuer
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        for name in ("etc/policies", "store", "key", "log", "backups", "backup-of-key"):
            (self.folder / name).mkdir(parents=True)
        main = MAIN.format(port=self.port, folder=self.folder, telemetry=free_port(), cluster=self.cluster.issuer)
        self.configuration.write_text(main, encoding="utf-8")
        for source in ("prod-cluster", "other-cluster"):
            rules = self.folder / "etc" / "policies" / f"{source}.toml"
            rules.write_text(RULES.format(source=source), encoding="utf-8")
        authserver_program(self.folder / "bin")
        program(self.folder / "bin", "systemctl", SYSTEMCTL.format(folder=self.folder, url=self.url))

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def configuration(self) -> Path:
        """The main file."""
        return self.folder / "etc" / "authserver.toml"

    def run(self, script: str) -> str:
        """Run a script on this host, with the places of this host for those of the pages; what it printed."""
        places = {
            "/etc/authserver/": f"{self.folder}/etc/",
            "/var/lib/authserver/": f"{self.folder}/store/",
            "/var/lib/authserver-key/": f"{self.folder}/key/",
            "/var/log/authserver/": f"{self.folder}/log/",
            "/var/backups/authserver/": f"{self.folder}/backups/",
            "/var/backups/authserver-key/": f"{self.folder}/backup-of-key/",
            "https://auth.example.com": self.url,
            "https://kubernetes.default.svc.cluster.local": self.cluster.issuer,
        }
        path = f"{self.folder}/bin{os.pathsep}{os.environ['PATH']}"
        return follow(script, self.folder, places, PATH=path, AUTHSERVER_CONFIG=str(self.configuration))

    def follow(self, page: str, *headings: str) -> str:
        """Follow these parts of a page; what they printed."""
        return self.run("\n".join(part(page, heading) for heading in headings))

    def exchange(self, audience: str = AUDIENCE) -> Answer:
        """What the server answers to a workload of the source with this audience."""
        identity = leaks.handled(self.cluster.kubernetes_token("media", "thumbnailer", audience))
        return ask("POST", f"{self.url}/token", form=exchange_form(identity))

    def ready(self) -> Any:
        """What the server says of itself."""
        return ask("GET", f"{self.url}/readyz").json

    def published(self) -> set[str]:
        """The keys that verifiers are shown."""
        return {key["kid"] for key in ask("GET", f"{self.url}/.well-known/jwks.json").json["keys"]}

    def stop(self) -> None:
        """End every process of the service, if it was started."""
        with suppress(FileNotFoundError, ProcessLookupError):
            os.killpg(int((self.folder / "pid").read_text(encoding="ascii")), signal.SIGKILL)
        leak = leaks.find("".join(log.read_text(encoding="utf-8") for log in (self.folder / "log").iterdir()))
        assert leak is None, f"the service's output holds {leak}"
