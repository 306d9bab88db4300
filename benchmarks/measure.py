"""What a token, a device and a poll of the keys cost here: the figures that ``benchmarks/scale.py`` reckons with.

Run it with ``python -m benchmarks.measure``; it needs `wrk`, and `valkey-server` or `redis-server`. One worker of
``authserver serve`` has everything on: policy, audit to a file, metrics, the durable store. wrk keeps eight
connections. What counts is the processor time of the worker for each answer, which does not depend on what else the
machine does; the least of some rounds. Every device token has an assertion and a proof of its own, signed beforehand.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from redis import Redis

from authserver.model import Use
from authserver.oauth import JWKS_PATH, Grant
from authserver.server import prepare
from authserver.settings import load
from authserver.store.redis import RedisStore
from authserver.store.redis_address import Durability, RedisCredentials, read_address
from authserver.store.redis_client import RedisClient
from authserver.testing import FakeIssuer
from benchmarks import devices

ROUNDS: Final = 5
SECONDS: Final = 6
CONNECTIONS: Final = 8
MOST_A_SECOND: Final = 2_500
"""So many device tokens a second are prepared for."""

SQLITE_DEVICES: Final = 100_000
REDIS_DEVICES: Final = 20_000

TICKS: Final = os.sysconf("SC_CLK_TCK")

MORE: Final = """
[sources.cluster]
type = "kubernetes"
issuer = "{cluster}"
audience = "https://auth.example.com"

[[allow]]
name = "thumbnailer-reads-images"
source = "cluster"
match = {{ namespace = "media", service_account = "thumbnailer" }}
resource = "https://images.example.com"
scope = ["images:read"]
"""

SCRIPT: Final = """
local requests, next = {}, 0
for line in io.lines("%s") do
  local form, proof = line:match("^(%%S+) ?(%%S*)$")
  local headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }
  if proof ~= "" then headers["DPoP"] = proof end
  requests[#requests + 1] = wrk.format("POST", "/token", headers, form)
end
function request()
  next = next %% #requests + 1
  return requests[next]
end
"""


def main() -> None:
    """Measure everything, and print it as JSON."""
    print(json.dumps({**served(), **in_sqlite(), **in_redis()}, indent=2))


def served() -> dict[str, float]:
    """Microseconds of a core for each answer, the memory of a worker, and the bytes of a poll and of an audit line."""
    phone = devices.Phone()
    with tempfile.TemporaryDirectory() as name, FakeIssuer() as cluster:
        folder, port = Path(name), free_port()
        file = configured(folder, cluster.issuer, port, phone)
        identity = cluster.kubernetes_token("media", "thumbnailer", devices.ISSUER)
        with serving(file, port) as pid:
            (folder / "exchanges").write_text(exchange(identity), encoding="ascii")
            found = {
                "exchange_microseconds": min(wrk(port, pid, folder / "exchanges") for _ in range(ROUNDS)),
                "device_microseconds": min(device_tokens(port, pid, folder, phone) for _ in range(ROUNDS)),
                "poll_microseconds": min(wrk(port, pid) for _ in range(ROUNDS)),
                "worker_megabytes": round(resident(pid) / 1e6),
                "audit_line": (folder / "audit.log").read_bytes().index(b"\n") + 1,
            }
            sent, document, etag = poll(port)
            _, unchanged, _ = poll(port, etag)
            return {**found, "poll_request": sent, "poll_document": document, "poll_unchanged": unchanged}


def configured(folder: Path, cluster: str, port: int, phone: devices.Phone) -> Path:
    """A configuration with a source of each kind, and one phone in the store."""
    text = devices.CONFIGURATION.replace("[keys]", '[limits]\nfailures = "off"\n\n[keys]') + MORE.format(
        cluster=cluster
    )
    server = f'environment = "benchmark"\nbind = "127.0.0.1:{port}"\nworkers = 1\ninsecure_allow_http = true'
    file = folder / "authserver.toml"
    file.write_text(text.replace('environment = "benchmark"', server), encoding="utf-8")
    settings = load(file)
    prepare(settings)
    devices.fill(settings, 1, phone)
    return file


@contextmanager
def serving(file: Path, port: int) -> Iterator[int]:
    """``authserver serve``; the process id of its worker."""
    command = [sys.executable, "-m", "authserver", "serve", "--config", str(file)]
    with file.with_name("audit.log").open("wb") as audit, file.with_name("log").open("wb") as log:
        server = subprocess.Popen(command, stdout=audit, stderr=log)
    try:
        wait_until(lambda: answers(port))
        time.sleep(1)
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text(encoding="ascii")
        yield int(children.split()[0])
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def exchange(identity: str) -> str:
    """The form of an exchange."""
    return urlencode(
        {
            "grant_type": Grant.TOKEN_EXCHANGE,
            "subject_token": identity,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "resource": devices.RESOURCE,
            "scope": "images:read",
        }
    )


def device_tokens(port: int, pid: int, folder: Path, phone: devices.Phone) -> float:
    """As :func:`wrk` for device tokens, each with an assertion and a proof that were never seen."""
    requests = (phone.request() for _ in range(MOST_A_SECOND * SECONDS))
    lines = (f"{each['data'].decode()} {each['headers']['DPoP']}" for each in requests)
    file = folder / "device-tokens"
    file.write_text("\n".join(lines), encoding="ascii")
    return wrk(port, pid, file)


def wrk(port: int, pid: int, requests: Path | None = None) -> float:
    """Microseconds of a core for each answer, all of which must be good. Without requests: for polls of the keys."""
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s"]
    if requests is not None:
        script = requests.with_suffix(".lua")
        script.write_text(SCRIPT % requests, encoding="ascii")
        options += ["-s", str(script)]
    before = worked(pid)
    url = f"http://127.0.0.1:{port}{JWKS_PATH}"
    done = subprocess.run(["wrk", *options, url], capture_output=True, text=True, check=True)
    answered = re.search(r"(\d+) requests in", done.stdout)
    if answered is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise SystemExit(done.stdout)
    return round((worked(pid) - before) / int(answered[1]) * 1e6)


def worked(pid: int) -> float:
    """Seconds of processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def poll(port: int, etag: str = "") -> tuple[int, int, str]:
    """How many bytes go out and come back when the keys are asked for, and their ETag. TLS is not counted."""
    lines = [
        f"GET {JWKS_PATH} HTTP/1.1",
        "Host: auth.example.com",
        "Accept: application/json, application/jwk-set+json",
    ]
    lines += ["Accept-Encoding: identity", "Connection: close", "User-Agent: authserver/0.1.0"]
    lines += [f"If-None-Match: {etag}"] if etag else []
    request = ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    (found,) = re.findall(rb"(?i)^etag: (\S+)", answer, re.MULTILINE)
    return len(request), len(answer), found.decode("ascii")


def in_sqlite() -> dict[str, float]:
    """Bytes on disk of a device."""
    with tempfile.TemporaryDirectory() as name:
        settings = load(devices.written(Path(name)))
        prepare(settings)
        devices.fill(settings, SQLITE_DEVICES, devices.Phone())
        return {"sqlite_device": round(settings.store_path.stat().st_size / SQLITE_DEVICES)}


def in_redis() -> dict[str, float]:
    """Bytes in memory of a device and of what is remembered of a token, and microseconds of a server's core for one."""
    phone, now = devices.Phone(), time.time()
    with redis_server() as port:
        client = RedisClient(read_address(f"redis://127.0.0.1:{port}"), RedisCredentials(), Durability(on_disk=False))
        store = RedisStore(client, "benchmark")
        empty = info(port)
        many = [devices.device(n, dict(phone.device.jwk), f"thumbprint-{n:032d}") for n in range(REDIS_DEVICES)]
        for device in many:
            store.enroll(device, code_hash=None, max_per_owner=5, now=now)
        enrolled = info(port)
        for device in many:
            store.read_device(device.client_id)
            store.use_together(uses(device.client_id, now), now)
        used = info(port)
        store.close()
    return {
        "redis_device": round((enrolled["used_memory"] - empty["used_memory"]) / REDIS_DEVICES),
        "redis_use": round((used["used_memory"] - enrolled["used_memory"]) / REDIS_DEVICES),
        "redis_microseconds": round((busy(used) - busy(enrolled)) / REDIS_DEVICES * 1e6, 1),
    }


def uses(client_id: str, now: float) -> Sequence[Use]:
    """What is remembered of one device token: its assertion and its proof."""
    expires = now + 360
    return [Use("phones", f"{client_id}.{os.urandom(16).hex()}", expires) for _ in range(2)]


def busy(said: Mapping[str, float]) -> float:
    """Seconds that a server has worked."""
    return said["used_cpu_sys"] + said["used_cpu_user"]


def info(port: int) -> dict[str, float]:
    """What a server says of itself, as far as it is numbers."""
    with Redis(port=port) as client:
        return {name: float(value) for name, value in client.info().items() if isinstance(value, int | float)}


@contextmanager
def redis_server() -> Iterator[int]:
    """A Valkey or Redis of its own, by its port."""
    program, port = shutil.which("valkey-server") or shutil.which("redis-server"), free_port()
    if program is None:
        raise SystemExit("valkey-server or redis-server is needed")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([program, *options], cwd=folder, stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: answers(port))
            yield port
        finally:
            server.terminate()
            server.wait(30)


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGESIZE")


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether something listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(true: Callable[[], bool]) -> None:
    """Return when it is."""
    deadline = time.monotonic() + 30
    while not true():
        if time.monotonic() > deadline:
            raise SystemExit("it does not start")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
