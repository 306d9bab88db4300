"""Warnings about devices: what a rule takes their word for, and what lets more of them in."""

from pathlib import Path

import pytest

from authserver.cli.online import reach
from authserver.settings import load
from tests.check.build import advice, codes, rule, run, text
from tests.settings import build
from tests.settings.build import document, write

DEVICES = 'type = "device"'
COMPANY = 'type = "oidc"\nissuer = "https://login.example.com"\naudience = "https://auth.example.com"'
KIOSKS = rule('role = "kiosk"', "kiosks", "phones")


def with_devices(*rules: str, more: str = "", **sources: str) -> str:
    """A configuration with a source of devices and these rules for it."""
    tables = {f"sources.{name}": lines for name, lines in {"phones": DEVICES, **sources}.items()}
    return text(tables, more="".join(f"[[allow]]\n{each}\n" for each in rules) + more)


@pytest.mark.parametrize(
    ("match", "expected"),
    {
        "the devices of an owner": ('owner = "alice"', []),
        "the phones of an owner": ('owner = "alice", platform = "ios"', []),
        "what an invitation says": ('role = ["kiosk", "courier"], site = { glob = "b-*" }', []),
        "what an attestation shows": ('attestation = "apple", platform = "ios"', []),
        "any of some attestations": ('attestation = ["apple", "android"]', []),
        "whoever enrolled with an ID token": ('owner = { glob = "company:*" }', ["W103"]),
        "a platform": ('platform = "ios"', ["W106"]),
        "an app": ('platform = ["ios", "android"], app_id = "com.example.app", model = { glob = "iPhone*" }', ["W106"]),
        "no attestation": ('attestation = "none"', ["W106"]),
        "an attestation or none": ('attestation = ["apple", "none"], platform = "ios"', ["W106"]),
        "a misspelt platform": ('owner = "alice", platfrom = "ios"', ["W105"]),
        "two misspelt attributes": ('onwer = "alice", platfrom = "ios"', ["W105", "W105"]),
        "a device by its identifier": ('client_id = "dev_x"', ["W105"]),
        "an attribute that only resembles one": ('model_year = "2026"', []),
    }.values(),
)  # fmt: skip
def test_what_a_rule_for_devices_may_admit_besides(match: str, expected: list[str], tmp_path: Path) -> None:
    assert codes(tmp_path, with_devices(rule(match, "x", "phones"))) == [(code, "allow.x") for code in expected]


def test_the_same_attributes_of_another_source_are_its_own_affair(tmp_path: Path) -> None:
    company = f'{COMPANY}\nattributes = ["platform", "platfrom", "sub"]'
    rules = rule('platform = "a", platfrom = "b", sub = "c"', "x", "company")
    assert codes(tmp_path, with_devices(KIOSKS, rules, company=company)) == []


def test_a_misspelt_attribute_is_shown_where_it_stands_with_what_is_meant(tmp_path: Path) -> None:
    (found,) = advice(tmp_path, with_devices(rule('owner = "alice", platfrom = "ios"', "x", "phones")))
    assert found.place.path == "allow[1].match.platfrom"
    assert found.message.startswith("'platform' is probably meant; platfrom is there only if ")


def test_a_misspelt_attribute_in_a_policy_test_is_found_too(tmp_path: Path) -> None:
    """Such a test expects a denial, and gets it for the wrong reason."""
    case = build.EXPECT.replace('"media reads"', '"no laptop"').replace('"cluster"', '"phones"')
    case = case.replace('namespace = "media"', 'owner = "bob", platfrom = "linux"').replace('"allow"', '"deny"')
    (found,) = advice(tmp_path, with_devices(KIOSKS, more=f"[[expect]]\n{case}\n"))
    assert (found.code.value, found.about, found.place.path) == (
        "W105",
        "expect.no laptop",
        "expect[1].claims.platfrom",
    )


def test_a_rule_that_lets_devices_invite_is_warned_of_and_one_for_a_backend_is_not(tmp_path: Path) -> None:
    own = ("https://images.example.com", "https://auth.example.com")

    def granting(lines: str, scope: str) -> str:
        return lines.replace(*own).replace("images:read", scope)

    device = rule('owner = "alice"', "x", "phones")
    backend = rule('namespace = "accounts", service_account = "backend"', "y", "cluster")
    assert codes(tmp_path, with_devices(granting(device, "devices:invite:phones"))) == [("W107", "allow.x")]
    assert codes(tmp_path, with_devices(granting(device, "devices:manage:phones"))) == []
    assert codes(tmp_path, with_devices(KIOSKS, granting(backend, "devices:invite:phones"))) == []


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", ["W203"]),
        ('max_age = "61m"', ["W203"]),
        ('max_age = "1h"', []),
        ("single_use = true", []),
    ],
)
def test_id_tokens_that_enrol_devices_for_long_are_warned_of(lines: str, expected: list[str], tmp_path: Path) -> None:
    enrolling = {"phones": f'{DEVICES}\nenroll_with = ["company"]', "company": f"{COMPANY}\n{lines}"}
    found = codes(tmp_path, with_devices(KIOSKS, **enrolling))
    assert found == [(code, "sources.company") for code in expected]


def test_a_source_whose_tokens_only_enrol_devices_is_used_and_one_that_does_nothing_is_not(tmp_path: Path) -> None:
    short = f'{COMPANY}\nmax_age = "10m"'
    assert codes(tmp_path, with_devices(KIOSKS, company=short)) == [("W202", "sources.company")]
    enrolling = f'{DEVICES}\nenroll_with = ["company"]'
    assert codes(tmp_path, with_devices(KIOSKS, phones=enrolling, company=short)) == []
    assert codes(tmp_path, with_devices()) == [("W202", "sources.phones")]


def test_a_warning_about_devices_can_be_silenced(tmp_path: Path) -> None:
    silence = '\n[[silence]]\ncode = "W106"\nabout = "allow.x"\nreason = "whoever can enrol may read"\n'
    every = rule('attestation = "none"', "x", "phones")
    result = run("--strict", write(tmp_path, with_devices(every, more=silence)))
    assert result.exit_code == 0
    assert "0 warnings and 1 silenced" in result.output


def test_devices_have_no_keys_to_reach(tmp_path: Path) -> None:
    cases = build.EXPECT.replace("namespace", "role")
    tables = {"sources.cluster": DEVICES, "[allow]": KIOSKS.replace("phones", "cluster"), "[expect]": cases}
    assert reach(load(write(tmp_path, document(tables))), clock=lambda: 0.0) == ()
