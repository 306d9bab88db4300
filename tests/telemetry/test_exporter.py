"""The second address: who serves it, what is there, and what happens when it is taken."""

import contextlib
import logging
import socket
from collections.abc import Iterator

import pytest
import urllib3

from authserver.telemetry.exporter import CONNECTIONS, DEADLINE, Exporter
from authserver.testing import FrozenClock
from tests.absent import absent
from tests.served import Answer, ask, free_port

ANYWHERE = "127.0.0.1:0"


class Turns:
    """A lock that two exporters of one process contend for."""

    def __init__(self) -> None:
        self.holder: object = None

    def of(self, who: str) -> "Turns.Turn":
        return Turns.Turn(self, who)

    class Turn:
        def __init__(self, turns: "Turns", who: str) -> None:
            self.turns, self.who = turns, who

        def acquire(self) -> bool:
            self.turns.holder = self.turns.holder or self.who
            return self.turns.holder == self.who

        def release(self) -> None:
            if self.turns.holder == self.who:
                self.turns.holder = None


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    """One that serves."""
    serving = Exporter(ANYWHERE, lambda: b"a 1\n")
    serving.ensure_serving()
    yield serving
    serving.close()


def get(exporter: Exporter, path: str = "/metrics", method: str = "GET") -> Answer:
    assert exporter.address is not None
    return ask(method, f"http://127.0.0.1:{exporter.address[1]}{path}")


def test_metrics_are_text_as_prometheus_reads_it(exporter: Exporter) -> None:
    answer = get(exporter)
    assert (answer.status, answer.body) == (200, b"a 1\n")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert get(exporter, "/metrics?x=1").status == 200


def test_there_is_nothing_else(exporter: Exporter) -> None:
    for path in ("/", "/metrics/", "/token", "/<script>"):
        answer = get(exporter, path)
        assert (answer.status, answer.body) == (404, b"404\n")
    assert get(exporter, method="POST").status == 501
    assert get(exporter).status == 200


def test_a_connection_that_says_nothing_holds_nobody_up(exporter: Exporter) -> None:
    assert exporter.address is not None
    with socket.create_connection(exporter.address):
        assert get(exporter).status == 200


@pytest.mark.slow
def test_a_connection_that_says_a_byte_now_and_then_ends_at_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    clock = FrozenClock()
    exporter = Exporter(ANYWHERE, lambda: b"a 1\n", timer=clock)
    exporter.ensure_serving()
    assert exporter.address is not None
    with socket.create_connection(exporter.address) as slow:
        slow.settimeout(30)
        slow.send(b"GET /metrics HTTP/1.0\r\nX-")
        assert get(exporter).status == 200  # so the one before was accepted
        clock.advance(DEADLINE)
        slow.send(b"A")
        assert get(exporter).status == 200
        clock.advance(1)
        assert slow.recv(1) == b""
    assert get(exporter).status == 200
    exporter.close()
    assert caplog.records == []


@pytest.mark.slow
def test_connections_above_a_number_are_closed_at_once(exporter: Exporter) -> None:
    assert exporter.address is not None
    with contextlib.ExitStack() as held:
        many = [held.enter_context(socket.create_connection(exporter.address)) for _ in range(CONNECTIONS)]
        one_more = held.enter_context(socket.create_connection(exporter.address))
        one_more.settimeout(30)
        assert one_more.recv(1) == b""
        many[0].sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        many[0].settimeout(30)
        assert many[0].makefile("rb").read().endswith(b"a 1\n")
        assert get(exporter).status == 200  # there is room again


def test_an_address_that_is_taken_is_told_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    exporter = Exporter(f"127.0.0.1:{port}", lambda: b"")
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        for _ in range(3):
            exporter.ensure_serving()
        assert exporter.address is None
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "address" in caplog.text
    exporter.ensure_serving()
    assert get(exporter).status == 200
    exporter.close()


@pytest.mark.slow
def test_only_one_serves_and_another_takes_its_place(caplog: pytest.LogCaptureFixture) -> None:
    turns, bind = Turns(), f"127.0.0.1:{free_port()}"
    one = Exporter(bind, lambda: b"one", turns.of("one"))
    two = Exporter(bind, lambda: b"two", turns.of("two"))
    for exporter in (one, two, one, two):
        exporter.ensure_serving()
    assert get(one).body == b"one"
    assert two.address is None
    one.close()
    two.ensure_serving()
    assert get(two).body == b"two"
    two.close()
    assert caplog.records == []  # that another worker serves is nothing to tell


def test_closing_ends_it(exporter: Exporter) -> None:
    address = exporter.address
    exporter.close()
    exporter.close()
    assert address is not None
    with pytest.raises(urllib3.exceptions.HTTPError):
        ask("GET", f"http://127.0.0.1:{address[1]}/metrics")


def test_metrics_that_cannot_be_made_are_told_and_not_fatal(caplog: pytest.LogCaptureFixture) -> None:
    answers = iter((ZeroDivisionError(), b"fine"))

    def render() -> bytes:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    exporter = Exporter(ANYWHERE, render)
    exporter.ensure_serving()
    with pytest.raises(urllib3.exceptions.HTTPError):
        get(exporter)
    assert get(exporter).body == b"fine"
    assert "ZeroDivisionError" in caplog.text
    exporter.close()


def test_an_ipv6_address_is_served_too() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        absent("this machine has no IPv6 loopback")
    exporter = Exporter("[::1]:0", lambda: b"six")
    exporter.ensure_serving()
    assert exporter.address is not None
    assert ask("GET", f"http://[::1]:{exporter.address[1]}/metrics").body == b"six"
    exporter.close()
