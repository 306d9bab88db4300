"""Our own server, as ``authserver serve`` runs it: default settings, audit events into a file, metrics on."""

import base64
import importlib.util
import json
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Final

from authserver.cli.serve import serve
from authserver.oauth import JWKS_PATH, OPENID_METADATA_PATH, TOKEN_PATH
from authserver.server import prepare
from authserver.server.stores import open_store
from authserver.settings import load
from benchmarks.issuing import valkey
from benchmarks.issuing.answers import AUDIENCE, SCOPE, Expected, token_check
from benchmarks.issuing.callers import CLUSTER, NAMESPACE, SERVICE_ACCOUNT, Client, Workload
from benchmarks.issuing.contenders import DPOP, ES256, JWKS, METADATA, RS256, Contender, Running
from benchmarks.issuing.loads import Answer, Keys, Load, Wrong, always, ask, get, unique
from benchmarks.issuing.signing import Signer
from benchmarks.processes import free_port, listens, on, running

ISSUER: Final = "https://auth.example.com"
Ready = Callable[[int], bool]
"""Tells whether a server is ready, by its port."""

GUNICORN: Final = "gunicorn"
GRANIAN: Final = "granian"
SQLITE: Final = "SQLite"
VALKEY: Final = "Valkey"
VALKEY_EVERY_SECOND: Final = "Valkey that syncs every second"
STORES: Final = {VALKEY: valkey.ALWAYS, VALKEY_EVERY_SECOND: valkey.EVERY_SECOND}
"""Stores that are servers of their own, and how they are set up."""

CONFIGURATION: Final = """
[server]
issuer = "{issuer}"
environment = "benchmark"
bind = "127.0.0.1:{port}"

[store]
url = "{store}"

[keys]
master_key = {{ file = "master.key" }}

[telemetry]
bind = "127.0.0.1:{metrics}"

[resources.images]
identifier = "{audience}"
scopes = ["{scope}"]

[sources.cluster]
type = "kubernetes"
issuer = "{cluster}"
audience = "{issuer}"
jwks = {{ file = "cluster-jwks.json" }}

[sources.phones]
type = "device"

[[allow]]
name = "thumbnailer-reads-images"
source = "cluster"
match = {{ namespace = "{namespace}", service_account = "{service_account}" }}
resource = "{audience}"
scope = ["{scope}"]

[[allow]]
name = "phones-read-images"
source = "phones"
match = {{ owner = {{ glob = "person-*" }} }}
resource = "{audience}"
scope = ["{scope}"]
"""


@dataclass(frozen=True)
class Callers:
    """Everybody who asks for tokens, with the keys that servers are told of."""

    es256: Signer
    rs256: Signer
    device_key: Signer

    @classmethod
    def generate(cls) -> "Callers":
        """With fresh keys."""
        return cls(Signer.generate("ES256"), Signer.generate("RS256"), Signer.generate("ES256"))

    @cached_property
    def phone(self) -> Client:
        """A device that is enrolled at our server."""
        return Client(self.device_key, f"dev_{unique()}", ISSUER, proves=True, registered=False)


def contender(callers: Callers, server: str, store: str = SQLITE, *, workers: int = 1) -> Contender:
    """Our server under gunicorn or granian, with SQLite or Valkey as its store, which only devices' tokens ask."""
    start = partial(_started, callers, server, store, workers)
    loads = tuple(_loads(callers)) if store == SQLITE else (_device_tokens(callers),)
    return Contender(f"authserver, {server}, {store}", start, loads, missing=missing(server))


def missing(server: str) -> str:
    """Why a server cannot be used, or nothing."""
    if server == GRANIAN and not any("--server" in parameter.opts for parameter in serve.params):
        return "authserver serve has no --server yet"
    if server == GRANIAN and importlib.util.find_spec("granian") is None:
        return "granian is not installed"
    return ""


def _loads(callers: Callers) -> Iterator[Load]:
    workload = f"cluster:system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}"
    for kind, signer in ((ES256, callers.es256), (RS256, callers.rs256)):
        check = token_check(Expected(ISSUER, workload))
        yield Load(kind, Workload(signer, ISSUER).exchanges(TOKEN_PATH), check)
    yield _device_tokens(callers)
    yield Load(JWKS, always(get(JWKS_PATH)), _is_key_set)
    yield Load(METADATA, always(get(OPENID_METADATA_PATH)), _is_metadata)


def _device_tokens(callers: Callers) -> Load:
    phone = callers.phone
    check = token_check(Expected(ISSUER, phone.device.sub, jkt=phone.jkt))
    return Load(DPOP, phone.requests(TOKEN_PATH), check, single_use=True)


def _is_key_set(answer: Answer, keys: Keys) -> None:
    if answer.status != 200 or json.loads(answer.body) != keys or not keys["keys"]:
        raise Wrong(f"{answer.status}: {answer.body[:200]!r}")


def _is_metadata(answer: Answer, _keys: Keys) -> None:
    if answer.status != 200 or json.loads(answer.body)["issuer"] != ISSUER:
        raise Wrong(f"{answer.status}: {answer.body[:200]!r}")


@contextmanager
def _started(
    callers: Callers, server: str, store: str, workers: int, folder: Path, core_list: Sequence[int]
) -> Iterator[Running]:
    with ExitStack() as stack:
        beside = stack.enter_context(valkey.started(folder, STORES[store])) if store in STORES else None
        port, file = free_port(), folder / "authserver.toml"
        configure(file, callers, port, f"redis://127.0.0.1:{beside.port}" if beside else "sqlite:authserver.db")
        pid = stack.enter_context(serving(file, port, server, workers, core_list))
        yield Running(port, pid, (beside.pid,) if beside else ())


def configure(file: Path, callers: Callers, port: int, store: str) -> None:
    """Write a configuration, and prepare its store: with keys, and with the phone enrolled."""
    values = {"issuer": ISSUER, "port": port, "metrics": free_port(), "store": store, "cluster": CLUSTER}
    values |= {"audience": AUDIENCE, "scope": SCOPE, "namespace": NAMESPACE, "service_account": SERVICE_ACCOUNT}
    file.write_text(CONFIGURATION.format(**values), encoding="utf-8")
    cluster = {"keys": [callers.es256.jwk, callers.rs256.jwk]}
    file.with_name("cluster-jwks.json").write_text(json.dumps(cluster), encoding="utf-8")
    master_key = file.with_name("master.key")
    master_key.touch(0o600)
    master_key.write_bytes(base64.b64encode(secrets.token_bytes(32)))
    settings = load(file)
    prepare(settings)
    with closing(open_store(settings)) as devices:
        devices.enroll(callers.phone.device, code_hash=None, max_per_owner=5, now=time.time())


def is_ready(port: int) -> bool:
    """Whether a server says that it can sign tokens."""
    return listens(port) and ask(port, get("/readyz")).status == 200


@contextmanager
def serving(
    file: Path, port: int, server: str, workers: int, core_list: Sequence[int], ready: Ready = is_ready
) -> Iterator[int]:
    """``authserver serve``, once it is ready; its process id."""
    command = [sys.executable, "-m", "authserver", "serve", "--config", str(file), "--workers", str(workers)]
    command += ["--server", server] if server != GUNICORN else []
    with (
        file.with_name("audit.log").open("wb") as audit,
        running(on(core_list, command), lambda: ready(port), folder=file.parent, output=audit) as pid,
    ):
        yield pid
