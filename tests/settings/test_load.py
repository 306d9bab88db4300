"""What a configuration that is right becomes."""

import dataclasses
import ipaddress
import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from authserver.model import Resource, Subject
from authserver.settings import load
from authserver.table import SecretReference
from tests.settings.build import EXPECT, RULE, SERVER, SOURCE, document, loaded, write


def test_the_smallest_configuration_has_every_default(tmp_path: Path) -> None:
    settings = load(write(tmp_path, f"[server]\n{SERVER}\n"))
    assert settings.server.issuer == "https://auth.example.com"
    assert (settings.server.environment, settings.server.bind) == ("production", "127.0.0.1:8400")
    assert settings.server.workers == (os.cpu_count() or 1)
    assert settings.server.clock_skew == 30
    assert settings.store_path == tmp_path / "authserver.db"
    assert settings.keys.algorithms == ("ES256", "RS256")
    assert (settings.keys.rotate_every, settings.keys.publish_ahead, settings.keys.jwks_max_age) == (
        2592000,
        86400,
        300,
    )
    assert settings.tokens.lifetime == 3600
    assert settings.limits.failures == "60/minute"
    assert settings.telemetry.bind == "127.0.0.1:8401"
    assert (dict(settings.resources), dict(settings.sources), settings.rules, settings.expectations) == ({}, {}, (), ())


def test_a_configuration_without_rules_admits_nobody(tmp_path: Path) -> None:
    """octo-sts: a missing allow-list meant everyone."""
    assert load(write(tmp_path, f"[server]\n{SERVER}\n")).policy().rules == ()


def test_resources_are_found_by_identifier_and_take_the_first_algorithm(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {"keys": 'algorithms = ["RS256", "EdDSA"]'})
    assert dict(settings.resources) == {
        "https://images.example.com": Resource(
            "images", "https://images.example.com", frozenset({"images:read", "images:write"}), (), "RS256", False
        )
    }


def test_the_rules_that_were_written_decide(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {"tokens": 'lifetime = "30m"'})
    policy = settings.policy()
    caller = Subject("cluster", "somebody", {"namespace": ("media",)}, credential_id="")
    resource = policy.resource((), ("https://images.example.com",))
    granted = policy.authorize(caller, resource, "images:read")
    assert (granted.rules, granted.lifetime) == (("readers",), 1800)
    assert all(expectation.run(policy).passed for expectation in settings.expectations)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    keys = (
        'master_key = { file = "../keys/master.key" }\nprevious_master_keys = [{ file = "/etc/old" }, { env = "OLD" }]'
    )
    path = write(tmp_path / "config", document({"keys": keys, "store": 'url = "sqlite:data/store.db"'}))
    settings = load(path)
    assert settings.base == path.parent
    assert settings.store_path == path.parent / "data/store.db"
    assert settings.master_key == SecretReference(file=str(path.parent / "../keys/master.key"))
    assert settings.previous_master_keys == (SecretReference(file="/etc/old"), SecretReference(env="OLD"))


def test_every_path_is_absolute_even_when_the_file_was_named_by_a_relative_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, document())
    monkeypatch.chdir(tmp_path)
    settings = load(Path("authserver.toml"))
    monkeypatch.chdir("/")
    assert settings.base == tmp_path
    assert settings.store_path == tmp_path / "authserver.db"
    assert settings.master_key == SecretReference(file=str(tmp_path / "keys/master.key"))


def test_an_absolute_store_stays_where_it_is(tmp_path: Path) -> None:
    assert loaded(tmp_path, {"store": 'url = "sqlite:/var/lib/store.db"'}).store_path == Path("/var/lib/store.db")


def test_rules_and_policy_tests_may_stand_in_included_files(tmp_path: Path) -> None:
    write(tmp_path, f"[[allow]]\n{RULE.replace('readers', 'b')}", "policies/b.toml")
    write(
        tmp_path,
        f"[[allow]]\n{RULE.replace('readers', 'a')}\n[[expect]]\n{EXPECT.replace('media', 'x')}",
        "policies/a.toml",
    )
    settings = loaded(tmp_path, {"server": f'{SERVER}\ninclude = ["policies/*.toml", "policies/a.toml", "*.toml"]'})
    assert [rule.name for rule in settings.rules] == ["readers", "a", "b"]
    assert len(settings.expectations) == 2


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.file = tmp_path  # type: ignore[misc]
    with pytest.raises(ValidationError):
        settings.server.issuer = "https://other.example.com"
    with pytest.raises(TypeError):
        settings.resources["x"] = settings.resources["https://images.example.com"]  # type: ignore[index]


def test_proxies_are_networks(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {"server": f'{SERVER}\ntrusted_proxies = ["10.0.0.0/8", "::1"]'})
    assert settings.server.trusted_proxies == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))


def test_http_is_possible_on_loopback_where_it_is_asked_for(tmp_path: Path) -> None:
    changes = {
        "server": 'issuer = "http://127.0.0.1:8400"\ninsecure_allow_http = true',
        "sources.cluster": f'{SOURCE}\njwks = {{ url = "http://[::1]:9000/jwks" }}',
    }
    assert loaded(tmp_path, changes).server.insecure_allow_http


@pytest.mark.parametrize(
    "issuer", ["https://auth.example.com", "https://auth.example.com:8443/tenant/a", "https://[2001:db8::1]"]
)
def test_an_issuer_is_kept_byte_for_byte(tmp_path: Path, issuer: str) -> None:
    """R1, R4"""
    assert loaded(tmp_path, {"server": f'issuer = "{issuer}"'}).server.issuer == issuer


@pytest.mark.parametrize("failures", ["off", "10/second", "100 per hour", "5/2 minutes"])
def test_failures_are_limited_at_any_rate_or_not_at_all(tmp_path: Path, failures: str) -> None:
    assert loaded(tmp_path, {"limits": f'failures = "{failures}"'}).limits.failures == failures


def test_a_policy_test_knows_what_a_rule_must_spell_out(tmp_path: Path) -> None:
    """A policy test and the token endpoint decide alike about a pull request of a stranger."""
    settings = loaded(
        tmp_path,
        {
            "sources.cluster": 'type = "github"\naudience = "https://auth.example.com"',
            "[allow]": RULE.replace('namespace = "media"', 'repository_id = "1"'),
            "[expect]": EXPECT.replace(
                'namespace = "media"', 'repository_id = 1, event_name = "pull_request_target"'
            ).replace('"allow"', '"deny"'),
        },
    )
    assert [expectation.run(settings.policy()).passed for expectation in settings.expectations] == [True]


def test_an_issuer_whose_keys_are_elsewhere_is_only_a_name(tmp_path: Path) -> None:
    changed = SOURCE.replace("https://cluster.example.com", "api") + '\njwks = { file = "cluster-jwks.json" }'
    assert loaded(tmp_path, {"sources.cluster": changed}).jwt_sources["cluster"].issuer == "api"


def test_origins_are_as_browsers_spell_them(tmp_path: Path) -> None:
    written = ["https://app.example.com", "https://app.example.com:8443", "http://localhost:3000", "http://[::1]"]
    lines = f"{SERVER}\ninsecure_allow_http = true\nallowed_origins = {json.dumps(written)}"
    assert loaded(tmp_path, {"server": lines}).server.allowed_origins == tuple(written)
    assert loaded(tmp_path, {}).server.allowed_origins == ()


def test_devices_are_a_source_of_their_own(tmp_path: Path) -> None:
    company = 'type = "oidc"\nissuer = "https://login.example.com"\naudience = "https://auth.example.com"'
    phones = 'type = "device"\nmax_per_owner = 2\nenrollment_code_lifetime = "1d"\nenroll_with = ["company"]'
    settings = loaded(
        tmp_path, {"sources.company": company, "sources.phones": phones, "sources.laptops": 'type = "device"'}
    )
    assert set(settings.sources) == {"cluster", "company", "phones", "laptops"}
    assert set(settings.jwt_sources) == {"cluster", "company"}
    assert set(settings.device_sources) == {"phones", "laptops"}
    chosen, usual = settings.device_sources["phones"], settings.device_sources["laptops"]
    assert (chosen.max_per_owner, chosen.enrollment_code_lifetime, chosen.enroll_with) == (2, 86400, ("company",))
    assert (usual.max_per_owner, usual.enrollment_code_lifetime, usual.enroll_with) == (5, 600, ())
    assert not usual.require_nonce


def test_rules_match_devices_by_whatever_an_invitation_gives(tmp_path: Path) -> None:
    changes = {"sources.phones": 'type = "device"'}
    for table, lines in (("[allow]", RULE), ("[expect]", EXPECT)):
        changes[table] = lines.replace('"cluster"', '"phones"').replace('namespace = "media"', 'role_2 = "kiosk"')
    settings = loaded(tmp_path, changes)
    assert [expectation.run(settings.policy()).passed for expectation in settings.expectations] == [True]
    assert settings.expectation_places["media reads"].path == "expect[0]"


def test_an_identifier_is_any_string(tmp_path: Path) -> None:
    resource = 'identifier = "the images"\nscopes = ["images:read"]'
    assert "the images" in loaded(tmp_path, {"resources.b": resource}).resources
