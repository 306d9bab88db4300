"""Metrics of a real server: they add up over all workers, whatever happens to the workers."""

import contextlib
import os
import random
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3
from prometheus_client.parser import text_string_to_metric_families

from authserver.errors import Reason
from authserver.testing import FakeIssuer
from tests import mesh
from tests.failures import DEVICES, ELSEWHERE, TRUSTING, UNREACHABLE, Asked, Devices, failures
from tests.served import AUDIENCE, Answer, Server, ask, free_port, serving

pytestmark = pytest.mark.slow

ES256: dict[str, Any] = {"keys": 'algorithms = ["ES256"]', "reports": ""}


def send(server: Server, asked: Asked) -> Answer:
    """One request of the table."""
    url = f"{server.url}/token" + (f"?{asked.query}" if asked.query else "")
    headers = urllib3.HTTPHeaderDict(asked.headers)
    headers["Content-Type"] = asked.content_type
    return ask("POST", url, body=asked.body, headers=headers)


class Metrics:
    """What the telemetry address says."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/metrics"

    def read(self, seconds: float = 15) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Every sample, as soon as a worker answers."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                text = ask("GET", self._url).body.decode()
                break
            except urllib3.exceptions.HTTPError:
                assert time.monotonic() < deadline, "nobody serves metrics"
                time.sleep(0.05)
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def sum(self, name: str, **labels: str) -> float:
        """The sum of a metric over the samples with these labels."""
        return sum(value for (found, have), value in self.read().items() if found == name and labels.items() <= have)

    def by(self, label: str) -> Counter[str]:
        """Decisions by one label."""
        counted: Counter[str] = Counter()
        for (name, labels), value in self.read().items():
            if name == "authserver_decisions_total":
                counted[dict(labels)[label]] += round(value)
        return counted


def test_the_table_of_failures_is_whole(cluster: FakeIssuer, identity: str) -> None:
    table = failures(cluster, identity, Devices(AUDIENCE))
    assert set(table) | ELSEWHERE.keys() == set(Reason)
    assert not set(table) & ELSEWHERE.keys()


@pytest.mark.usefixtures("either_server")
def test_every_documented_failure_is_one_event_with_its_reason_and_the_metrics_add_up(
    tmp_path: Path, cluster: FakeIssuer, identity: str
) -> None:
    """Issue 3, "it must show" 4."""
    port = free_port()
    with serving(
        tmp_path,
        cluster=cluster.issuer,
        workers=2,
        telemetry=port,
        server=TRUSTING,
        more=UNREACHABLE + DEVICES + mesh.at(cluster.bundle_url),
        **ES256,
    ) as server:
        metrics, devices = Metrics(port), Devices(server.url)
        devices.enroll(tmp_path / "authserver.db")
        table = failures(cluster, identity, devices)
        for reason in (Reason.USED_TWICE, Reason.PROOF_REPLAYED):
            assert send(server, table[reason]).status == 200  # the first time
        for reason, asked in table.items():
            before = len(server.events())
            answer = send(server, asked)
            (event,) = server.events()[before:]
            assert event.get("reason") == reason.value
            assert event["request_id"] == answer.json["request_id"] == answer.headers["X-Request-Id"]
        for _ in range(50):
            assert server.token(identity).status == 200
        requests = 2 + len(table) + 50
        events = server.events()
        assert len(events) == requests
        assert metrics.sum("authserver_decisions_total") == requests
        assert metrics.sum("authserver_http_requests_total", route="/token") == requests
        assert metrics.sum("authserver_token_seconds_count") == requests
        assert metrics.by("reason") == Counter(event.get("reason", "none") for event in events)
        assert metrics.by("outcome") == Counter(event["outcome"] for event in events)
        assert ask("GET", f"{server.url}/metrics").status == 404


@pytest.mark.usefixtures("either_server")
def test_nothing_is_lost_when_workers_are_killed_and_replaced(
    tmp_path: Path, cluster: FakeIssuer, identity: str
) -> None:
    dice, port = random.Random(20261122), free_port()
    with serving(tmp_path, cluster=cluster.issuer, workers=2, telemetry=port, **ES256) as server:
        metrics = Metrics(port)
        for turn in range(6):
            with contextlib.suppress(ProcessLookupError):
                os.kill(dice.choice(server.workers()), (signal.SIGKILL, signal.SIGTERM)[turn % 2])
            wait_for(lambda: len(server.workers()) == 2)
            for _ in range(20):
                with contextlib.suppress(urllib3.exceptions.HTTPError):
                    server.token(identity)
            assert metrics.sum("authserver_decisions_total") == len(server.events())
        (directory,) = directories_of(server)
        assert len(list(directory.glob("counter_*.db"))) <= 3  # a worker that ends may overlap with its successor
        server.stop()
        assert not directory.exists()


def test_an_address_that_is_taken_stops_no_token(tmp_path: Path, cluster: FakeIssuer, identity: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with serving(tmp_path, cluster=cluster.issuer, workers=2, telemetry=port, **ES256) as server:
            wait_for(lambda: "metrics are not served" in server.read_output())
            assert server.token(identity).status == 200
            other.close()
            assert Metrics(port).sum("authserver_decisions_total", outcome="issued") == 1
            assert server.read_output().count("metrics are not served") == 1


def wait_for(condition: Callable[[], bool], seconds: float = 15) -> None:
    """Return when it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def directories_of(server: Server) -> set[Path]:
    """Where the workers count, from the files that they have open."""
    opened = (link.readlink() for worker in server.workers() for link in Path(f"/proc/{worker}/fd").iterdir())
    return {file.parent for file in opened if file.suffix == ".slot"}
