"""What is counted of requests, and that nothing a request says becomes a label."""

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import Client

from authserver.audit import Audit
from authserver.errors import Reason, Unavailable
from authserver.hosting.flask import create_app
from authserver.oauth import Grant
from authserver.server import build, prepare
from authserver.settings import load
from authserver.telemetry.catalogue import CATALOGUE, METHODS, NONE, OTHER
from authserver.testing import FakeIssuer, FrozenClock
from tests.endpoints.conftest import Application, MakeApplication
from tests.endpoints.test_outages import look_after_the_store, lose_the_store
from tests.served import AUDIENCE, BEARER_GRANT, exchange_form, write_configuration

Sample = tuple[str, dict[str, str], float]

HOSTILE = (
    'x"} 1\nauthserver_decisions_total{source="forged',
    "\N{SNOWMAN}" * 50,
    "../../etc/passwd",
    "a" * 5000,
    "' OR 1=1",
    "cluster\\",
    "none",
)


def samples(application: Application) -> Iterator[Sample]:
    """Every sample that is served, without the moment it was made."""
    for family in text_string_to_metric_families(application.service.telemetry.render().decode()):
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                yield sample.name, sample.labels, sample.value


def counted(application: Application, name: str, **labels: str) -> float:
    """The sum of a metric over all samples that have these labels."""
    found = (value for metric, have, value in samples(application) if metric == name and labels.items() <= have.items())
    return sum(found)


def closed_sets(application: Application) -> dict[str, set[str]]:
    """Every value that a label may ever have."""
    return {
        "source": {"cluster", "github", "once", NONE},
        "resource": {"images", "reports", "bound", NONE},
        "grant": {NONE, *(grant.name.lower() for grant in Grant)},
        "outcome": {"issued", "enrolled", "refused", "unavailable", "failed", "ok"},
        "reason": {NONE, *(reason.value for reason in Reason)},
        "route": {NONE, *(route.path for route in application.service.routes)},
        "method": {OTHER, *METHODS},
        "status": {str(status) for status in range(200, 600)},
        "task": {"ring", "alarm", "key_sets", "sweep", "metrics"},
        "algorithm": {"ES256", "RS256"},
        "state": {"next", "active", "retired"},
        "environment": {"testing"},
    }


def test_hostile_requests_never_make_a_new_label_value_cve_2026_16100(
    application: Application, cluster: FakeIssuer, identity: str
) -> None:
    for text in HOSTILE:
        for changes in ("grant_type", "subject_token", "resource", "audience", "scope", "client_id"):
            application.post(exchange_form(identity, **{changes: text}))
        application.post({"grant_type": BEARER_GRANT, "assertion": text})
        application.ask("POST", "/register", headers=[("Authorization", f"Bearer {text.encode().hex()}")])
        application.post(exchange_form(cluster.identity_token(AUDIENCE, sub=text)))
        application.post(exchange_form(cluster.kubernetes_token("media", text[:60], AUDIENCE)))
        application.post(exchange_form(identity), headers=[("X-Request-Id", text.split("\n")[0].encode().hex())])
        application.ask("GET", f"/{text.encode().hex()}")
        application.ask("POST", f"/token/{text.encode().hex()}")
    for method in ("BREW", "GET", "PROPFIND", "TRACE", "X" * 300):
        application.ask(method, "/token")
    closed = closed_sets(application)
    for name, labels, _ in samples(application):
        for label, value in labels.items():
            if label not in ("le", "version"):
                assert value in closed[label], f"{name} has a label that a request made"


def test_everything_in_the_catalogue_is_served_with_its_labels_and_nothing_else(
    application: Application, identity: str
) -> None:
    application.post(exchange_form(identity))
    application.ask("POST", "/register")
    application.service.telemetry.metrics.background_failed("ring", Reason.STORE_UNAVAILABLE)
    served: dict[str, set[tuple[str, ...]]] = {}
    kinds = {}
    for family in text_string_to_metric_families(application.service.telemetry.render().decode()):
        if family.name.endswith("_created"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        kinds[name] = family.type
        served[name] = {tuple(sorted(set(sample.labels) - {"le"})) for sample in family.samples}
    assert served == {metric.name: {tuple(sorted(metric.labels))} for metric in CATALOGUE}
    assert kinds == {metric.name: metric.kind for metric in CATALOGUE}


def test_every_decision_is_counted_once_with_what_the_event_says(
    application: Application, cluster: FakeIssuer, identity: str
) -> None:
    expected: list[tuple[str, dict[str, Any]]] = [
        ("issued", exchange_form(identity)),
        ("no_rule", exchange_form(cluster.kubernetes_token("media", "stranger", AUDIENCE))),
        ("scope_not_allowed", exchange_form(identity, scope="images:write")),
        ("target_unknown", exchange_form(identity, resource="https://nowhere.example")),
        ("token_malformed", exchange_form("nonsense")),
        ("grant_unsupported", exchange_form(identity, grant_type="password")),
        ("parameter_missing", exchange_form(identity, grant_type=None)),
    ]
    for _, form in expected:
        application.post(form)
    requests = len(expected)
    assert counted(application, "authserver_decisions_total") == len(application.events) == requests
    assert counted(application, "authserver_http_requests_total", route="/token") == requests
    assert counted(application, "authserver_token_seconds_count") == requests
    for event, (wanted, _) in zip(application.events, expected, strict=True):
        assert event.get("reason", event["outcome"]) == wanted
        labels = {"outcome": event["outcome"], "reason": event.get("reason", NONE)}
        assert counted(application, "authserver_decisions_total", **labels) == 1


def test_a_rejected_credential_counts_for_the_source_that_it_names(
    application: Application, cluster: FakeIssuer
) -> None:
    expired = cluster.kubernetes_token("media", "thumbnailer", AUDIENCE, lifetime=600)
    application.clock.advance(3600)
    application.post(exchange_form(expired))
    assert application.reason == "expired"
    assert application.events[-1]["unverified_source"] == "cluster"
    assert "source" not in application.events[-1]
    assert counted(application, "authserver_decisions_total", source="cluster", reason="expired") == 1


def test_a_decision_that_could_not_be_written_down_is_counted_as_unavailable() -> None:
    def full(_: object) -> None:
        raise OSError(28, "No space left on device")

    told: list[tuple[str, Reason | None]] = []
    audit = Audit(
        full, environment="testing", clock=lambda: 0.0, observe=lambda _, outcome, why: told.append((outcome, why))
    )
    with pytest.raises(Unavailable), audit.decision("0" * 32, "192.0.2.1"):
        pass
    assert told == [("unavailable", Reason.AUDIT_UNWRITABLE)]


def test_too_many_failures_are_told_apart_by_the_status(make_application: MakeApplication) -> None:
    application = make_application(failures="2/minute")
    for _ in range(5):
        application.post({})
    assert counted(application, "authserver_http_requests_total", route="/token", status="429") == 3
    assert counted(application, "authserver_decisions_total", reason="parameter_missing") == 2
    assert counted(application, "authserver_decisions_total", reason="too_many_failures") == 3


def test_what_no_route_answers_is_counted_without_its_path(application: Application) -> None:
    application.ask("GET", "/nothing/here")
    application.ask("GET", "/token")
    assert counted(application, "authserver_http_requests_total", route=NONE, status="404") == 1
    assert counted(application, "authserver_http_requests_total", route=NONE, status="405") == 1
    assert counted(application, "authserver_http_requests_total", route="/token") == 0


def test_fetches_of_key_sets_are_counted_by_source(
    application: Application, cluster: FakeIssuer, identity: str
) -> None:
    assert counted(application, "authserver_key_fetches_total", source="cluster", outcome="failed") == 0
    cluster.down()
    application.post(exchange_form(identity))
    cluster.up()
    application.clock.advance(60)
    application.post(exchange_form(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE)))
    assert counted(application, "authserver_key_fetches_total", source="cluster", outcome="failed") >= 1
    assert counted(application, "authserver_key_fetches_total", source="cluster", outcome="ok") >= 1


def test_the_state_of_the_ring_and_of_the_store_is_looked_up_when_asked(application: Application) -> None:
    ring = {"active": 1.0, "next": 1.0, "retired": 0.0}
    for state, count in ring.items():
        assert counted(application, "authserver_keys", algorithm="ES256", state=state) == count
    assert counted(application, "authserver_store_up") == 1
    assert 0 < counted(application, "authserver_key_next_change_seconds", algorithm="ES256") <= 30 * 86400
    assert counted(application, "authserver_key_rotation_overdue") == 0
    lose_the_store(application)
    application.clock.advance(31 * 86400)
    assert counted(application, "authserver_store_up") == 0
    assert counted(application, "authserver_key_rotation_overdue", algorithm="ES256") == 1
    assert counted(application, "authserver_key_next_change_seconds", algorithm="ES256") < 0


def test_metrics_are_served_by_a_process_that_has_never_read_the_ring(tmp_path: Path, cluster: FakeIssuer) -> None:
    settings = load(write_configuration(tmp_path, cluster=cluster.issuer, issuer=AUDIENCE))
    clock, audit = FrozenClock(), io.BytesIO()
    master_keys = prepare(settings, clock=clock)
    settings.store_path.rename(tmp_path / "away")
    service = build(settings, master_keys=master_keys, clock=clock, audit_stream=audit)
    application = Application(service, Client(create_app(service)), clock, audit)
    look_after_the_store(application)
    for algorithm in ("ES256", "RS256"):
        for state in ("next", "active", "retired"):
            labels = {"algorithm": algorithm, "state": state}
            assert ("authserver_keys", labels, 0.0) in samples(application)
        assert counted(application, "authserver_key_rotation_overdue", algorithm=algorithm) == 1
        assert counted(application, "authserver_key_next_change_seconds", algorithm=algorithm) == -math.inf
    assert counted(application, "authserver_store_up") == 0
    (tmp_path / "away").rename(settings.store_path)
    service.ring.refresh()
    assert counted(application, "authserver_keys", state="active") == 2
    assert counted(application, "authserver_key_rotation_overdue") == 0
    service.close()


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "//metrics"])
def test_metrics_are_not_on_the_public_address(application: Application, path: str) -> None:
    assert application.ask("GET", path).status == 404
    assert "/metrics" not in {route.path for route in application.service.routes}
