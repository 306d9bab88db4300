"""What is answered while something is away: workload tokens as long as a key can sign, and never a 500."""

import contextlib
import logging
from dataclasses import replace
from functools import partial

import pytest

from authserver.endpoints.http import Request, Response
from authserver.errors import Reason, Unavailable
from authserver.housekeeping import Task, attempt
from authserver.testing import FakeIssuer, FrozenClock
from tests.endpoints.conftest import Application, MakeApplication
from tests.served import AUDIENCE, REPORTS, exchange_form


def lose_the_store(application: Application) -> None:
    """Take the store's file away under the running server."""
    store = application.sqlite
    store.close()
    path = store._path
    path.rename(path.with_suffix(".gone"))
    look_after_the_store(application)


def look_after_the_store(application: Application) -> None:
    """What housekeeping does every two seconds."""
    with contextlib.suppress(Unavailable):
        application.service.housekeeping[1]._tasks[0].work()


def test_the_store_down_workload_tokens_are_issued_from_memory(application: Application, identity: str) -> None:
    assert application.ask("GET", "/.well-known/jwks.json").status == 200
    lose_the_store(application)
    assert application.post(exchange_form(identity)).status == 200
    assert application.ask("GET", "/.well-known/jwks.json").status == 200


def test_the_store_down_single_use_tokens_are_put_off(application: Application, cluster: FakeIssuer) -> None:
    lose_the_store(application)
    answer = application.post(exchange_form(cluster.identity_token("https://once.auth.example.com")))
    assert (answer.status, answer.json["error"], application.reason) == (
        503,
        "temporarily_unavailable",
        "store_unavailable",
    )
    assert int(answer.headers["Retry-After"]) > 0
    assert application.events[-1]["outcome"] == "unavailable"


def test_readiness_names_what_is_degraded(application: Application) -> None:
    assert application.ask("GET", "/readyz").json == {"status": "ready", "degraded": []}
    lose_the_store(application)
    answer = application.ask("GET", "/readyz")
    assert (answer.status, answer.json) == (200, {"status": "degraded", "degraded": ["store"]})
    assert application.ask("GET", "/livez").status == 200


def test_the_issuer_down_its_cached_keys_go_on(application: Application, cluster: FakeIssuer, identity: str) -> None:
    assert application.post(exchange_form(identity)).status == 200
    cluster.down()
    assert application.post(exchange_form(identity)).status == 200


def test_the_issuer_never_reached_its_tokens_are_put_off(
    application: Application, cluster: FakeIssuer, identity: str
) -> None:
    cluster.down()
    answer = application.post(exchange_form(identity))
    assert (answer.status, answer.json["error"], application.reason) == (
        503,
        "temporarily_unavailable",
        "issuer_unreachable",
    )
    assert application.ask("GET", "/readyz").json["degraded"] == ["source:cluster"]


def test_the_plan_over_and_the_store_down_nothing_is_signed(
    application: Application, cluster: FakeIssuer, clock: FrozenClock
) -> None:
    lose_the_store(application)
    clock.advance(200 * 86400)
    answer = application.post(exchange_form(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE)))
    assert (answer.status, application.reason) == (503, "no_active_key")
    ready = application.ask("GET", "/readyz")
    assert ready.status == 503
    assert ready.json == {
        "status": "unready",
        "degraded": ["algorithm:ES256", "algorithm:RS256", "store"],
    }


def test_an_algorithm_added_later_waits_until_its_key_is_due(
    make_application: MakeApplication, cluster: FakeIssuer, clock: FrozenClock
) -> None:
    before = make_application(folder="one", keys='algorithms = ["ES256"]', reports="")
    assert before.ask("GET", "/.well-known/jwks.json").status == 200
    after = make_application(folder="one")
    form = exchange_form(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE), resource=REPORTS, scope=None)
    answer = after.post(form)
    assert (answer.status, after.reason) == (503, "no_active_key")
    assert after.ask("GET", "/readyz").json["degraded"] == ["algorithm:RS256"]
    assert after.post(exchange_form(form["subject_token"])).status == 200
    clock.advance(86400 + 60)
    after.service.ring.refresh()
    form["subject_token"] = cluster.kubernetes_token("media", "thumbnailer", AUDIENCE)
    assert after.post(form).status == 200


def test_a_bug_is_a_500_without_a_word_and_with_a_traceback_for_the_operator(
    application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    from authserver.endpoints.http import Route
    from authserver.hosting.flask import create_app

    def broken(request: Request) -> Response:
        raise ZeroDivisionError(request.method)

    service = application.service
    host = create_app(replace(service, routes=(Route("/x", "GET", broken),)))
    with caplog.at_level(logging.ERROR):
        response = host.test_client().get("/x")
    assert response.status_code == 500
    assert response.json is not None
    assert response.json["error"] == "server_error"
    assert response.json["request_id"] == response.headers["X-Request-Id"]
    assert "ZeroDivisionError" in caplog.text


def test_background_work_that_fails_is_told_and_not_fatal(caplog: pytest.LogCaptureFixture) -> None:
    from authserver.errors import AuthServerError, Unavailable

    def fails(error: Exception) -> None:
        raise error

    failures: list[tuple[str, Reason]] = []
    for error, told in (
        (Unavailable(Reason.STORE_UNAVAILABLE), "put off"),
        (AuthServerError("the ring is damaged"), "the ring is damaged"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ):
        caplog.clear()
        attempt(Task("ring", 1.0, partial(fails, error)), lambda *failure: failures.append(failure))
        assert told in caplog.text
        assert failures.pop() == ("ring", getattr(error, "reason", Reason.INTERNAL_ERROR))
