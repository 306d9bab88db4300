"""Real servers for the tests, each a process of its own on loopback, and what the tests look for at them."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

DEADLINE = 30.0


def free_port() -> int:
    """A port that nobody listens on. It leaves room for the port of a cluster's bus, which is 10000 higher."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port < 55000:
            return port


class Server:
    """One server. Its files outlive it, so that it can come back."""

    def __init__(self, program: str, *options: str, port: int | None = None, sentinel: bool = False) -> None:
        self.port = port or free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="store-"))
        self._configuration = self.folder / "server.conf"
        lines = [f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}", 'save ""', *options]
        self._configuration.write_text("\n".join(lines[:3] + lines[4:] if sentinel else lines) + "\n")
        self._command = [program, str(self._configuration), *(["--sentinel"] if sentinel else [])]
        self._process: subprocess.Popen[bytes] | None = None
        self._passwords = [option.split()[1] for option in options if option.startswith("requirepass")]

    def start(self) -> "Server":
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self.folder)
        wait_until(self.answers)
        return self

    def answers(self) -> bool:
        """Whether it does."""
        with contextlib.suppress(RedisError), self.client() as client:
            return bool(client.ping())
        return False

    def client(self) -> "Redis":
        """A way to look at it, and to change it, past the store."""
        password = self._passwords[0] if self._passwords else None
        return Redis(port=self.port, password=password, decode_responses=True, socket_timeout=5)

    def also_listen(self, option: str) -> int:
        """Have it listen on another port once it is started, as this option says; that port."""
        port = free_port()
        with self._configuration.open("a") as configuration:
            configuration.write(f"{option} {port}\n")
        return port

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """End it, and forget its files."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def running(*servers: Server) -> Iterator[Sequence[Server]]:
    """Servers that are there for a while."""
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        for server in servers:
            server.remove()


def wait_until(true: Callable[[], object], *, deadline: float = DEADLINE) -> None:
    """Return when something has become true."""
    until = time.monotonic() + deadline
    while not true():
        assert time.monotonic() < until, "it did not become true in time"
        time.sleep(0.02)


def has_replicas(server: Server, count: int = 1) -> bool:
    """Whether so many replicas receive what is written now."""
    with server.client() as client:
        client.set("has-replicas", "?", px=1000)
        return int(client.wait(count, 200)) >= count


def make_cluster(program: str, primaries: int, *options: str, replicas: int = 0) -> list[Server]:
    """Nodes of a cluster that does not run yet: primaries first, then ``replicas`` of each."""
    more = ("cluster-enabled yes", "cluster-node-timeout 700", "cluster-replica-validity-factor 0", *options)
    return [Server(program, *more) for _ in range(primaries * (1 + replicas))]


def join(nodes: Sequence[Server], primaries: int) -> None:
    """Make a cluster of nodes that run, and wait until it works."""
    step = -(-16384 // primaries)
    for position, node in enumerate(nodes):
        with node.client() as client:
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", position + 1)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
            if position < primaries:
                last = min(16384, (position + 1) * step) - 1
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", position * step, last)
    wait_until(lambda: all(_cluster_info(node, "cluster_known_nodes") == str(len(nodes)) for node in nodes))
    for position, node in enumerate(nodes[primaries:]):
        with nodes[position % primaries].client() as client:
            primary = client.execute_command("CLUSTER", "MYID")
        wait_until(partial(_accepted, node, "CLUSTER", "REPLICATE", primary))
    wait_until(lambda: all(_cluster_info(node, "cluster_state") == "ok" for node in nodes))
    wanted = len(nodes) // primaries - 1
    wait_until(lambda: wanted == 0 or all(_connected_replicas(node) >= wanted for node in nodes[:primaries]))


def _cluster_info(node: Server, name: str) -> str | None:
    with node.client() as client:
        info = client.execute_command("CLUSTER", "INFO")
    found: dict[str, str] = info if isinstance(info, dict) else dict(line.split(":") for line in info.split())
    return found.get(name)


def _connected_replicas(node: Server) -> int:
    with node.client() as client:
        replicas = client.info("replication")
    return sum(1 for name, value in replicas.items() if name.startswith("slave") and value.get("state") == "online")


def _accepted(server: Server, *command: str) -> bool:
    with contextlib.suppress(RedisError), server.client() as client:
        client.execute_command(*command)
        return True
    return False


class Sentinels:
    """Three Sentinels that watch a primary, which they call "primary", and its replicas."""

    def __init__(self, program: str, primary: Server, quorum: int = 2, count: int = 3) -> None:
        options = (
            f"sentinel monitor primary 127.0.0.1 {primary.port} {quorum}",
            "sentinel down-after-milliseconds primary 700",
            "sentinel failover-timeout primary 3000",
        )
        self.servers = [Server(program, *options, sentinel=True) for _ in range(count)]

    @property
    def url(self) -> str:
        """How a store is told of them."""
        return f"redis+sentinel://{','.join(f'127.0.0.1:{server.port}' for server in self.servers)}/primary"

    def know(self, replicas: int) -> bool:
        """Whether each knows the others and so many replicas."""
        return all(self._knows(server, replicas) for server in self.servers)

    def primary_port(self) -> int:
        """Where they say that the primary is."""
        with self.servers[0].client() as client:
            return int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "primary")[1])

    def _knows(self, server: Server, replicas: int) -> bool:
        with server.client() as client:
            state = client.execute_command("SENTINEL", "MASTER", "primary")
        known = state if isinstance(state, dict) else dict(zip(state[::2], state[1::2], strict=True))
        return int(known["num-slaves"]) >= replicas and int(known["num-other-sentinels"]) >= len(self.servers) - 1
