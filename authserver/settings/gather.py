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
from authserver.settings.silence import SilenceTable
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
    "silence",
)
"""Every table of the main file."""

TableT = TypeVar("TableT", bound=Table)


@dataclass(frozen=True, slots=True)
class Entry(Generic[TableT]):
    """A table that was read, and where it stands."""

    place: Place
    table: TableT


@dataclass(frozen=True, slots=True)
class Mention:
    """What a rule or a policy test refers to. ``key`` is what it calls the table of attributes."""

    place: Place
    kind: str
    key: str
    name: str | None
    source: str | None
    resource: str | None
    attributes: tuple[str, ...]
    scope: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """Tables that are right by themselves. None stands for one that is not, and a named one is left out.

    ``declared_sources``, ``declared_device_sources`` among them, ``declared_resources`` and ``declared_identifiers``,
    our issuer among these, hold what the file declares, rightly or not, so that a rule is not blamed for somebody
    else's mistake. ``addresses`` and ``mentions`` are taken from the file as it stands, so that they are checked even
    where something else in their table is wrong.
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
    silences: tuple[Entry[SilenceTable], ...]
    declared_sources: frozenset[str]
    declared_device_sources: frozenset[str]
    declared_resources: frozenset[str]
    declared_identifiers: frozenset[str]
    addresses: tuple[tuple[Place, str], ...]
    mentions: tuple[Mention, ...]


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
        return report.read_what_is_right(model, tables.get(name, {}), place.at(name))

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
            (name, report.read_what_is_right(ResourceTable, raw, place.at("resources", name)))
            for name, raw in resources.items()
        ),
        sources=_present((name, _source(raw, place.at("sources", name), report)) for name, raw in sources.items()),
        rules=tuple(_listed(documents, "allow", RuleTable, report)),
        expectations=tuple(_listed(documents, "expect", ExpectTable, report)),
        silences=tuple(_listed(documents, "silence", SilenceTable, report)),
        declared_sources=frozenset(sources),
        declared_device_sources=frozenset(name for name, raw in sources.items() if _text(raw, "type") == "device"),
        declared_resources=frozenset(resources),
        declared_identifiers=frozenset(
            (*_spelled(resources.values(), "identifier"), *_spelled([tables.get("server")], "issuer"))
        ),
        addresses=tuple(_addresses(place, tables.get("server"), sources)),
        mentions=tuple(_mentions(documents)),
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


def _spelled(tables: Iterable[object], key: str) -> Iterator[str]:
    return (value for raw in tables if (value := _text(raw, key)) is not None)


def _addresses(place: Place, server: object, sources: Mapping[str, object]) -> Iterator[tuple[Place, str]]:
    issuer = _text(server, "issuer")
    if issuer is not None:
        yield place.at("server", "issuer"), issuer
    origins = server.get("allowed_origins") if isinstance(server, dict) else None
    for position, origin in enumerate(origins if isinstance(origins, list) else []):
        if isinstance(origin, str):
            yield place.at("server", "allowed_origins", position), origin
    for name, raw in sources.items():
        # Without a place of its own for keys they are found at the issuer; with one the issuer is only a name.
        places = [key for key in ("jwks", "bundle") if isinstance(raw, dict) and key in raw]
        here, key = place.at("sources", name, *places[:1]), "url" if places else "issuer"
        address = _text(raw[places[0]] if isinstance(raw, dict) and places else raw, key)
        if address is not None:
            yield here.at(key), address


def _mentions(documents: Iterable[Document]) -> Iterator[Mention]:
    for document in documents:
        for table, kind, key in (("allow", "rule", "match"), ("expect", "policy test", "claims")):
            entries = document.tables.get(table, [])
            for position, raw in enumerate(entries if isinstance(entries, list) else []):
                if isinstance(raw, dict):
                    yield _mention(raw, document.place.at(table, position), kind, key)


def _mention(raw: Mapping[str, object], place: Place, kind: str, key: str) -> Mention:
    attributes, scope = raw.get(key), raw.get("scope")
    return Mention(
        place=place,
        kind=kind,
        key=key,
        name=_text(raw, "name"),
        source=_text(raw, "source"),
        resource=_text(raw, "resource"),
        attributes=tuple(attributes) if isinstance(attributes, dict) else (),
        scope=tuple(scope) if isinstance(scope, list) and all(isinstance(each, str) for each in scope) else (),
    )


def _text(raw: object, key: str) -> str | None:
    value = raw.get(key) if isinstance(raw, dict) else None
    return value if isinstance(value, str) and value else None


def _present(tables: Iterable[tuple[str, TableT | None]]) -> dict[str, TableT]:
    return {name: table for name, table in tables if table is not None}
