"""Warnings about resources, sources, keys and production."""

from pathlib import Path

import pytest

from tests.check.build import RULE, advice, codes, put_key, text
from tests.settings.build import SERVER, SOURCE

UNUSED_RESOURCE = {"resources.reports": 'identifier = "https://reports.example.com"\nscopes = ["reports:read"]'}
UNUSED_SOURCE = {"sources.other": SOURCE.replace("cluster.", "other.")}
HOSTS = 'type = "x509"\nca_file = "ca.pem"'


def server(lines: str) -> dict[str, str]:
    return {"server": f"{SERVER}\n{lines}"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    {
        "a resource without rules": (UNUSED_RESOURCE, [("W201", "resources.reports")]),
        "a source without rules": (UNUSED_SOURCE, [("W202", "sources.other")]),
        "keys published too late": (
            {"keys": 'publish_ahead = "1m"\njwks_max_age = "10m"'}, [("W302", "keys.publish_ahead")]),
        "keys that change too fast": (
            {"keys": 'publish_ahead = "2h"\nrotate_every = "1h"'}, [("W303", "keys.rotate_every")]),
        "keys that change faster than caches": (
            {"keys": 'publish_ahead = "1m"\nrotate_every = "2m"'},
            [("W302", "keys.publish_ahead"), ("W303", "keys.rotate_every")]),
        "a proxy that says whose certificate it is": (
            {"sources.hosts": HOSTS, **server('trusted_proxies = ["10.0.0.5"]')},
            [("W202", "sources.hosts"), ("W205", "server.trusted_proxies")]),
        "no RS256": ({"keys": 'algorithms = ["ES256"]'}, [("W304", "keys.algorithms")]),
        "http in production": (server("insecure_allow_http = true"), [("W501", "server.insecure_allow_http")]),
        "http in another production": (
            server('insecure_allow_http = true\nenvironment = "prod-eu"'), [("W501", "server.insecure_allow_http")]),
        "http in development": (server('insecure_allow_http = true\nenvironment = "development"'), []),
        "no limit in production": ({"limits": 'failures = "off"'}, [("W502", "limits.failures")]),
        "no limit in development": ({**server('environment = "development"'), "limits": 'failures = "off"'}, []),
    }.values(),
)  # fmt: skip
def test_what_is_the_matter_with_a_table(
    changes: dict[str, str], expected: list[tuple[str, str]], tmp_path: Path
) -> None:
    assert codes(tmp_path, text(changes)) == expected


def test_a_resource_or_source_that_a_rule_in_audit_mode_names_is_used(tmp_path: Path) -> None:
    assert codes(tmp_path, text({"[allow]": f'{RULE}\nmode = "audit"'})) == []


def test_the_time_that_holds_is_named(tmp_path: Path) -> None:
    """A ring with these settings has keys published for 10 minutes, twice the skew, and two re-readings."""
    (found,) = advice(tmp_path, text({"keys": 'publish_ahead = "1m"\njwks_max_age = "10m"'}))
    assert '"662s"' in found.message
    assert codes(tmp_path, text({"keys": 'publish_ahead = "662s"\njwks_max_age = "10m"'})) == []


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660])
def test_a_master_key_that_others_can_read_is_warned_of(mode: int, tmp_path: Path) -> None:
    key = put_key(tmp_path / "keys" / "master.key", mode=mode)
    (found,) = advice(tmp_path, text())
    assert (found.code.value, found.about, found.remedy) == ("W301", "keys.master_key", f"Run: chmod 600 {key}")
    key.chmod(0o600)
    assert advice(tmp_path, text()) == ()


def test_a_previous_master_key_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    put_key(tmp_path / "old.key", mode=0o644)
    found = codes(tmp_path, text({"keys": 'previous_master_keys = [{ file = "old.key" }]'}))
    assert found == [("W301", "keys.previous_master_keys[0]")]


def test_a_master_key_is_never_made_by_looking_for_it(tmp_path: Path) -> None:
    advice(tmp_path, text())
    assert not (tmp_path / "keys").exists()
