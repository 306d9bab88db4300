"""One connection at a time: what it waits for, how long, and what becomes of it."""

import gc
import socket
import ssl
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from authserver.endpoints.http import MAX_BODY
from authserver.hosting.connection import Connection
from tests.authority import SERVER, Authority, dns
from tests.hosting.crews import GET, Caller, Served, get, served

BIG: Final = b"x" * 8_000_000
POST: Final = b"POST /echo HTTP/1.1\r\nHost: x\r\n"


def reading(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
    """Reads as this server's endpoints do: by Content-Length where there is one."""
    size = int(environ.get("CONTENT_LENGTH") or MAX_BODY + 1)
    try:
        body = environ["wsgi.input"].read(min(size, MAX_BODY + 1))
    except OSError:
        body = b"unreadable"
    start("200 OK", [])
    return [BIG if environ["PATH_INFO"] == "/big" else str(len(body)).encode("ascii") if len(body) > 99 else body]


@pytest.fixture
def serving() -> Iterator[Served]:
    with served(reading) as serving:
        yield serving


def test_a_request_may_come_byte_by_byte(serving: Served) -> None:
    caller = serving.call()
    for byte in POST + b"Content-Length: 3\r\n\r\nabc":
        caller.send(bytes([byte]))
    assert caller.answer().body == b"abc"


def test_who_has_sent_everything_may_close_that_half(serving: Served) -> None:
    caller = serving.call().send(POST + b"Content-Length: 3\r\n\r\nabc")
    caller.sock.shutdown(socket.SHUT_WR)
    assert caller.answer().body == b"abc"
    assert caller.rest() == b""


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("wish", [None, "close", "keep-alive"])
def test_a_connection_stays_open_as_its_caller_wishes(serving: Served, version: str, wish: str | None) -> None:
    fields = f"Connection: {wish}\r\n" if wish else ""
    caller = serving.call().send(f"GET / HTTP/{version}\r\n{fields}\r\n".encode("ascii"))
    line, headers = caller.head()
    stays = wish == "keep-alive" or (wish is None and version == "1.1")
    assert line == f"HTTP/{version} 200 OK"
    assert headers["Connection"] == ("keep-alive" if stays else "close")
    caller.read(int(headers["Content-Length"]))
    if stays:
        assert caller.send(GET).answer().status == 200
    else:
        assert caller.rest() == b""


def test_requests_that_come_together_are_answered_in_order_and_none_behind_the_last(serving: Served) -> None:
    bodies = [str(number).encode("ascii") for number in range(20)]
    requests = [POST + b"Content-Length: %d\r\n\r\n%b" % (len(each), each) for each in bodies]
    caller = serving.call().send(b"".join(requests) + get("/", "Connection: close") + GET)
    assert [caller.answer().body for _ in bodies] == bodies
    assert caller.answer().headers["Connection"] == "close"
    assert caller.rest() == b""


def test_a_body_is_awaited_once_its_caller_has_asked_whether_it_may_send_it(serving: Served) -> None:
    caller = serving.call().send(POST + b"Expect: 100-Continue\r\nContent-Length: 3\r\n\r\n")
    assert caller.head() == ("HTTP/1.1 100 Continue", {})
    assert caller.send(b"abc").answer().body == b"abc"
    refused = serving.call().send(POST + b"Expect: 200-ok\r\nContent-Length: 3\r\n\r\n").answer()
    assert (refused.status, refused.headers["Connection"]) == (417, "close")
    old = POST.replace(b"1.1", b"1.0") + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    caller = serving.call().send(old + b"a")
    assert caller.send(b"bc").answer().body == b"abc"


@pytest.mark.parametrize("size", [MAX_BODY, MAX_BODY + 1, MAX_BODY * 2])
def test_of_a_body_that_is_too_long_one_byte_more_is_seen(serving: Served, size: int) -> None:
    caller = serving.call().send(POST + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
    answer = caller.answer()
    assert answer.body == str(min(size, MAX_BODY + 1)).encode("ascii")
    assert answer.headers["Connection"] == ("keep-alive" if size == MAX_BODY else "close")


def test_chunks_without_end_are_not_waited_for(serving: Served) -> None:
    caller = serving.call().send(POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"2000\r\n" + b"x" * 8192 + b"\r\n")
    caller.send((b"2000\r\n" + b"x" * 8192 + b"\r\n") * 9)
    assert caller.answer().body == str(MAX_BODY + 1).encode("ascii")
    assert caller.rest() == b""


def test_who_reads_slowly_gets_all_of_a_big_answer_and_keeps_nobody_waiting(serving: Served) -> None:
    slow = serving.call().send(get("/big") + GET)
    assert serving.ask().status == 200
    assert slow.answer().body == BIG
    assert slow.answer().status == 200


def test_who_does_not_read_is_given_up(serving: Served) -> None:
    stuck = serving.call().send(get("/big"))
    assert serving.ask().status == 200
    serving.pass_time(11)
    assert len(stuck.rest()) < len(BIG)


def test_a_connection_without_a_request_is_kept_for_a_while_and_no_longer(serving: Served) -> None:
    silent, used = serving.call(), serving.call()
    assert used.send(GET).answer().status == 200
    serving.pass_time(60)
    assert used.send(GET).answer().status == 200
    serving.pass_time(10)
    assert silent.rest() == b""
    assert used.send(GET).answer().status == 200
    serving.pass_time(70)
    assert used.rest() == b""


def test_a_request_has_its_time_from_its_first_byte(serving: Served) -> None:
    head, body, late = serving.call(), serving.call(), serving.call()
    serving.pass_time(30)
    head.send(b"GET / HTTP/1.1\r\nX-A: ")
    body.send(POST + b"Content-Length: 100\r\n\r\nabc")
    serving.ask()
    serving.pass_time(9)
    head.send(b"1")
    late.send(GET)
    assert late.answer().status == 200
    serving.pass_time(2)
    assert head.rest() == b""
    answer = body.answer()
    assert (answer.body, answer.headers["Connection"], body.rest()) == (b"unreadable", "close", b"")


def test_who_goes_on_sending_after_the_end_is_cut_off(serving: Served) -> None:
    caller = serving.call().send(get("/", "Connection: close"))
    assert caller.answer().status == 200
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        caller.send(b"x" * 64_000_000)


def test_of_what_is_no_request_only_the_address_is_on_record(serving: Served, caplog: pytest.LogCaptureFixture) -> None:
    assert serving.ask(b"GET /?token=CREDENTIAL HTTP/1.1\r\nCREDENTIAL\r\n\r\n").body == b"Bad Request"
    (record,) = caplog.records
    assert vars(record)["address"] == "127.0.0.1"
    assert vars(record)["status"] == 400
    assert "CREDENTIAL" not in caplog.text


@pytest.fixture
def authority() -> Authority:
    return Authority(now=1_900_000_000.0)


@pytest.fixture
def contexts(tmp_path: Path, authority: Authority) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server, and of a client that believes it."""
    cert, key = authority.issue(dns("localhost"), purposes=(SERVER,)).write(tmp_path, "server")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    return server, client


@pytest.fixture
def tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[Served]:
    def wrap(plain: socket.socket) -> ssl.SSLSocket:
        return contexts[0].wrap_socket(plain, server_side=True, do_handshake_on_connect=False)

    with served(reading, wrap=wrap, is_tls=True) as serving:
        yield serving


def greeted(tls: Served, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Caller:
    """A connection over TLS."""
    plain = tls.call()
    caller = Caller(contexts[1].wrap_socket(plain.sock, server_hostname="localhost"))
    tls.callers.append(caller)
    return caller


def test_over_tls_everything_is_the_same(tls: Served, contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    caller = greeted(tls, contexts)
    for _ in range(2):
        assert caller.send(POST + b"Content-Length: 3\r\n\r\nabc").answer().body == b"abc"
    size = MAX_BODY
    assert caller.send(POST + b"Content-Length: %d\r\n\r\n" % size + b"x" * size).answer().body == b"65536"
    assert caller.send(get("/big") + GET).answer().body == BIG
    assert caller.answer().status == 200
    assert caller.send(get("/", "Connection: close")).answer().status == 200
    assert caller.rest() == b""


def test_a_handshake_has_its_time_and_a_silent_connection_its_own(
    tls: Served, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    silent, stuck = tls.call(), tls.call().send(b"\x16\x03\x01\x02\x00")
    assert greeted(tls, contexts).send(GET).answer().status == 200
    tls.pass_time(11)
    assert stuck.rest() == b""
    tls.pass_time(60)
    assert silent.rest() == b""
    assert greeted(tls, contexts).send(GET).answer().status == 200


def test_what_is_no_tls_is_on_record_and_told_nothing(tls: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert b"HTTP" not in tls.call().send(GET).rest()
    (record,) = caplog.records
    assert (record.message, vars(record)["reason"]) == ("a TLS handshake failed", "HTTP_REQUEST")


def test_while_there_is_no_context_a_connection_ends(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    def wrap(_plain: socket.socket) -> socket.socket:
        raise FileNotFoundError("server.pem")

    with served(reading, wrap=wrap, is_tls=True) as serving:
        assert serving.call().send(GET).rest() == b""
    assert [vars(each)["reason"] for each in caplog.records] == ["FileNotFoundError"]


def test_a_closed_connection_leaves_nothing_behind_for_the_garbage_collector() -> None:
    with served(reading) as serving:
        serving.ask(get("/", "Connection: close"))
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                caller = serving.call().send(get("/", "Connection: close"))
                caller.answer()
                caller.rest()
                caller.close()
            serving.ask()
            assert sum(type(each) is Connection for each in gc.get_objects()) <= 3
        finally:
            gc.enable()
