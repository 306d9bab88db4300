"""The schemas for editors: fresh, and neither stricter than the server nor blind."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from authserver.cli.schema import schema as command
from authserver.settings.gather import TOP_LEVEL
from authserver.settings.read import RULE_TABLES
from authserver.settings.schema import CONFIGURATION, RULES, schema, written
from tests.house.tree import ROOT
from tests.settings.build import document
from tests.settings.test_problems import CASES
from tests.settings.test_ten_mistakes import TEN_MISTAKES

FOLDER = ROOT / "config" / "schema"
CONFIGURATION_SCHEMA = Draft202012Validator(schema(CONFIGURATION))
RULE_SCHEMA = Draft202012Validator(schema(RULES))

# What only `check` can see: what depends on another table, on another file, or on arithmetic.
UNSEEN = {
    "too much clock skew",
    "a proxy that is no network",
    "a proxy that is everybody",
    "an origin with the port that browsers leave out",
    "an origin with a long address",
    "an origin with an address that is none",
    "an origin over http",
    "an origin over http on loopback",
    "an origin over http that is not on loopback",
    "an include that matches nothing",
    "an include that is absolute",
    "an issuer with an impossible port",
    "an issuer with an empty port",
    "an issuer with dots in its path",
    "an issuer over http",
    "an issuer over http that is not on loopback",
    "metrics on the public address",
    "an IPv6 address without brackets",
    "a store of another kind",
    "a store as other tools spell it",
    "a store in memory",
    "a Redis store with its password",
    "a Redis store without a host",
    "a Redis store with an impossible port",
    "a Redis store with options",
    "several Redis stores",
    "a Redis store with a database that is no number",
    "Sentinels of nobody",
    "a cluster with a database",
    "a Redis store without TLS whose authorities are named",
    "a key for a Redis store without its certificate",
    "keys cached for too long",
    "a secret for the name of a variable",
    "a private key where nobody looks for one",
    "a lifetime beyond one hour",
    "a limit that is no rate",
    "two limits",
    "a limit that allows nothing",
    "an identifier with a line break",
    "an identifier with a colon that is no URI",
    "an identifier twice",
    "an identifier that is the issuer",
    "a default scope that does not exist",
    "an algorithm without keys",
    "a source over http",
    "a key set over http",
    "a source that never accepts a token",
    "two sources for the same tokens",
    "a source whose issuer is spelled like a device",
    "codes that can be used for too long",
    "devices that nobody can enrol",
    "devices that a workload enrols",
    "devices that enrol devices",
    "an attribute that no invitation can give",
    "a scope for the devices of a source that has none",
    "a glob that pins nothing",
    "a glob with two stars in a row",
    "an attribute that the source does not have",
    "a rule for an unknown source",
    "a rule for an unknown resource",
    "a rule for an unknown scope",
    "a rule beyond one hour",
    "a rule beyond the lifetime of tokens",
    "a policy test for an unknown source",
    "a policy test for an unknown resource",
    "a policy test with an unknown attribute",
    "a policy test with an unknown scope",
}


def errors(text: str) -> list[str]:
    """The places where the schema of the whole configuration sees a mistake."""
    found = CONFIGURATION_SCHEMA.iter_errors(tomllib.loads(text))
    return [".".join(map(str, error.absolute_path)) for error in found]


@pytest.mark.parametrize("name", [CONFIGURATION, RULES])
def test_the_committed_schema_is_fresh(name: str) -> None:
    remedy = f"run: authserver schema{' --rules' if name == RULES else ''} > config/schema/{name}"
    assert (FOLDER / name).read_text("utf-8") == written(name), remedy


@pytest.mark.parametrize("name", [CONFIGURATION, RULES])
def test_the_schema_is_one(name: str) -> None:
    document = schema(name)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(document)


def test_the_command_prints_it() -> None:
    assert CliRunner().invoke(command, []).output == written(CONFIGURATION)
    assert CliRunner().invoke(command, ["--rules"]).output == written(RULES)


def test_the_schema_has_every_table() -> None:
    assert tuple(schema(CONFIGURATION)["properties"]) == TOP_LEVEL
    assert tuple(schema(RULES)["properties"]) == RULE_TABLES


@pytest.mark.parametrize(
    "file", [ROOT / "config" / "authserver.toml", *(ROOT / "config" / "policies").glob("*.toml")], ids=lambda f: f.name
)
def test_the_examples_name_their_schema_and_are_valid(file: Path) -> None:
    text = file.read_text("utf-8")
    directive, _, path = text.splitlines()[0].partition(" ")
    named = (file.parent / path).resolve()
    assert (directive, named.parent) == ("#:schema", FOLDER)
    assert named.name == (CONFIGURATION if file.name == "authserver.toml" else RULES)
    Draft202012Validator(json.loads(named.read_text("utf-8"))).validate(tomllib.loads(text))


def test_an_editor_sees_six_of_the_ten_mistakes() -> None:
    """The others are two bounds of durations, and two names that do not exist."""
    assert {*errors(TEN_MISTAKES)} == {
        "allow.0.match",
        "keys.algorithms.0",
        "keys.master_key",
        "resources.images",
        "server.issuer",
        "sources.cluster",
    }


@pytest.mark.parametrize("name", CASES)
def test_an_editor_sees_every_mistake_that_a_schema_can_express(name: str) -> None:
    changes, _, _ = CASES[name]
    assert bool(errors(document(changes))) != (name in UNSEEN)


def test_every_setting_has_words_and_no_null() -> None:
    definitions = schema(CONFIGURATION)["$defs"].values()
    settings = [each for table in definitions for each in table["properties"].values() if "const" not in each]
    assert all(each.get("description") for each in settings)
    assert "null" not in written(CONFIGURATION)


def test_defaults_are_spelled_as_the_configuration_spells_them() -> None:
    keys: dict[str, Any] = schema(CONFIGURATION)["$defs"]["KeysTable"]["properties"]
    assert keys["rotate_every"]["default"] == "30d"
    assert keys["master_key"]["default"] == {"file": "keys/master.key"}
