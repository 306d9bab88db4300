"""The configuration reference: every setting that exists, with its default, and nothing else."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from authserver.identity.source import JwksTable, JwtSourceTable, SourceTable
from authserver.identity.sources import SOURCES
from authserver.identity.sources.aws import SignedRequestsTable
from authserver.policy.expect import ExpectTable
from authserver.policy.rules import RuleTable
from authserver.settings import tables
from authserver.settings.gather import TOP_LEVEL
from authserver.settings.report import Place, Report
from authserver.settings.silence import SilenceTable
from authserver.table import SecretReference, Table, seconds, spelled

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"

ISSUER = "https://login.microsoftonline.com/9bc0d1aa-0000-4000-8000-000000000001/v2.0"
"""One that every type of source can have."""

SECTIONS: dict[str, type[Table]] = {
    "`[server]`": tables.ServerTable,
    "TLS without a proxy": tables.TlsTable,
    "`[store]`": tables.StoreTable,
    "`[keys]`": tables.KeysTable,
    "References to secrets": SecretReference,
    "`[tokens]`": tables.TokensTable,
    "`[limits]`": tables.LimitsTable,
    "`[telemetry]`": tables.TelemetryTable,
    "`[resources.<name>]`": tables.ResourceTable,
    "`[sources.<name>]`": SourceTable,
    "Sources of identity tokens": JwtSourceTable,
    "Where the keys of a source are": JwksTable,
    "Which signed requests a source takes": SignedRequestsTable,
    "`[[allow]]`": RuleTable,
    "`[[expect]]`": ExpectTable,
    "`[[silence]]`": SilenceTable,
}
OF_TYPE = {f"Sources of type `{name}`": table for name, table in SOURCES.items()}


def sections(text: str, level: int) -> dict[str, str]:
    parts = re.split(rf"^{'#' * level} (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


DOCUMENTED = {title: sections(body, 3) for title, body in sections(REFERENCE.read_text("utf-8"), 2).items()}


def settings_of(title: str) -> dict[str, FieldInfo]:
    """The settings that a section has entries for: those of its table that are not told elsewhere already."""
    table = OF_TYPE.get(title) or SECTIONS[title]
    told = [common.model_fields for common in (JwtSourceTable, SourceTable) if common in table.__mro__[1:]]
    return {
        field.alias or name: field
        for name, field in table.model_fields.items()
        if field.alias or not any(name in each for each in told) or _is_other(field, name, told[0])
    }


def _is_other(field: FieldInfo, name: str, told: Mapping[str, FieldInfo]) -> bool:
    common = told[name]
    return name != "type" and (field.default, field.description) != (common.default, common.description)


ENTRIES = [(title, name.strip("`")) for title, entries in DOCUMENTED.items() for name in entries]


def entry(title: str, name: str, label: str) -> str:
    found = re.search(rf"^- {label}: (.+)$", DOCUMENTED[title][f"`{name}`"], flags=re.MULTILINE)
    assert found is not None, f"{title} {name} has no {label}"
    return found[1]


def as_toml(field: FieldInfo) -> str:
    value: Any = field.default
    if isinstance(value, SecretReference):
        return f'{{ file = "{value.file}" }}'
    if any(isinstance(each, BeforeValidator) and each.func is seconds for each in field.metadata):
        value = spelled(value)
    return json.dumps(value)


def test_the_reference_has_every_table_and_no_other() -> None:
    assert list(DOCUMENTED) == [*list(SECTIONS)[:-3], *OF_TYPE, *list(SECTIONS)[-3:]]
    written = {re.sub(r"[\[\]`]|\.<name>", "", title) for title in DOCUMENTED if title.startswith("`")}
    assert written == set(TOP_LEVEL)


@pytest.mark.parametrize("title", [*SECTIONS, *OF_TYPE])
def test_every_setting_is_documented_and_nothing_documented_does_not_exist(title: str) -> None:
    assert [name.strip("`") for name in DOCUMENTED[title]] == list(settings_of(title))


@pytest.mark.parametrize(("title", "name"), ENTRIES)
def test_every_entry_says_the_type_and_the_default_that_holds(title: str, name: str) -> None:
    field = settings_of(title)[name]
    assert entry(title, name, "Type")
    default = entry(title, name, "Default")
    assert default.startswith("none, required") == field.is_required()
    if field.default is not PydanticUndefined and field.default is not None:
        assert default == f"`{as_toml(field)}`"


@pytest.mark.parametrize(("title", "name"), ENTRIES)
def test_every_example_is_one_that_loads(title: str, name: str) -> None:
    model = OF_TYPE.get(title) or SECTIONS[title]
    model = SOURCES["kubernetes"] if model in (SourceTable, JwtSourceTable) else model
    example = parsed(entry(title, name, "Example"))
    assert name in example
    required = {} if title in ("References to secrets", "Where the keys of a source are") else required_of(title)
    if issubclass(model, JwtSourceTable):
        required = required_of("Sources of identity tokens") | required
    if issubclass(model, SourceTable):
        required |= {"type": title.split("`")[1] if title in OF_TYPE else "kubernetes"}
    report = Report()
    report.read(model, {**required, **example}, Place("reference", title))
    assert not report.problems


@pytest.mark.parametrize(("title", "name"), ENTRIES)
def test_an_editor_shows_the_first_sentence_of_every_entry(title: str, name: str) -> None:
    prose = DOCUMENTED[title][f"`{name}`"].strip().split("\n\n")[1]
    plain = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", " ".join(prose.split()))
    assert settings_of(title)[name].description == re.split(r"(?<=[.])\s", plain)[0]


def required_of(title: str) -> dict[str, Any]:
    wanted = (name for name, field in settings_of(title).items() if field.is_required())
    return {key: value for name in wanted for key, value in parsed(entry(title, name, "Example")).items()}


def parsed(example: str) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(f"example = {{ {example.strip('`')} }}")["example"]
    return table


@pytest.mark.parametrize("kind", ["azure", "device", "github", "gitlab", "google", "kubernetes", "spiffe"])
def test_the_attributes_of_a_type_are_listed(kind: str) -> None:
    text = REFERENCE.read_text("utf-8").partition(f"## Sources of type `{kind}`")[2].partition("##")[0]
    listed = set(re.findall(r"`([a-z_]+)`", re.split(r"\.\s", text.partition("Attributes: ")[2])[0]))
    given: dict[str, Any] = {"issuer": ISSUER, "audience": "a"} if issubclass(SOURCES[kind], JwtSourceTable) else {}
    given |= {"trust_domain": "example.org", "bundle": {"file": "bundle.json"}} if kind == "spiffe" else {}
    assert listed == SOURCES[kind].model_validate({"type": kind, **given}).attribute_names


def test_the_types_of_source_are_listed() -> None:
    assert set(re.findall(r'"(\w+)"', entry("`[sources.<name>]`", "type", "Type"))) == SOURCES.keys()
