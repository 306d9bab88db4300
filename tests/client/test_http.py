"""The doorway to a server: where requests go, and the bounds of what comes back."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from authserver.client import AuthorizationServer
from authserver.client.clock import ServerClock
from authserver.client.failures import AnswerUnusable, CallRefused, NoAnswer
from authserver.client.http import Answer, Http
from tests.client.fake import FakeServer
from tests.jose.servers import Authority, Responder, Server, answer, pouring, sending

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"


@contextmanager
def responding(respond: Responder) -> Iterator[str]:
    with Server(respond).running() as server:
        yield server.url("/x")


def get(raw: bytes, **options: float) -> Answer:
    with responding(sending(raw)) as url:
        return Http(**options).send("GET", url)  # type: ignore[arg-type]


def test_a_request_arrives_as_it_was_meant() -> None:
    with Server(sending(answer({"a": 1}))).running() as server:
        said = Http().send("GET", server.url("/x?y=z"), headers={"X-Own": "1"})
        (asked,) = server.requests
    assert (said.status, said.json) == (200, {"a": 1})
    lines = asked.split("\r\n")
    assert lines[0] == "GET /x?y=z HTTP/1.1"
    assert {f"Host: 127.0.0.1:{server.port}", "X-Own: 1", "Accept-Encoding: identity"} <= set(lines)
    assert len({line.partition(":")[0].lower() for line in lines[1:-2]}) == len(lines) - 3


def test_tls_is_believed_from_a_trusted_authority_for_that_name_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    trust = ssl.create_default_context(cafile=authority.file)
    with Server(sending(answer({})), authority.server_context("localhost")).running() as server:
        assert Http(trust=trust).send("GET", server.url(host="localhost")).status == 200
        for http, host in ((Http(trust=trust), "127.0.0.1"), (Http(), "localhost")):
            with pytest.raises(NoAnswer, match="no trusted connection"):
                http.send("GET", server.url(host=host))
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        assert Http().send("GET", server.url(host="localhost")).status == 200


def test_plain_http_goes_to_this_machine_only() -> None:
    with responding(sending(answer({}))) as url:
        assert Http().send("GET", url.replace("127.0.0.1", "localhost")).status == 200
    for resolved in (["192.0.2.1"], ["127.0.0.1", "192.0.2.1"], ["not an address"], ["169.254.169.254"]):
        with pytest.raises(AnswerUnusable, match="not asked without TLS"):
            Http(resolver=lambda _, found=resolved: found).send("GET", "http://auth.example.com/")  # type: ignore[misc]
    with pytest.raises(AnswerUnusable, match="not asked without TLS"):
        Http().send("GET", "http://192.0.2.1/")


@pytest.mark.parametrize("url", ["", "ftp://x.example/", "https://user@x.example/", "https://x.example/#y", "//x"])
def test_what_is_no_address_is_not_asked(url: str) -> None:
    with pytest.raises(AnswerUnusable, match="not an address"):
        Http().send("GET", url)


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with Server(sending(answer({}, "307 Temporary Redirect", Location="/elsewhere"))).running() as server:
        assert Http().send("GET", server.url("/x")).status == 307
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "respond",
    [
        pouring(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000),
        pouring(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 1000),
        pouring(HEAD, b"x" * 1000),
    ],
    ids=["body", "header", "announced"],
)
def test_an_endless_answer_ends_at_the_limit(respond: Responder) -> None:
    with responding(respond) as url, pytest.raises((AnswerUnusable, NoAnswer)):
        Http(max_bytes=10_000).send("GET", url)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX: ", HEAD], ids=["nothing", "header", "body"])
def test_a_server_that_drips_does_not_outlive_the_deadline(head: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(b"x")
            time.sleep(0.02)

    started = time.monotonic()
    with responding(drip) as url, pytest.raises(NoAnswer):
        Http(deadline=0.3).send("GET", url)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (b"", "broke off"),
        (b"not HTTP at all\r\n\r\n", "is not HTTP"),
        (HEAD + b"short", "broke off"),
        (answer({}, Content_Encoding="gzip"), "encoded"),
    ],
    ids=["nothing", "noise", "half", "gzip"],
)
def test_what_is_no_whole_answer_is_none(raw: bytes, match: str) -> None:
    with pytest.raises((AnswerUnusable, NoAnswer), match=match):
        get(raw)


def test_a_server_that_is_not_there_is_named() -> None:
    with responding(sending(b"")) as url:
        pass
    with pytest.raises(NoAnswer, match=r"127\.0\.0\.1:\d+ cannot be reached"):
        Http().send("GET", url)


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"a":1,"a":2}', b"<html>"])
def test_a_body_that_is_not_one_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(AnswerUnusable, match="not a JSON object"):
        _ = Answer(200, {}, body).json


@pytest.mark.parametrize(
    ("headers", "date"),
    [
        ({"Date": "Sun, 06 Nov 1994 08:49:37 GMT"}, 784111777.0),
        ({"Date": "Sun, 06 Nov 1994 08:49:37 GMT", "Age": "3"}, 784111780.0),
        ({"Date": "Sun, 06 Nov 1994 08:49:37 GMT", "Age": "x"}, 784111777.0),
        ({"Date": "yesterday"}, None),
        ({"Date": "Sun, 06 Nov 99999 08:49:37 GMT"}, None),
        ({}, None),
    ],
)
def test_the_time_of_an_answer_is_what_its_server_says(headers: dict[str, str], date: float | None) -> None:
    assert Answer(200, headers).date == date


@pytest.mark.parametrize(("text", "seconds"), [("7", 7), (" 7 ", 7), ("-1", None), ("soon", None), ("9" * 20, None)])
def test_seconds_say_when_to_come_back(text: str, seconds: int | None) -> None:
    assert Answer(503, {"Retry-After": text}).retry_after == seconds


@pytest.mark.parametrize(
    ("date", "seconds"),
    [("Sun, 06 Nov 1994 08:49:00 GMT", 37), ("Sun, 06 Nov 1994 09:49:37 GMT", 0), ("yesterday", None), ("", None)],
)
def test_a_date_says_so_by_the_clock_of_the_server_alone(date: str, seconds: int | None) -> None:
    """RFC 9110 section 10.2.3"""
    assert Answer(503, {"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT", "Date": date}).retry_after == seconds


def test_a_clock_that_is_nearly_right_is_left_alone() -> None:
    clock = ServerClock(lambda: 1000.0)
    assert not clock.learn(None)
    assert not clock.learn(1005.0)
    assert clock() == 1000.0
    assert clock.learn(4600.0)
    assert clock() == 4600.0
    assert not clock.learn(4601.0)
    assert clock.learn(1000.0)
    assert clock() == 1000.0


def test_metadata_of_another_issuer_is_not_believed(fake: FakeServer) -> None:
    for issuer in (fake.issuer + "/", fake.issuer.replace("127.0.0.1", "localhost")):
        with pytest.raises((AnswerUnusable, CallRefused)):
            _ = AuthorizationServer(issuer).token_endpoint


def test_metadata_is_asked_for_once_and_must_name_what_is_needed(fake: FakeServer) -> None:
    server = AuthorizationServer(fake.issuer)
    assert server.token_endpoint == f"{fake.issuer}/token"
    assert server.registration_endpoint == f"{fake.issuer}/register"
    assert len(fake.asked) == 1


def test_an_issuer_where_nothing_can_enrol_says_so() -> None:
    with Server(lambda connection: connection.sendall(answer({"issuer": issuer}))).running() as server:
        issuer = server.url("")
        with pytest.raises(AnswerUnusable, match="no registration_endpoint"):
            _ = AuthorizationServer(issuer).registration_endpoint


def test_an_issuer_without_metadata_says_so() -> None:
    with Server(sending(answer({}, "404 Not Found"))).running() as server, pytest.raises(CallRefused, match="404"):
        _ = AuthorizationServer(server.url("")).token_endpoint
