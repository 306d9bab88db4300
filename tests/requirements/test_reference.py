"""The reference of what the running application shows: routes, parameters, metadata and audit events."""

import ast
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from authserver.audit import AboutDevice
from authserver.endpoints import introspection, respond, revocation, secrets, token
from authserver.model import Device, Invitation
from authserver.testing import FakeIssuer
from tests import leaks
from tests.devices import PHONES, DeviceKey
from tests.endpoints.conftest import Application, MakeApplication
from tests.endpoints.holders import SETTINGS, crafted, introspect, own_token, revoke
from tests.house.reference import code, page, rows, sections
from tests.served import AUDIENCE, exchange_form

HTTP = sections(page("http-api"), 2)
EVENTS = sections(page("audit-events"), 2)
KINDS = ("decision", "revocation", "introspection")
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
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
    documented = {title for title in HTTP if title.startswith(("GET ", "POST ", "PUT ", "DELETE "))}
    routes = {f"{route.method} {route.path}" for route in application.service.routes}
    assert documented == routes


def test_every_error_code_is_listed_with_a_status(application: Application) -> None:
    listed = {code(row[0])[0]: row[1] for row in rows(HTTP["Errors"])}
    assert listed.keys() == {each.value for each in respond.DESCRIPTIONS}
    for answer in (application.post({}), application.ask("GET", "/token"), application.ask("GET", "/nowhere")):
        assert str(answer.status) in listed[answer.json["error"]]


def named(text: str) -> set[str]:
    """The names in the first column of a table."""
    return {code(row[0])[0] for row in rows(text)}


def read_by(module: ModuleType) -> set[str]:
    """The parameters of a form that a module reads, or looks for."""
    found = set()
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("form.one", "form.all", "form.required"):
            found.add(ast.literal_eval(node.args[0]))
        if isinstance(node, ast.Compare) and ast.unparse(node.comparators[0]) == "form":
            found.add(ast.literal_eval(node.left))
    return found


@pytest.mark.parametrize(
    ("path", "modules"),
    [("/token", (token, secrets)), ("/introspect", (introspection,)), ("/revoke", (revocation, secrets))],
    ids=["token", "introspect", "revoke"],
)
def test_every_parameter_that_is_read_is_described_and_no_other(path: str, modules: tuple[ModuleType, ...]) -> None:
    described = named(sections(HTTP[f"POST {path}"], 3)["Parameters"])
    assert described == set().union(*map(read_by, modules))


def test_the_members_of_the_metadata_are_described(make_application: MakeApplication) -> None:
    application = make_application(more=PHONES.format(phones=""))
    path = "/.well-known/oauth-authorization-server"
    assert named(HTTP[f"GET {path}"]) == application.ask("GET", path).json.keys()


def test_the_members_of_the_answer_and_of_the_resources_metadata_are_described(
    application: Application, identity: str
) -> None:
    assert named(sections(HTTP["POST /token"], 3)["Answer"]) == application.post(exchange_form(identity)).json.keys()
    path = "/.well-known/oauth-protected-resource"
    assert application.ask("GET", path).json.keys() <= set(code(HTTP[f"GET {path}"]))


def test_what_introspection_says_of_a_token_is_described(
    make_application: MakeApplication, cluster: FakeIssuer
) -> None:
    application = make_application(**SETTINGS)
    bound = crafted(application, cnf={"jkt": "x"})
    answer = introspect(application, own_token(application, cluster), bound)
    assert named(sections(HTTP["POST /introspect"], 3)["Answer"]) == answer.json.keys()


def test_what_holds_everywhere_holds_everywhere(application: Application) -> None:
    for route in application.service.routes:
        for path in (route.path, f"{route.path}/"):
            answer = application.ask(route.method, path, headers=[("X-Request-Id", "of-the-caller")])
            assert len(answer.headers["X-Request-Id"]) == 32
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert path == route.path or answer.status == 404


def events_of_every_kind(application: Application, cluster: FakeIssuer) -> list[dict[str, Any]]:
    """One event for each way that a decision can end, and for each way that a token can be shown to us."""
    identity = leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))
    answer = application.post(exchange_form(identity), headers=[("traceparent", TRACEPARENT)])
    application.post(exchange_form(identity, scope="images:write"))
    application.post(exchange_form(leaks.handled(cluster.kubernetes_token("media", "late", AUDIENCE, exp=1))))
    application.post(b"")
    for caller in (None, own_token(application, cluster)):
        introspect(application, caller, None)
    traced = [("traceparent", TRACEPARENT)]
    revoke(application, str(answer.json["access_token"]), headers=traced)
    revoke(application, None)
    application.service.store.close()
    application.post(exchange_form(leaks.handled(cluster.identity_token("https://once.auth.example.com"))))
    return application.events


def fields(kind: str) -> dict[str, tuple[str, str]]:
    """The type and the presence of every field that an event of this kind may have, as the page has them."""
    own = next(text for title, text in EVENTS.items() if kind in title)
    return {code(row[0])[0]: (row[1], row[2]) for row in (*rows(EVENTS["Fields of every event"]), *rows(own))}


def test_every_field_of_an_event_is_described_and_no_other(
    make_application: MakeApplication, cluster: FakeIssuer
) -> None:
    application = make_application(**{**SETTINGS, "more": SETTINGS["more"] + TRIAL})
    events = events_of_every_kind(application, cluster)
    for kind in KINDS:
        found = {name for event in events if event["event"] == kind for name in event}
        assert found == fields(kind).keys() if kind != "introspection" else found <= fields(kind).keys()
    for event in events:
        for name, value in event.items():
            assert isinstance(value, TYPES[fields(event["event"])[name][0]]), name


def test_a_field_is_there_when_the_page_says_so(make_application: MakeApplication, cluster: FakeIssuer) -> None:
    application = make_application(**{**SETTINGS, "more": SETTINGS["more"] + TRIAL})
    for event in events_of_every_kind(application, cluster):
        succeeded = event["outcome"] in ("issued", "revoked")
        known = {
            "always": True,
            "unless it succeeded": not succeeded,
            "when issued": event["outcome"] == "issued",
            "once the token is verified": "jti" in event,
        }
        for name, (_, present) in fields(event["event"]).items():
            assert present not in known or (name in event) == known[present], name


def test_every_field_of_an_event_about_a_device_is_described_and_no_other() -> None:
    key = DeviceKey()
    device = Device("dev_" + "a" * 22, "phones", "phones:owner/alice", "alice", key.jwk, key.thumbprint, 0.0)
    invitation = Invitation("0" * 64, "phones", "alice", None, {}, 0.0, 600.0)
    about = AboutDevice("an-id", "127.0.0.1")
    about.candidate(device)
    found = set(about.members())
    about.device(device)
    found |= set(about.members())
    about.invitation(invitation)
    found |= set(about.members())
    assert named(EVENTS["Fields of an enrolment, an invitation, or an event about a device"]) == found


@pytest.mark.parametrize(
    "outcome", ["issued", "revoked", "enrolled", "invited", "rekeyed", "deleted", "refused", "unavailable", "failed"]
)
def test_every_outcome_is_described(outcome: str) -> None:
    assert f"`{outcome}`" in EVENTS["Fields of every event"]


@pytest.mark.parametrize("kind", [*KINDS, "enrollment", "invitation", "device"])
def test_every_kind_of_event_is_described(kind: str) -> None:
    assert kind in named(page("audit-events").partition("\n## ")[0])
