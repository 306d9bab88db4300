"""Debian's glewlwyd as a contender: a server in C, here with SQLite, set up through its administration API."""

import gzip
import http.client
import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.issuing.answers import AUDIENCE, SCOPE, Expected, token_check
from benchmarks.issuing.callers import Client
from benchmarks.issuing.contenders import ES256, RS256, Contender, Running
from benchmarks.issuing.loads import Load
from benchmarks.issuing.ours import ISSUER, Callers
from benchmarks.issuing.signing import Signer
from benchmarks.processes import LOOPBACK, free_port, listens, on, running

NAME: Final = "glewlwyd, SQLite"
SCHEMA: Final = Path("/usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz")
MODULES: Final = "/usr/lib/glewlwyd"
TOKENS: Final = "/api/oidc/token"

CONFIGURATION: Final = """
port={port}
bind_address="{address}"
external_url="{issuer}"
api_prefix="api"
log_mode="console"
log_level="ERROR"
cookie_domain="localhost"
cookie_secure=0
session_key="GLEWLWYD2_SESSION_ID"
admin_scope="g_admin"
profile_scope="g_profile"
user_module_path="{modules}/user"
user_middleware_module_path="{modules}/user_middleware"
client_module_path="{modules}/client"
user_auth_scheme_module_path="{modules}/scheme"
plugin_module_path="{modules}/plugin"
hash_algorithm="SHA512"
database = {{ type = "sqlite3"; path = "{folder}/glewlwyd.db"; }};
"""


def contender(callers: Callers) -> Contender:
    """The server, with a client for each algorithm."""
    clients = [
        Client(signer, f"service-{signer.algorithm}", ISSUER + TOKENS) for signer in (callers.es256, callers.rs256)
    ]
    loads = tuple(_load(kind, client) for kind, client in zip((ES256, RS256), clients, strict=True))
    return Contender(NAME, partial(_started, clients), loads, missing=_missing())


def _missing() -> str:
    return "" if shutil.which("glewlwyd") and SCHEMA.exists() else "glewlwyd is not installed"


def _load(kind: str, client: Client) -> Load:
    check = token_check(Expected(ISSUER, client.client_id))
    return Load(kind, client.requests(TOKENS), check, single_use=True, keys_path="/api/oidc/jwks")


@contextmanager
def _started(clients: Sequence[Client], folder: Path, core_list: Sequence[int]) -> Iterator[Running]:
    port, file = free_port(), folder / "glewlwyd.conf"
    values = {"port": port, "address": LOOPBACK, "issuer": ISSUER, "modules": MODULES, "folder": folder}
    file.write_text(CONFIGURATION.format(**values), encoding="utf-8")
    with closing(sqlite3.connect(folder / "glewlwyd.db")) as database:
        database.executescript(gzip.decompress(SCHEMA.read_bytes()).decode("utf-8"))
    command = on(core_list, ["glewlwyd", "--config-file", str(file)])
    with running(command, lambda: listens(port), folder=folder) as pid:
        _set_up(_Administrator(port), clients)
        yield Running(port, pid)


@dataclass
class _Administrator:
    """Whoever sets the server up."""

    port: int
    cookie: str = field(default="")

    def post(self, path: str, document: Any) -> None:
        """Send a document, and keep the session that is given for it.

        :raises SystemExit: it was not taken.
        """
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=30)
        with closing(connection):
            headers = {"Content-Type": "application/json", **({"Cookie": self.cookie} if self.cookie else {})}
            connection.request("POST", f"/api/{path}", json.dumps(document), headers)
            response = connection.getresponse()
            if response.status != 200:
                raise SystemExit(f"glewlwyd does not take {path}: {response.status} {response.read()!r}")
            self.cookie = (response.getheader("Set-Cookie") or self.cookie).partition(";")[0]


def _set_up(administrator: _Administrator, clients: Sequence[Client]) -> None:
    administrator.post("auth/", {"username": "admin", "password": "password"})
    administrator.post("scope/", {"name": SCOPE, "display_name": SCOPE, "password_required": False})
    administrator.post("mod/plugin/", _plugin(Signer.generate("ES256")))
    for client in clients:
        administrator.post("client/", _registered(client))


def _plugin(signer: Signer) -> dict[str, Any]:
    """OpenID Connect, of which nothing is used but tokens for clients."""
    parameters = {
        "iss": ISSUER,
        "jwks-private": json.dumps({"keys": [signer.private_jwk]}),
        "jwks-show": True,
        "default-kid": signer.kid,
        "access-token-duration": 3600,
        "refresh-token-duration": 3600,
        "code-duration": 600,
        "allow-non-oidc": True,
        "auth-type-client-enabled": True,
        "auth-type-code-enabled": False,
        "auth-type-token-enabled": False,
        "auth-type-id-token-enabled": True,
        "auth-type-implicit-enabled": False,
        "auth-type-password-enabled": False,
        "auth-type-refresh-enabled": False,
        "request-parameter-allow": True,
        "request-maximum-exp": 3600,
        "client-jwks-parameter": "jwks",
        "resource-allowed": True,
        "resource-scope": {SCOPE: [AUDIENCE]},
    }
    about = {"module": "oidc", "name": "oidc", "display_name": "OpenID Connect", "order_rank": 1, "enabled": True}
    return {**about, "parameters": parameters}


def _registered(client: Client) -> dict[str, Any]:
    return {
        "client_id": client.client_id,
        "name": client.client_id,
        "enabled": True,
        "confidential": True,
        "authorization_type": ["client_credentials"],
        "token_endpoint_auth_method": ["private_key_jwt"],
        "redirect_uri": [],
        "scope": [SCOPE],
        "jwks": {"keys": [client.signer.jwk]},
    }
