"""From parsed files to tables, each read on its own, so that one mistake hides no other."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from authserver.identity.source import SourceTable
from authserver.identity.sources import SOURCES
from authserver.policy.expect import ExpectTable
from authserver.policy.rules import RuleTable
from authserver.settings.read import Document
from authserver.settings.report import Place, Report
from authserver.settings.tables import (
    NAME,
    NAME_REMEDY,
    KeysTable,
    LimitsTable,
    ResourceTable,
    ServerTable,
    StoreTable,
    TelemetryTable,
    TokensTable,
)
from authserver.table import Table

TOP_LEVEL: Final = (
    "server",
    "store",
    "keys",
    "tokens",
    "limits",
    "telemetry",
    "resources",
    "sources",
    "allow",
    "expect",
)
"""Every table of the main file."""

TableT = TypeVar("TableT", bound=Table)


@dataclass(frozen=True, slots=True)
class Entry(Generic[TableT]):
    """A table that was read, and where it stands."""

    place: Place
    table: TableT


@dataclass(frozen=True, slots=True)
class Draft:
    """Tables that are right by themselves. None stands for one that is not, and a named one is left out.

    ``declared_sources`` and ``declared_identifiers`` hold what the file declares, rightly or not, so that a rule
    is not blamed for somebody else's mistake.
    """

    place: Place
    server: ServerTable | None
    store: StoreTable | None
    keys: KeysTable | None
    tokens: TokensTable | None
    limits: LimitsTable | None
    telemetry: TelemetryTable | None
    resources: Mapping[str, ResourceTable]
    sources: Mapping[str, SourceTable]
    rules: tuple[Entry[RuleTable], ...]
    expectations: tuple[Entry[ExpectTable], ...]
    declared_sources: frozenset[str]
    declared_identifiers: frozenset[str]


def include_patterns(document: Document) -> tuple[str, ...]:
    """The patterns of ``server.include``, even when something else in that table is wrong."""
    server = document.tables.get("server")
    include = server.get("include") if isinstance(server, dict) else None
    return tuple(each for each in include if isinstance(each, str)) if isinstance(include, list) else ()


def gather(main: Document, included: Iterable[Document], report: Report) -> Draft:
    """Read every table of every file."""
    place, tables = main.place, main.tables
    for name in (name for name in tables if name not in TOP_LEVEL):
        report.unknown(place.at(name), "table", name, TOP_LEVEL)

    def single(name: str, model: type[TableT]) -> TableT | None:
        return report.read(model, tables.get(name, {}), place.at(name))

    documents = [main, *included]
    resources = dict(_named(main, "resources", report))
    sources = dict(_named(main, "sources", report))
    return Draft(
        place=place,
        server=single("server", ServerTable),
        store=single("store", StoreTable),
        keys=single("keys", KeysTable),
        tokens=single("tokens", TokensTable),
        limits=single("limits", LimitsTable),
        telemetry=single("telemetry", TelemetryTable),
        resources=_present(
            (name, report.read(ResourceTable, raw, place.at("resources", name))) for name, raw in resources.items()
        ),
        sources=_present((name, _source(raw, place.at("sources", name), report)) for name, raw in sources.items()),
        rules=tuple(_listed(documents, "allow", RuleTable, report)),
        expectations=tuple(_listed(documents, "expect", ExpectTable, report)),
        declared_sources=frozenset(sources),
        declared_identifiers=frozenset(_identifiers(resources.values())),
    )


def _named(document: Document, name: str, report: Report) -> Iterator[tuple[str, Any]]:
    tables, place = document.tables.get(name, {}), document.place.at(name)
    if not isinstance(tables, dict):
        report.add(place, "must be a table of tables", f"Write [{name}.some-name].")
        return
    for key, raw in tables.items():
        if NAME.fullmatch(key) is None:
            report.add(place.at(key), "is not a name", NAME_REMEDY)
        yield key, raw


def _source(raw: object, place: Place, report: Report) -> SourceTable | None:
    kind = raw.get("type") if isinstance(raw, dict) else None
    if not isinstance(raw, dict):
        report.add(place, "must be a table", "Write it as a [table].")
    elif not isinstance(kind, str) or kind not in SOURCES:
        message = "is no known type of source" if "type" in raw else "is missing"
        report.add(place.at("type"), message, f"Use one of: {', '.join(sorted(SOURCES))}.")
    else:
        return report.read(SOURCES[kind], raw, place)
    return None


def _listed(documents: Iterable[Document], name: str, model: type[TableT], report: Report) -> Iterator[Entry[TableT]]:
    for document in documents:
        tables, place = document.tables.get(name, []), document.place.at(name)
        if not isinstance(tables, list):
            report.add(place, "must be a list of tables", f"Write [[{name}]], with two brackets.")
            continue
        for position, raw in enumerate(tables):
            table = report.read(model, raw, place.at(position))
            if table is not None:
                yield Entry(place.at(position), table)


def _identifiers(resources: Iterable[object]) -> Iterator[str]:
    for raw in resources:
        identifier = raw.get("identifier") if isinstance(raw, dict) else None
        if isinstance(identifier, str):
            yield identifier


def _present(tables: Iterable[tuple[str, TableT | None]]) -> dict[str, TableT]:
    return {name: table for name, table in tables if table is not None}
