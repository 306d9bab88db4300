"""Mixed traffic, as fast as the server answers or at a rate, and what became of it."""

import http.client
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from authserver.testing import FakeIssuer
from benchmarks.devices import Phone
from tests import leaks
from tests.served import AUDIENCE, exchange_form

MIX: Final = {"exchange": 40, "device": 20, "introspection": 15, "keys": 15, "refusal": 10}
"""How much of the traffic each kind is, in hundredths."""

EXPECTED: Final = {"exchange": 200, "device": 200, "introspection": 200, "keys": 200, "refusal": 400}

CALLERS: Final = 8
RENEW_EVERY: Final = 60.0
"""Seconds until the callers use new identity tokens."""

FORM: Final = "application/x-www-form-urlencoded"

Call = tuple[str, str, bytes, Mapping[str, str]]
"""Method, path, body and headers."""


@dataclass
class Outcome:
    """What became of some traffic. ``times`` are pairs: seconds since the start, and seconds until the answer."""

    answers: Counter[tuple[str, int | str]] = field(default_factory=Counter)
    times: list[tuple[float, float]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers.total() / self.seconds

    @property
    def unexpected(self) -> dict[tuple[str, int | str], int]:
        """The answers that are not those that are wanted."""
        return {key: count for key, count in self.answers.items() if key[1] != EXPECTED[key[0]]}

    def p99(self, begin: float, end: float) -> float:
        """The seconds within which 99 of 100 answers came, of those asked for in this share of the time."""
        times = sorted(took for at, took in self.times if begin <= at / self.seconds < end)
        return times[len(times) * 99 // 100]


class Callers:
    """Workloads, a phone, a resource server that introspects, verifiers, and somebody whose token is broken."""

    def __init__(self, url: str, cluster: FakeIssuer, phone: Phone) -> None:
        self._url = url
        self._cluster = cluster
        self._phone = phone
        self._renewed = -RENEW_EVERY
        self._lock = threading.Lock()
        self._forms: dict[str, bytes] = {}
        self._asks = ""
        self.token = ""

    def calls(self, seed: int) -> Iterator[tuple[str, Call]]:
        """Calls without end, each with its kind."""
        dice = random.Random(seed)
        make: dict[str, Callable[[], Call]] = {
            "exchange": lambda: self._post("/token", self._forms["good"]),
            "refusal": lambda: self._post("/token", self._forms["broken"]),
            "device": self._device,
            "introspection": lambda: self._post(
                "/introspect", urlencode({"token": self.token}).encode(), Authorization=f"Bearer {self._asks}"
            ),
            "keys": lambda: ("GET", "/.well-known/jwks.json", b"", {}),
        }
        while True:
            self._renew()
            (kind,) = dice.choices(list(MIX), list(MIX.values()))
            yield kind, make[kind]()

    def _device(self) -> Call:
        request = self._phone.request()
        return self._post("/token", request["data"], **request["headers"])

    def _post(self, path: str, body: bytes, **headers: str) -> Call:
        return "POST", path, body, {"Content-Type": FORM, **headers}

    def _renew(self) -> None:
        with self._lock:
            if time.monotonic() - self._renewed < RENEW_EVERY:
                return
            identity = leaks.handled(self._cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))
            good = exchange_form(identity)
            self._forms = {
                "good": urlencode(good).encode(),
                "broken": urlencode({**good, "subject_token": identity[:-4] + "AAAA"}).encode(),
            }
            self.token = self._issued(good)
            self._asks = self._issued({**good, "resource": self._url, "scope": "introspect:images"})
            self._renewed = time.monotonic()

    def _issued(self, form: Mapping[str, str]) -> str:
        connection = http.client.HTTPConnection(self._url.removeprefix("http://"), timeout=30)
        method, path, body, headers = self._post("/token", urlencode(form).encode())
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        token = answer.read().partition(b'"access_token":"')[2].partition(b'"')[0].decode("ascii")
        connection.close()
        assert token, answer.status
        return leaks.handled(token)


def run(callers: Callers, address: str, seconds: float, *, rate: float | None = None) -> Outcome:
    """Let all callers call for so long, together ``rate`` times a second or else as fast as they are answered."""
    outcome, begun = Outcome(), time.monotonic()
    turns = itertools.count()
    threads = [
        threading.Thread(target=_call, args=(callers.calls(seed), address, outcome, begun, seconds, rate, turns))
        for seed in range(CALLERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.seconds = time.monotonic() - begun
    return outcome


def _call(
    calls: Iterator[tuple[str, Call]],
    address: str,
    outcome: Outcome,
    begun: float,
    seconds: float,
    rate: float | None,
    turns: Iterator[int],
) -> None:
    connection = http.client.HTTPConnection(address, timeout=30)
    while True:
        if rate is not None:
            time.sleep(max(0.0, begun + next(turns) / rate - time.monotonic()))
        asked = time.monotonic()
        if asked - begun > seconds:
            break
        kind, call = next(calls)
        began = time.monotonic()
        outcome.answers[kind, _status(connection, call)] += 1
        outcome.times.append((asked - begun, time.monotonic() - began))
    connection.close()


def _status(connection: http.client.HTTPConnection, call: Call) -> int | str:
    """The status of the answer, or what went wrong. A connection that the server has closed is opened again."""
    method, path, body, headers = call
    for attempt in (1, 2):
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            answer.read()
        except (http.client.HTTPException, OSError) as error:
            connection.close()
            if attempt == 2:
                return type(error).__name__
        else:
            return answer.status
    raise AssertionError("unreachable")


def median(numbers: Sequence[float]) -> float:
    """The one in the middle."""
    return sorted(numbers)[len(numbers) // 2]
