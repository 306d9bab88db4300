"""``authserver check --audit-log``: whom the rules in audit mode would have admitted."""

import json
from pathlib import Path
from typing import Any

import pytest

from authserver.testing import FakeIssuer
from tests import leaks
from tests.endpoints.conftest import Application, MakeApplication, clock, cluster, make_application  # noqa: F401
from tests.explain.commands import run
from tests.served import AUDIENCE, exchange_form

WATCHED = """
[[allow]]
name = "watched"
source = "cluster"
match = { namespace = "media" }
resource = "https://images.example.com"
scope = ["images:write", "images:read"]
mode = "audit"

[[allow]]
name = "unused"
source = "cluster"
match = { namespace = "nowhere" }
resource = "https://images.example.com"
scope = ["images:read"]
mode = "audit"
"""


@pytest.fixture
def watched(make_application: MakeApplication) -> Application:  # noqa: F811
    """An application with two rules in audit mode."""
    return make_application(more=WATCHED, folder="watched")


@pytest.fixture
def log(watched: Application, cluster: FakeIssuer, tmp_path: Path) -> Path:  # noqa: F811
    """What the application logged of four requests, between other lines."""
    for service_account, scope in (
        ("thumbnailer", "images:read"),
        ("thumbnailer", "images:write"),
        ("uploader", "images:write"),
        ("uploader", "images:write"),
    ):
        token = leaks.handled(cluster.kubernetes_token("media", service_account, AUDIENCE))
        watched.post(exchange_form(token, scope=scope))
        watched.clock.advance(60)
    file = tmp_path / "audit.log"
    file.write_bytes(b"not an event\n" + watched.audit.getvalue() + b'{"event": "decision", "time": "x"}\n')
    return file


def reports(tmp_path: Path, log: Path, environment: str = "testing") -> Any:
    file = tmp_path / "watched" / "authserver.toml"
    text = file.read_text("utf-8").replace('environment = "testing"', f'environment = "{environment}"')
    file.write_text(text, encoding="utf-8")
    result = run("check", file, "--audit-log", log, "--json")
    assert result.exit_code == 0
    return json.loads(result.stdout)["files"][0]["audited"]


def test_each_caller_is_counted_with_what_it_asked_for_and_when(tmp_path: Path, log: Path) -> None:
    unused, watched = reports(tmp_path, log)
    images, caller = "https://images.example.com", "cluster:system:serviceaccount:media:"
    start = "2027-01-15T08:0"
    common = {"resource": images, "requests": 1}
    assert unused == {"rule": "unused", "callers": 0, "admissions": []}
    assert (watched["rule"], watched["callers"]) == ("watched", 2)
    assert watched["admissions"] == [
        {**common, "sub": f"{caller}thumbnailer", "scope": "images:read", "refused": 0}
        | {"first": f"{start}0:00Z", "last": f"{start}0:00Z"},
        {**common, "sub": f"{caller}thumbnailer", "scope": "images:write", "refused": 1}
        | {"first": f"{start}1:00Z", "last": f"{start}1:00Z"},
        {**common, "sub": f"{caller}uploader", "scope": "images:write", "refused": 2, "requests": 2}
        | {"first": f"{start}2:00Z", "last": f"{start}3:00Z"},
    ]


def test_the_events_of_another_environment_are_not_counted(tmp_path: Path, log: Path) -> None:
    assert [each["callers"] for each in reports(tmp_path, log, "staging")] == [0, 0]


@pytest.mark.parametrize("when", ["1e400", "-1e400", "NaN", "1e300", "-1", "9" * 400, "253402300800", "true", "null"])
def test_an_event_whose_time_is_none_is_passed_over(tmp_path: Path, log: Path, when: str) -> None:
    before = reports(tmp_path, log)
    event = f'{{"event": "decision", "environment": "testing", "would_allow": ["watched"], "time": {when}}}\n'
    log.write_bytes(log.read_bytes() + event.encode())
    assert reports(tmp_path, log) == before
    assert run("check", tmp_path / "watched" / "authserver.toml", "--audit-log", log).exit_code == 0


def test_people_read_it_too(tmp_path: Path, log: Path) -> None:
    result = run("check", tmp_path / "watched" / "authserver.toml", "--audit-log", log)
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert "audit 'unused' would have admitted nobody" in lines
    assert "audit 'watched' would have admitted 2 callers, 4 requests, 3 refused" in lines
    uploader = "'cluster:system:serviceaccount:media:uploader' asked for 'images:write' at 'https://images.example.com'"
    assert lines[lines.index(uploader) + 1] == "2 times, 2 refused, 2027-01-15T08:02:00Z to 2027-01-15T08:03:00Z"
