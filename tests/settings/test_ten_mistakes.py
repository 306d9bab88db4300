"""All mistakes at once, and nothing that is not a mistake."""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from authserver.identity.source import JwksTable
from authserver.identity.sources import SOURCES
from authserver.policy.expect import ExpectTable
from authserver.policy.rules import RuleTable
from authserver.settings import tables
from authserver.settings.report import OTHERWISE, Place, Report
from authserver.table import SecretReference, Table
from tests.settings.build import problems, write

TEN_MISTAKES = """
[server]
issuer = "https://auth.example.com/"
clock_skew = "5m"

[keys]
algorithms = ["HS256"]
master_key = "c2VjcmV0IHNlY3JldCBzZWNyZXQ="

[tokens]
lifetime = "24h"

[resources.images]
identifier = "https://images.example.com"
scops = ["images:read"]

[resources.reports]
identifier = "https://reports.example.com"
scopes = ["reports:read"]

[sources.cluster]
type = "kubernetes"
issuer = "https://cluster.example.com"

[[allow]]
name = "everyone"
source = "cluster"
match = {}
resource = "https://reports.example.com"
scope = ["reports:read"]

[[allow]]
name = "unknown-source"
source = "clutser"
match = { namespace = "media" }
resource = "https://reports.example.com"
scope = ["reports:read"]

[[expect]]
name = "unknown scope"
source = "cluster"
claims = { namespace = "media" }
resource = "https://reports.example.com"
scope = ["reports:write"]
decision = "deny"
"""

MODELS: list[type[Table]] = [
    tables.ServerTable,
    tables.StoreTable,
    tables.KeysTable,
    tables.TokensTable,
    tables.LimitsTable,
    tables.TelemetryTable,
    tables.ResourceTable,
    *SOURCES.values(),
    RuleTable,
    ExpectTable,
    JwksTable,
    SecretReference,
]

TOML_VALUES = ["", "x", 5, 1.5, True, [], ["x"], [5], [[]], {}, {"x": 1}, [{}], [{"x": 1}], datetime.date(2026, 1, 1)]


def test_ten_mistakes_are_ten_problems_each_with_file_path_and_remedy(tmp_path: Path) -> None:
    path = write(tmp_path, TEN_MISTAKES)
    found = problems(path)
    assert sorted(each.path for each in found) == [
        "allow[0].match",
        "allow[1].source",
        "expect[0].scope[0]",
        "keys.algorithms[0]",
        "keys.master_key",
        "resources.images.scops",
        "server.clock_skew",
        "server.issuer",
        "sources.cluster.audience",
        "tokens.lifetime",
    ]
    assert all(each.file == str(path) and each.message and each.remedy.endswith(".") for each in found)


def strange_tables() -> Iterator[tuple[type[Table], Any]]:
    for model in MODELS:
        for value in TOML_VALUES:
            yield model, value
            yield from ((model, {name: value}) for name in model.model_fields)


def test_no_value_that_toml_has_gets_past_our_own_words() -> None:
    for model, raw in strange_tables():
        report = Report()
        report.read(model, raw, Place("f", "here"))
        for problem in report.problems:
            assert problem.message != OTHERWISE[0], (model, raw)
            assert "input" not in problem.message.lower(), (model, raw)
            assert problem.remedy.endswith("."), (model, raw)


@pytest.mark.parametrize("model", MODELS)
def test_every_table_is_closed_strict_frozen_and_keeps_its_input_to_itself(model: type[Table]) -> None:
    for setting in ("frozen", "strict", "hide_input_in_errors"):
        assert model.model_config.get(setting) is True
    assert model.model_config.get("extra") == "forbid"


def test_a_mistake_in_one_key_hides_none_between_the_others(tmp_path: Path) -> None:
    text = """
[server]
issuer = "http://auth.example.com"
colour = "red"

[keys]
rotate = "1d"
algorithms = ["ES256"]

[resources.images]
identifier = "https://images.example.com"
scopes = ["images:read"]
algorithm = "RS256"
colour = "red"

[sources.cluster]
type = "kubernetes"
issuer = "http://cluster.example.com"

[[allow]]
name = "first"
source = "clutser"
match = {}
resource = "https://nowhere.example.com"
scope = []
lifetime = "2h"

[[allow]]
name = "first"
source = "cluster"
match = { namespace = "media" }
resource = "https://images.example.com"
scope = ["images:delete"]
mode = "observe"
"""
    assert sorted(each.path for each in problems(write(tmp_path, text))) == [
        "allow[0].lifetime",
        "allow[0].match",
        "allow[0].resource",
        "allow[0].scope",
        "allow[0].source",
        "allow[1].mode",
        "allow[1].name",
        "allow[1].scope[0]",
        "keys.rotate",
        "resources.images.algorithm",
        "resources.images.colour",
        "server.colour",
        "server.issuer",
        "sources.cluster.audience",
        "sources.cluster.issuer",
    ]
