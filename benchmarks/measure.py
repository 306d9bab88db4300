"""What a token, a device and a poll of the keys cost here: the figures that ``benchmarks/scale.py`` reckons with.

Run it with ``python -m benchmarks.measure``; it needs `wrk`. One worker of ``authserver serve`` has everything on:
policy, audit to a file, metrics, the durable store. wrk keeps eight connections. What counts is the processor time of
the server for each answer, which does not depend on what else the machine does; the least of some rounds. Every device
token has an assertion and a proof of its own, signed beforehand. What else runs here, and how, is in
``benchmarks/issuing``.
"""

import json
import os
import re
import socket
import tempfile
import time
from collections.abc import Mapping, Sequence
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
from benchmarks import devices
from benchmarks.issuing import ours, valkey
from benchmarks.issuing.contenders import DPOP, ES256, JWKS
from benchmarks.issuing.footprint import worker_megabytes
from benchmarks.issuing.match import Match, Pace
from benchmarks.issuing.program import scratch
from benchmarks.processes import cores

PACE: Final = Pace(warm_up=1, seconds=6, rounds=5)
SQLITE_DEVICES: Final = 100_000
REDIS_DEVICES: Final = 20_000

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


def main() -> None:
    """Measure everything, and print it as JSON."""
    with scratch(Path(tempfile.gettempdir())) as folder:
        print(json.dumps({**served(folder), **in_sqlite(), **in_redis()}, indent=2))


def served(folder: Path) -> dict[str, float]:
    """Microseconds of a core for each answer, the memory of a worker, and the bytes of a poll and of an audit line."""
    contender = ours.contender(ours.Callers.generate(), ours.GUNICORN)
    match, loads = Match(folder, PACE), {load.kind: load for load in contender.loads}
    home = folder / "server"
    home.mkdir()
    with contender.start(home, cores()[:1]) as running:
        least = {
            kind: round(min(match.run(running, loads[kind]).worked for _ in range(PACE.rounds)) * 1e6)
            for kind in (ES256, DPOP, JWKS)
        }
        sent, document, etag = poll(running.port)
        _, unchanged, _ = poll(running.port, etag)
        return {
            "exchange_microseconds": least[ES256],
            "device_microseconds": least[DPOP],
            "poll_microseconds": least[JWKS],
            "worker_megabytes": round(worker_megabytes(running.pid)),
            "audit_line": (home / "audit.log").read_bytes().index(b"\n") + 1,
            "poll_request": sent,
            "poll_document": document,
            "poll_unchanged": unchanged,
        }


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
    with tempfile.TemporaryDirectory() as folder, valkey.started(Path(folder), valkey.IN_MEMORY) as server:
        port = server.port
        client = RedisClient(read_address(f"redis://127.0.0.1:{port}"), RedisCredentials(), Durability(on_disk=False))
        store = RedisStore(client, "benchmark")
        empty = info(port)
        many = [devices.device(n, dict(phone.device.jwk), f"thumbprint-{n:032d}") for n in range(REDIS_DEVICES)]
        for device in many:
            store.enroll(device, code_hash=None, max_per_owner=5, now=now)
        enrolled = info(port)
        for device in many:
            record = store.read_record(device.client_id)
            if record is None or store.use_while(record, uses(device.client_id, now), now) is not None:
                raise SystemExit("the store forgot a device, or remembers what was never used")
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


if __name__ == "__main__":
    main()
