"""JSON Schema (2020-12) of the configuration, for editors.

It says what a schema can say. What only ``check`` can see (whether names exist, bounds of durations, one pair of issuer
and audience for each source) is left to it, and nothing is refused here that the server would accept.
"""

import json
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any, Final

from pydantic import Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from authserver.identity.sources import SOURCES
from authserver.policy.expect import ExpectTable
from authserver.policy.rules import RuleTable
from authserver.settings.silence import SilenceTable
from authserver.settings.tables import (
    KeysTable,
    LimitsTable,
    Name,
    ResourceTable,
    ServerTable,
    StoreTable,
    TelemetryTable,
    TokensTable,
)
from authserver.table import DURATION_PATTERN, SecretReference, Table, spelled

_AnySource: Any = Annotated[reduce(or_, SOURCES.values()), Field(discriminator="type")]
_Rules = tuple[RuleTable, ...]
_Expectations = tuple[ExpectTable, ...]
_Silences = tuple[SilenceTable, ...]


class ConfigurationFile(Table):
    """The configuration of authserver."""

    server: ServerTable
    store: StoreTable = StoreTable()
    keys: KeysTable = KeysTable()
    tokens: TokensTable = TokensTable()
    limits: LimitsTable = LimitsTable()
    telemetry: TelemetryTable = TelemetryTable()
    resources: dict[Name, ResourceTable] = Field(default_factory=dict)
    sources: dict[Name, _AnySource] = Field(default_factory=dict)
    allow: _Rules = ()
    expect: _Expectations = ()
    silence: _Silences = ()


class RuleFile(Table):
    """Rules, policy tests and silences that the configuration of authserver includes."""

    allow: _Rules = ()
    expect: _Expectations = ()
    silence: _Silences = ()


class _Generator(GenerateJsonSchema):
    """Writes what stands in the file: durations as they are spelled, and no null, which TOML does not have."""

    def generate(self, schema: core_schema.CoreSchema, mode: Any = "validation") -> JsonSchemaValue:
        return {"$schema": self.schema_dialect, **super().generate(schema, mode)}

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        # The rest of a docstring is about the object in memory, whose durations are numbers.
        words = " ".join(described["description"].replace("``", "`").split())
        return {**described, "description": words.partition(". ")[0].removesuffix(".") + "."}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        described = super().dict_schema(schema)
        return {**described, "additionalProperties": False} if "patternProperties" in described else described

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        described = super().tagged_union_schema(schema)
        described.pop("discriminator", None)  # OpenAPI's word, which JSON Schema does not have
        return described

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described = super().default_schema(schema)
        default = schema.get("default")
        if default is None or (isinstance(default, Table) and not isinstance(default, SecretReference)):
            described.pop("default", None)
        elif isinstance(default, SecretReference):
            described["default"] = default.model_dump(exclude_none=True)
        elif described.get("pattern") == DURATION_PATTERN:
            described["default"] = spelled(default)
        return described

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False


CONFIGURATION: Final = "authserver.schema.json"
RULES: Final = "rules.schema.json"
"""The names of the two schemas, as files."""

_FILES: Final[Mapping[str, type[Table]]] = {CONFIGURATION: ConfigurationFile, RULES: RuleFile}


def schema(name: str = CONFIGURATION) -> dict[str, Any]:
    """The schema with this name."""
    return _FILES[name].model_json_schema(schema_generator=_Generator)


def written(name: str) -> str:
    """The schema as text, the same for the same configuration tables."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"
