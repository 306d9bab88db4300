"""Who vouches for a program: the first link whose marker is there, found without asking anybody."""

import socket
from collections.abc import Mapping
from pathlib import Path

import pytest

from authserver.client import Enrollment, EnrollmentRecord
from authserver.client.chain import Explained, State, explain, find
from authserver.client.failures import CallFailed, IdentityUnusable, NoIdentity
from authserver.client.supplier import Surroundings
from authserver.client.suppliers import SUPPLIERS
from authserver.client.suppliers.environment import EnvironmentSupplier
from tests import leaks
from tests.client.fake import FakeServer
from tests.client.identities import NOW, asked_of_the_system, identity, surroundings

ORDER = [
    "environment",
    "kubernetes",
    "github",
    "gitlab",
    "aws",
    "azure",
    "google",
    "spiffe",
    "x509",
    "device",
    "az",
    "gcloud",
]

VALUE = {"AUTHSERVER_IDENTITY_TOKEN": identity()}
GITHUB = {
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://runner.example.com/token?api-version=2.0",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "a-token-of-the-runner",
}
GITLAB = {"GITLAB_CI": "true", "AUTHSERVER_ID_TOKEN": identity()}
AZURE = {"IDENTITY_ENDPOINT": "http://127.0.0.1/msi/token", "IDENTITY_HEADER": "a-secret-of-the-host"}
GOOGLE = {"K_SERVICE": "thumbnailer"}
AZ = {"AUTHSERVER_DEVELOPER_TOOL": "az", "AUTHSERVER_ENVIRONMENT": "development"}
GCLOUD = {**AZ, "AUTHSERVER_DEVELOPER_TOOL": "gcloud"}


def states(here: Surroundings) -> dict[str, State]:
    return {each.name: each.state for each in explain(here)}


def the_broken(here: Surroundings) -> Explained:
    (broken,) = [each for each in explain(here) if each.state is State.BROKEN]
    return broken


def test_where_there_is_nothing_nobody_is_asked_and_nothing_is_opened(home: Path) -> None:
    here = surroundings(home)
    with asked_of_the_system() as events, pytest.raises(NoIdentity) as nobody:
        find(here)
    assert events == []
    assert all(name in str(nobody.value) for name in ORDER)
    assert "authserver enroll" in str(nobody.value)


def test_what_is_watched_would_have_been_seen(tmp_path: Path) -> None:
    with asked_of_the_system() as events, socket.socket():
        (tmp_path / "file").write_bytes(b"")
    assert [event.partition(".")[0] for event in events] == ["socket", "open"]


def test_every_link_is_listed_in_its_order_with_its_reason(home: Path) -> None:
    with asked_of_the_system() as events:
        listed = explain(surroundings(home))
    assert [each.name for each in listed] == ["explicit", *ORDER]
    assert {each.state for each in listed} == {State.SKIPPED}
    assert len({each.reason for each in listed}) == len(listed) - 1  # the two tools have one marker
    assert events == []


def test_the_table_and_what_is_listed_are_the_same(home: Path) -> None:
    assert [make(surroundings(home)).name for make in SUPPLIERS] == ORDER


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        (VALUE, "environment"),
        (GITHUB, "github"),
        (GITLAB, "gitlab"),
        (AZURE, "azure"),
        (GOOGLE, "google"),
        (AZ, "az"),
        (GCLOUD, "gcloud"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_marker_decides_and_nothing_is_asked_to_find_it(environ: Mapping[str, str], name: str, home: Path) -> None:
    with asked_of_the_system() as events:
        assert find(surroundings(home, environ)).name == name
    assert events == []


def test_the_first_of_several_markers_decides(home: Path) -> None:
    everything = {**AZ, **GOOGLE, **AZURE, **GITLAB, **GITHUB, **VALUE}
    for taken in (VALUE, GITHUB, GITLAB, AZURE, GOOGLE):
        here = surroundings(home, everything)
        used = find(here)
        assert states(here)[used.name] is State.USED
        assert [state for state in states(here).values() if state is not State.SKIPPED] == [State.USED]
        everything = {name: value for name, value in everything.items() if name not in taken}
    assert find(surroundings(home, everything)).name == "az"


def test_a_link_that_comes_too_late_says_which_one_came_before(home: Path) -> None:
    reasons = {each.name: each.reason for each in explain(surroundings(home, {**VALUE, **GITLAB}))}
    assert reasons["environment"] == "AUTHSERVER_IDENTITY_TOKEN is set"
    assert [each.reason for each in explain(surroundings(home, GITLAB)) if each.state is State.USED] == [
        "this is a GitLab job with AUTHSERVER_ID_TOKEN"
    ]
    assert reasons["gitlab"] == "its marker is there, but environment comes before it"
    assert reasons["github"] == "ACTIONS_ID_TOKEN_REQUEST_URL is not set"


def test_a_supplier_that_the_program_names_comes_before_all(home: Path) -> None:
    named = EnvironmentSupplier(surroundings(home, VALUE))
    listed = explain(surroundings(home, GITLAB), named)
    assert (listed[0].state, listed[0].reason) == (State.USED, "the program names the supplier environment")
    assert {each.state for each in listed[1:]} == {State.SKIPPED}
    assert "explicit comes before it" in listed[4].reason


@pytest.mark.parametrize("broken", ["", "not a token", identity(exp=NOW - 61)], ids=["empty", "malformed", "expired"])
def test_a_link_that_is_broken_stops_the_chain(broken: str, home: Path) -> None:
    here = surroundings(home, {**GITLAB, "AUTHSERVER_IDENTITY_TOKEN": broken})
    used = find(here)
    assert used.name == "environment"
    with pytest.raises(IdentityUnusable) as why:
        used.offer(NOW)
    assert the_broken(here) == Explained("environment", State.BROKEN, str(why.value))
    assert states(here)["gitlab"] is State.SKIPPED


def test_an_enrolled_machine_vouches_for_itself(
    fake: FakeServer, enrolled: Enrollment, record: EnrollmentRecord, home: Path
) -> None:
    here = surroundings(home, issuer=fake.issuer)
    with asked_of_the_system() as events:
        used = find(here)
    assert events == []
    assert used.present()
    offer = used.offer(NOW)
    assert (used.name, offer.parameters["client_id"]) == ("device", enrolled.client_id)
    with asked_of_the_system() as events:
        (listed,) = [each for each in explain(here) if each.state is State.USED]
    assert listed == Explained("device", State.USED, f"there is an enrolment in {record.path}")
    assert set(events) <= {"open"}


def test_an_enrolment_whose_key_is_gone_is_broken(
    fake: FakeServer, enrolled: Enrollment, record: EnrollmentRecord, home: Path
) -> None:
    record.forget(enrolled.key)
    here = surroundings(home, AZ, issuer=fake.issuer)
    assert the_broken(here).name == "device"
    assert "Have the device revoked" in the_broken(here).reason
    with pytest.raises(CallFailed, match="is gone"):
        find(here).offer(NOW)


@pytest.mark.parametrize("environment", [None, "", "production", "Development", "development "])
@pytest.mark.parametrize("tool", [AZ, GCLOUD], ids=["az", "gcloud"])
def test_the_credentials_of_a_developer_are_refused_outside_development(
    tool: Mapping[str, str], environment: str | None, home: Path
) -> None:
    stated = {} if environment is None else {"AUTHSERVER_ENVIRONMENT": environment}
    here = surroundings(home, {"AUTHSERVER_DEVELOPER_TOOL": tool["AUTHSERVER_DEVELOPER_TOOL"], **stated})
    assert "AUTHSERVER_ENVIRONMENT=development alone" in the_broken(here).reason
    with asked_of_the_system() as events, pytest.raises(IdentityUnusable, match="development alone"):
        find(here).offer(NOW)
    assert events == []


def test_a_tool_that_is_unknown_is_no_identity(home: Path) -> None:
    here = surroundings(home, {**AZ, "AUTHSERVER_DEVELOPER_TOOL": "aws"})
    with pytest.raises(NoIdentity, match="AUTHSERVER_DEVELOPER_TOOL is not az"):
        find(here)


def test_no_secret_is_in_what_is_listed(home: Path) -> None:
    token = leaks.handled(GITHUB["ACTIONS_ID_TOKEN_REQUEST_TOKEN"])
    leaks.handled(AZURE["IDENTITY_HEADER"])
    for environ in ({**VALUE, **GITHUB}, GITHUB, GITLAB, AZURE, {**GITHUB, "ACTIONS_ID_TOKEN_REQUEST_URL": ""}):
        here = surroundings(home, environ)
        listed = repr(explain(here)) + repr(here)
        assert token not in listed
        assert leaks.find(listed) is None


def test_a_user_without_a_home_is_no_mistake(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    here = surroundings(home, environ={"AUTHSERVER_HOME": ""})
    assert states(here)["device"] is State.SKIPPED
