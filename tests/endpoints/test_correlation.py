"""Which request a line belongs to, and where it stands in a trace."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from werkzeug.test import Client

from authserver.endpoints.http import Request, Response, Route
from authserver.hosting.flask import create_app
from authserver.telemetry import json_formatter
from tests.endpoints.conftest import Application, MakeApplication
from tests.served import exchange_form

PROXY = "10.1.2.3"
TRUSTING = {"server": 'trusted_proxies = ["10.0.0.0/8"]'}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


@contextmanager
def log_lines() -> Iterator[io.StringIO]:
    """What our formatter writes of everything that is logged meanwhile."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(json_formatter())
    logger = logging.getLogger("authserver")
    logger.addHandler(handler)
    try:
        yield written
    finally:
        logger.removeHandler(handler)


@pytest.mark.parametrize("offered", ["abcdefgh", "A.b_c-9" * 9, "0" * 64])
def test_a_trusted_proxy_names_the_request(make_application: MakeApplication, offered: str) -> None:
    application = make_application(**TRUSTING)
    answer = application.post({}, headers=[("X-Request-Id", offered)], peer=PROXY)
    assert answer.headers["X-Request-Id"] == answer.json["request_id"] == offered
    assert application.events[-1]["request_id"] == offered


@pytest.mark.parametrize(
    "offered", ["short", "x" * 65, "white space", "semi;colon", "new\tline", "gr\xfc\xdfe-aus-k\xf6ln", ""]
)
def test_what_is_no_identifier_is_not_taken_over(make_application: MakeApplication, offered: str) -> None:
    application = make_application(**TRUSTING)
    answer = application.post({}, headers=[("X-Request-Id", offered)], peer=PROXY)
    assert answer.headers["X-Request-Id"] == answer.json["request_id"] == application.events[-1]["request_id"]
    assert answer.headers["X-Request-Id"] != offered
    assert len(answer.headers["X-Request-Id"]) == 32


def test_nobody_else_names_the_request(make_application: MakeApplication) -> None:
    application = make_application(**TRUSTING)
    answer = application.post({}, headers=[("X-Request-Id", "abcdefgh")], peer="192.0.2.1")
    assert answer.headers["X-Request-Id"] != "abcdefgh"


def test_a_request_without_an_endpoint_is_named_too(make_application: MakeApplication) -> None:
    application = make_application(**TRUSTING)
    answer = application.ask("GET", "/nowhere", headers=[("X-Request-Id", "abcdefgh")], peer=PROXY)
    assert (answer.status, answer.headers["X-Request-Id"], answer.json["request_id"]) == (404, "abcdefgh", "abcdefgh")


def test_a_trace_is_in_the_event_and_not_in_the_answer(application: Application, identity: str) -> None:
    answer = application.post(exchange_form(identity), headers=[("traceparent", TRACEPARENT)])
    assert answer.status == 200
    assert (application.events[-1]["trace_id"], application.events[-1]["span_id"]) == (TRACE, SPAN)
    assert not {"traceparent", "tracestate", "traceresponse"} & {name.lower() for name in answer.headers}


@pytest.mark.parametrize("headers", [[], [("traceparent", "nonsense")], [("traceparent", TRACEPARENT)] * 2])
def test_without_a_valid_trace_there_is_none(
    application: Application, identity: str, headers: list[tuple[str, str]]
) -> None:
    assert application.post(exchange_form(identity), headers=headers).status == 200
    assert not {"trace_id", "span_id"} & application.events[-1].keys()


def test_every_line_that_is_written_while_a_request_is_served_names_it(application: Application) -> None:
    def talks(request: Request) -> Response:
        logging.getLogger("authserver.deep.inside").warning("working")
        raise ZeroDivisionError(request.method)

    service = replace(application.service, routes=(Route("/x", "GET", talks),))
    with log_lines() as written:
        answer = Client(create_app(service)).get("/x", headers={"traceparent": TRACEPARENT})
        logging.getLogger("authserver").warning("outside")
    *inside, outside = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [line["event"] for line in inside] == ["working", "request failed"]
    for line in inside:
        assert line["request_id"] == answer.headers["X-Request-Id"]
        assert (line["trace_id"], line["span_id"]) == (TRACE, SPAN)
    assert not {"request_id", "trace_id", "span_id"} & outside.keys()
