"""The reference of what the running application shows: routes, parameters, metadata and audit events."""

import ast
from pathlib import Path
from typing import Any

import pytest

from authserver.endpoints import respond, token
from authserver.testing import FakeIssuer
from tests import leaks
from tests.endpoints.conftest import Application, MakeApplication
from tests.house.reference import code, page, rows, sections
from tests.served import AUDIENCE, exchange_form

HTTP = sections(page("http-api"), 2)
EVENTS = {code(row[0])[0]: row[1:3] for row in rows(sections(page("audit-events"), 2)["Fields"])}
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "list of strings": list,
    "object": dict,
}
TRIAL = """
[[allow]]
name = "trial"
source = "cluster"
match = { namespace = "media", service_account = "thumbnailer" }
resource = "https://images.example.com"
scope = ["images:write"]
mode = "audit"
"""


def test_every_route_has_its_section_and_every_section_a_route(application: Application) -> None:
    documented = {title for title in HTTP if title.startswith(("GET ", "POST "))}
    assert documented == {f"{route.method} {route.path}" for route in application.service.routes}


def test_every_error_code_is_listed_with_a_status(application: Application) -> None:
    listed = {code(row[0])[0]: row[1] for row in rows(HTTP["Errors"])}
    assert listed.keys() == {each.value for each in respond.DESCRIPTIONS}
    for answer in (application.post({}), application.ask("GET", "/token"), application.ask("GET", "/nowhere")):
        assert str(answer.status) in listed[answer.json["error"]]


def test_every_parameter_that_is_read_is_described_and_no_other() -> None:
    source = ast.parse(Path(token.__file__).read_text(encoding="utf-8"))
    read = set()
    for node in ast.walk(source):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("form.one", "form.all", "form.required"):
            read.add(ast.literal_eval(node.args[0]))
        if isinstance(node, ast.Compare) and ast.unparse(node.comparators[0]) == "form":
            read.add(ast.literal_eval(node.left))
    described = rows(sections(HTTP["POST /token"], 3)["Parameters"])
    assert {code(row[0])[0] for row in described} == read


def test_the_members_of_the_answer_and_of_the_metadata_are_described(application: Application, identity: str) -> None:
    members = {code(row[0])[0] for row in rows(sections(HTTP["POST /token"], 3)["Answer"])}
    assert members == application.post(exchange_form(identity)).json.keys()
    path = "/.well-known/oauth-authorization-server"
    assert {code(row[0])[0] for row in rows(HTTP[f"GET {path}"])} == application.ask("GET", path).json.keys()


def test_what_holds_everywhere_holds_everywhere(application: Application) -> None:
    for route in application.service.routes:
        for path in (route.path, f"{route.path}/"):
            answer = application.ask(route.method, path, headers=[("X-Request-Id", "of-the-caller")])
            assert len(answer.headers["X-Request-Id"]) == 32
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert path == route.path or answer.status == 404


def events_of_every_kind(application: Application, cluster: FakeIssuer) -> list[dict[str, Any]]:
    """One event for each way that a decision can end."""
    identity = leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))
    application.post(exchange_form(identity))
    application.post(exchange_form(identity, scope="images:write"))
    application.post(b"")
    application.service.store.close()
    application.post(exchange_form(leaks.handled(cluster.identity_token("https://once.auth.example.com"))))
    return application.events


def test_every_field_of_an_event_is_described_and_no_other(
    make_application: MakeApplication, cluster: FakeIssuer
) -> None:
    events = events_of_every_kind(make_application(more=TRIAL), cluster)
    assert {name for event in events for name in event} == EVENTS.keys()
    for event in events:
        for name, value in event.items():
            assert isinstance(value, TYPES[EVENTS[name][0]]), name
        issued = event["outcome"] == "issued"
        for name, (_, present) in EVENTS.items():
            if present in ("always", "unless issued", "when issued"):
                expected = {"always": True, "unless issued": not issued, "when issued": issued}[present]
                assert (name in event) == expected, name


@pytest.mark.parametrize("outcome", ["issued", "refused", "unavailable", "failed"])
def test_every_outcome_is_described(outcome: str) -> None:
    text = sections(page("audit-events"), 2)["Fields"]
    assert f"`{outcome}`" in text
