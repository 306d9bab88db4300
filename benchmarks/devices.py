"""How much longer a device waits for its token when there are many devices.

Run it with ``python -m benchmarks.devices``; it takes minutes, most of them to enrol. It enrols the same phones in
two stores, one with 100 devices and one with a million, puts a server with the default configuration (audit, metrics,
durable store) on each, and asks the token endpoint of both, in this process and in rounds that alternate: for one phone
over and over, which the process remembers, and for phones that ask for the first time, which it has to look up.
Assertions and proofs are signed beforehand, so what is timed is the server alone. It prints medians and their ratios,
which should be no more than 1.3, and the same as JSON.
"""

import json
import secrets
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from authserver.endpoints.http import Endpoint, Request
from authserver.jose.jwk import thumbprint
from authserver.model import Device
from authserver.oauth import CLIENT_ASSERTION_JWT, DPOP_TYP, TOKEN_PATH, Grant
from authserver.server import build, prepare
from authserver.settings import Settings, load
from authserver.store import sqlite_devices
from authserver.store.sqlite import SqliteStore

FEW, MANY = 100, 1_000_000
GOAL: Final = 1.3
ROUNDS = 20
TOKENS = 25
NEW_PHONES = 4
"""How many phones ask for the first time in each round."""
WARM_UP = 50

ISSUER = "https://auth.example.com"
RESOURCE = "https://images.example.com"
ASKED: Final = (TOKEN_PATH, "POST")
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

    def __init__(self, issuer: str = ISSUER, number: int = 0) -> None:
        self._issuer = issuer
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._jwk = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        self.device = device(number, self._jwk, thumbprint(self._jwk))

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
    known, new = Phone(), [Phone(number=-number) for number in range(1, ROUNDS * NEW_PHONES + 1)]
    took: dict[str, dict[int, list[float]]] = {kind: {FEW: [], MANY: []} for kind in ("known", "new")}
    with ExitStack() as stack:
        endpoints = {count: stack.enter_context(served(count, known, *new)) for count in (FEW, MANY)}
        for endpoint in endpoints.values():
            ask(endpoint, [known] * WARM_UP)
        for number in range(ROUNDS):
            for count in (FEW, MANY) if number % 2 == 0 else (MANY, FEW):
                took["known"][count] += ask(endpoints[count], [known] * TOKENS)
                took["new"][count] += ask(endpoints[count], new[number::ROUNDS])
    print(json.dumps({kind: report(kind, times) for kind, times in took.items()} | {"goal": GOAL}))


def report(kind: str, times: dict[int, list[float]]) -> dict[str, Any]:
    """Print the medians of phones of one kind, in microseconds, and their ratio."""
    medians = {count: statistics.median(seconds) * 1e6 for count, seconds in times.items()}
    ratio = medians[MANY] / medians[FEW]
    for count, median in medians.items():
        print(f"{count:>8} devices, a phone that is {kind}: {median:.0f} us, the median of {len(times[count])} tokens")
    print(f"ratio: {ratio:.3f}, at most {GOAL} wanted")
    return {"microseconds": medians, "ratio": ratio}


@contextmanager
def served(count: int, *phones: Phone) -> Iterator[Endpoint]:
    """The token endpoint of a server over a store with so many devices, and the phones."""
    with tempfile.TemporaryDirectory() as folder:
        settings = load(written(Path(folder)))
        master_keys = prepare(settings)
        fill(settings, count, *phones)
        with (Path(folder) / "audit.log").open("wb", buffering=0) as audit:
            service = build(settings, master_keys=master_keys, audit_stream=audit)
            try:
                yield next(route.endpoint for route in service.routes if (route.path, route.method) == ASKED)
            finally:
                service.close()


def written(folder: Path) -> Path:
    """The configuration as a file."""
    file = folder / "authserver.toml"
    file.write_text(CONFIGURATION, encoding="utf-8")
    return file


def fill(settings: Settings, count: int, *phones: Phone) -> None:
    """Enrol the phones, and as many others as make that many devices, five for each owner.

    All are one transaction, and the others are written past the rules: one by one they would take minutes.
    """
    store = SqliteStore(settings.store_path)
    jwk = dict(phones[0].device.jwk)
    others = (device(number, jwk, f"thumbprint-{number:032d}") for number in range(1, count - len(phones) + 1))
    with store._writing() as connection:
        connection.execute("PRAGMA cache_size = -1000000")  # KiB; with less, each row reads and writes pages
        for phone in phones:
            sqlite_devices.enroll(connection, phone.device, code_hash=None, max_per_owner=None, now=time.time())
        for other in others:
            connection.execute("INSERT INTO devices VALUES (?, ?, ?, ?, ?, ?, ?, ?)", sqlite_devices.device_row(other))
            connection.execute("INSERT INTO device_keys VALUES (?, ?)", (other.thumbprint, other.client_id))
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


def ask(endpoint: Endpoint, phones: Sequence[Phone]) -> list[float]:
    """How many seconds each token took."""
    requests, times = [_request(phone) for phone in phones], []
    for request in requests:
        started = time.perf_counter()
        response = endpoint(request)
        times.append(time.perf_counter() - started)
        if response.status != 200:
            raise SystemExit(f"no token: {response.body!r}")
    return times


def _request(phone: Phone) -> Request:
    made = phone.request()
    headers = {"content-type": (made["content_type"],), "dpop": (made["headers"]["DPoP"],)}
    return Request("POST", secrets.token_hex(16), "127.0.0.1", headers=headers, body=made["data"])


if __name__ == "__main__":
    main()
