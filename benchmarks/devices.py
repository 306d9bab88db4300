"""How much longer a device waits for its token when there are many devices.

Run it with ``python -m benchmarks.devices``. It enrols the same phone in two stores, one with 100 devices and one with
100,000, puts a server with the default configuration (audit, metrics, durable store) on each, and asks both for tokens
through WSGI in this process, in rounds that alternate. Assertions and proofs are signed beforehand, so what is timed is
the server alone. It prints the median of each and their ratio, which should be no more than 1.2, and the same as JSON.
"""

import json
import secrets
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from werkzeug.test import Client

from authserver.hosting.flask import create_app
from authserver.jose.jwk import thumbprint
from authserver.model import Device
from authserver.oauth import CLIENT_ASSERTION_JWT, DPOP_TYP, TOKEN_PATH, Grant
from authserver.server import build, prepare
from authserver.settings import Settings, load
from authserver.store import sqlite_devices
from authserver.store.sqlite import SqliteStore

FEW, MANY = 100, 100_000
GOAL: Final = 1.2
ROUNDS = 20
TOKENS = 25
WARM_UP = 50

ISSUER = "https://auth.example.com"
RESOURCE = "https://images.example.com"
CONFIGURATION = f"""
[server]
issuer = "{ISSUER}"
environment = "benchmark"

[keys]
master_key = {{ file = "master.key" }}

[telemetry]
bind = "127.0.0.1:0"

[resources.images]
identifier = "{RESOURCE}"
scopes = ["images:read"]

[sources.phones]
type = "device"

[[allow]]
name = "phones-read-images"
source = "phones"
match = {{ owner = {{ glob = "person-*" }} }}
resource = "{RESOURCE}"
scope = ["images:read"]
"""


class Phone:
    """A device with its key, and the token requests that it makes at ``issuer``."""

    def __init__(self, issuer: str = ISSUER) -> None:
        self._issuer = issuer
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._jwk = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        self.device = device(0, self._jwk, thumbprint(self._jwk))

    def request(self) -> dict[str, Any]:
        """A token request, as the arguments of a WSGI client."""
        now, who = int(time.time()), self.device.client_id
        claims = {"iss": who, "sub": who, "aud": self._issuer, "exp": now + 240, "jti": secrets.token_urlsafe()}
        proof = {"htm": "POST", "htu": self._issuer + TOKEN_PATH, "iat": now, "jti": secrets.token_urlsafe()}
        form = {
            "grant_type": Grant.CLIENT_CREDENTIALS,
            "client_assertion_type": CLIENT_ASSERTION_JWT,
            "client_assertion": jwt.encode(claims, self._key, "ES256"),
            "resource": RESOURCE,
            "scope": "images:read",
        }
        signed = jwt.encode(proof, self._key, "ES256", headers={"typ": DPOP_TYP, "jwk": self._jwk})
        return {
            "data": urlencode(form).encode(),
            "content_type": "application/x-www-form-urlencoded",
            "headers": {"DPoP": signed},
        }


def main() -> None:
    """Measure, and print what was found."""
    phone = Phone()
    with ExitStack() as stack:
        clients = {count: stack.enter_context(served(count, phone)) for count in (FEW, MANY)}
        took: dict[int, list[float]] = {count: [] for count in clients}
        for client in clients.values():
            ask(client, phone, WARM_UP)
        for number in range(ROUNDS):
            for count in (FEW, MANY) if number % 2 == 0 else (MANY, FEW):
                took[count] += ask(clients[count], phone, TOKENS)
    medians = {count: statistics.median(times) * 1000 for count, times in took.items()}
    ratio = medians[MANY] / medians[FEW]
    for count, median in medians.items():
        print(f"{count:>7} devices: {median:.2f} ms for a token, the median of {len(took[count])}")
    print(f"ratio: {ratio:.3f}, at most {GOAL} wanted")
    print(json.dumps({"milliseconds": medians, "tokens": ROUNDS * TOKENS, "ratio": ratio, "goal": GOAL}))


@contextmanager
def served(count: int, phone: Phone) -> Iterator[Client]:
    """A server over a store with so many devices, of which the phone is one."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load(written(Path(folder)))
        master_keys = prepare(settings)
        fill(settings, count, phone)
        with (Path(folder) / "audit.log").open("wb", buffering=0) as audit:
            service = build(settings, master_keys=master_keys, audit_stream=audit)
            try:
                yield Client(create_app(service))
            finally:
                service.close()


def written(folder: Path) -> Path:
    """The configuration as a file."""
    file = folder / "authserver.toml"
    file.write_text(CONFIGURATION, encoding="utf-8")
    return file


def fill(settings: Settings, count: int, phone: Phone) -> None:
    """Enrol that many devices, five for each owner, in one transaction: with one for each it would take minutes."""
    store = SqliteStore(settings.store_path)
    jwk = dict(phone.device.jwk)
    with store._writing() as connection:
        for number in range(1, count):
            another = device(number, jwk, f"thumbprint-{number:032d}")
            sqlite_devices.enroll(connection, another, code_hash=None, max_per_owner=5, now=time.time())
        sqlite_devices.enroll(connection, phone.device, code_hash=None, max_per_owner=5, now=time.time())
    store.close()


def device(number: int, jwk: dict[str, str], key: str) -> Device:
    """A device, with as much said of it as phones say. Names are random, as they are in life."""
    owner = f"person-{number // 5}"
    return Device(
        client_id=f"dev_{secrets.token_urlsafe(16)}",
        source="phones",
        sub=f"phones:owner/{owner}",
        owner=owner,
        jwk=jwk,
        thumbprint=key,
        created_at=time.time(),
        name="A phone",
        platform="ios",
        model="iPhone17,1",
        app_id="com.example.app",
        app_version="1.0",
    )


def ask(client: Client, phone: Phone, count: int) -> list[float]:
    """How many seconds each of so many tokens took."""
    requests, times = [phone.request() for _ in range(count)], []
    for request in requests:
        started = time.perf_counter()
        response = client.post(TOKEN_PATH, **request)
        times.append(time.perf_counter() - started)
        if response.status_code != 200:
            raise SystemExit(f"no token: {response.text}")
    return times


if __name__ == "__main__":
    main()
