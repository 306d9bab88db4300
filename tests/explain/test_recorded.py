"""``authserver explain --request-id``: what was decided, from the audit log."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.explain.commands import run
from tests.explain.denials import CONFIGURATION, IMAGES

EVENT: dict[str, Any] = {
    "event": "decision",
    "time": 1_800_000_000.0,
    "environment": "production",
    "request_id": "0c5d",
    "outcome": "refused",
    "reason": "scope_not_allowed",
    "resource": IMAGES,
    "unverified_scope": "images:write",
    "source": "prod",
    "sub": "prod:somebody",
    "facts": {"refused": ["images:write"], "allowed": ["images:read"]},
}


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    file = tmp_path / "authserver.toml"
    file.write_text(CONFIGURATION, encoding="utf-8")
    return file


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Events between everything else that a log can hold."""
    lines = [
        b"gunicorn says hello",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"event": "other", "request_id": "0c5d"}',
        b"[1, 2]",
        json.dumps({**EVENT, "request_id": "another"}).encode(),
        json.dumps(EVENT).encode(),
        json.dumps({**EVENT, "request_id": "good", "outcome": "issued", "reason": None, "facts": {}}).encode(),
        json.dumps({**EVENT, "request_id": "newer", "reason": "of_a_later_release\x1b[2J"}).encode(),
        b"",
    ]
    file = tmp_path / "audit.log"
    file.write_bytes(b"\n".join(lines))
    return file


def test_the_reason_its_meaning_its_remedy_and_the_facts_are_told(configuration: Path, log: Path) -> None:
    result = run("explain", "--config", configuration, "--request-id", "0c5d", "--audit-log", log)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[:3] == [
        "refused: scope_not_allowed",
        "  meaning: the rules grant less than was asked for. Nothing is dropped silently.",
        "  what to do: have the client ask for less, or widen a rule.",
    ]
    assert '  facts: {"refused": ["images:write"], "allowed": ["images:read"]}' in lines
    assert lines[-1] == "  rules about this source and resource now: 'thumbnailer-reads', 'archiver-deletes'"


def test_programs_get_the_event_with_its_meaning(configuration: Path, log: Path) -> None:
    result = run("explain", "--config", configuration, "--request-id", "0c5d", "--audit-log", log, "--json")
    (found,) = json.loads(result.stdout)["events"]
    assert {name: found[name] for name in EVENT} == EVENT
    assert found["remedy"] == "have the client ask for less, or widen a rule."


def test_a_request_that_was_granted_is_exit_0(configuration: Path, log: Path) -> None:
    result = run("explain", "--config", configuration, "--request-id", "good", "--audit-log", log)
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, "issued")


@pytest.mark.parametrize(
    ("event", "outcome", "exit_code"),
    [
        ("revocation", "revoked", 0),
        ("revocation", "refused", 1),
        ("introspection", "refused", 1),
        ("enrollment", "enrolled", 0),
        ("enrollment", "refused", 1),
        ("invitation", "invited", 0),
        ("device", "rekeyed", 0),
        ("device", "deleted", 0),
        ("device", "revoked", 0),
        ("device", "refused", 1),
    ],
)
def test_requests_to_the_other_endpoints_are_found_too(
    event: str, outcome: str, exit_code: int, configuration: Path, tmp_path: Path
) -> None:
    reason = {"reason": "key_unknown"} if outcome == "refused" else {}
    recorded = {"event": event, "time": 1_800_000_000.0, "request_id": "0c5e", "outcome": outcome, **reason}
    log = tmp_path / "audit.log"
    log.write_text(json.dumps(recorded) + "\n", encoding="utf-8")
    result = run("explain", "--config", configuration, "--request-id", "0c5e", "--audit-log", log)
    assert result.exit_code == exit_code
    assert result.stdout.startswith(f"{outcome}: key_unknown\n  meaning: " if reason else f"{outcome}\n")


def test_a_request_that_is_not_there_is_exit_1(configuration: Path, log: Path) -> None:
    result = run("explain", "--config", configuration, "--request-id", "nobody", "--audit-log", log)
    assert (result.exit_code, result.stdout) == (1, "")


def test_a_reason_that_this_release_does_not_know_is_shown_without_a_meaning(configuration: Path, log: Path) -> None:
    result = run("explain", "--config", configuration, "--request-id", "newer", "--audit-log", log)
    assert result.exit_code == 1
    assert "meaning" not in result.stdout
    assert "\x1b" not in result.stdout
