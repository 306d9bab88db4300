"""The whole configuration: all of it right, frozen, and in the words of the rooms that use it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from authserver.errors import ConfigurationError
from authserver.identity.certificate_source import AuthorityTable
from authserver.identity.source import JwtSourceTable, SourceTable
from authserver.identity.sources.aws import AwsTable
from authserver.identity.sources.device import DeviceTable
from authserver.identity.sources.spiffe import SpiffeTable
from authserver.model import Resource
from authserver.policy.authorize import Policy
from authserver.policy.expect import Expectation, ExpectTable
from authserver.policy.rules import Rule, RuleTable
from authserver.settings.builtin import built_in_resource, introspection_scope
from authserver.settings.cross import CHECKS
from authserver.settings.gather import Draft, Entry, gather, include_patterns
from authserver.settings.read import read_document, read_included
from authserver.settings.report import Place, Report
from authserver.settings.silence import SilenceTable
from authserver.settings.tables import (
    KeysTable,
    LimitsTable,
    ResourceTable,
    ServerTable,
    StoreTable,
    TelemetryTable,
    TokensTable,
)
from authserver.table import SecretReference


@dataclass(frozen=True, slots=True)
class Settings:
    """A configuration that was checked as a whole. ``resources`` are by identifier, ``sources`` by name.

    ``resources`` are those of the file; :attr:`built_in` is one more.

    ``rule_places`` says where the rule of each name stands, and ``expectation_places`` where the policy test.

    ``file`` is as it was named. ``base`` is its directory, absolute, which relative paths in it are relative to.
    """

    file: Path
    base: Path
    server: ServerTable
    store: StoreTable
    keys: KeysTable
    tokens: TokensTable
    limits: LimitsTable
    telemetry: TelemetryTable
    resources: Mapping[str, Resource]
    sources: Mapping[str, SourceTable]
    rules: tuple[Rule, ...]
    expectations: tuple[Expectation, ...]
    rule_places: Mapping[str, Place]
    expectation_places: Mapping[str, Place]
    silences: tuple[Entry[SilenceTable], ...]

    @property
    def store_path(self) -> Path:
        """Where the SQLite store is, absolute. A store of another kind is at no path."""
        return self.base / self.store.url.removeprefix("sqlite:")

    @property
    def store_prefix(self) -> str:
        """What every key at a Redis store begins with."""
        return self.store.key_prefix or self.server.environment

    @property
    def master_key(self) -> SecretReference:
        """Where the master key is, a file's path absolute."""
        return self._located(self.keys.master_key)

    @property
    def previous_master_keys(self) -> tuple[SecretReference, ...]:
        """Where the keys are that still unwrap, a file's path absolute."""
        return tuple(map(self._located, self.keys.previous_master_keys))

    @property
    def jwt_sources(self) -> Mapping[str, JwtSourceTable]:
        """The sources whose callers bring a JWT of another issuer, by name."""
        tables = {name: table for name, table in self.sources.items() if isinstance(table, JwtSourceTable)}
        return {name: table for name, table in tables.items() if table.reads_tokens}

    @property
    def aws_sources(self) -> Mapping[str, AwsTable]:
        """The sources whose callers may be principals of AWS, by name."""
        return {name: table for name, table in self.sources.items() if isinstance(table, AwsTable)}

    @property
    def spiffe_sources(self) -> Mapping[str, SpiffeTable]:
        """The trust domains whose workloads bring an SVID of either kind, by name."""
        return {name: table for name, table in self.sources.items() if isinstance(table, SpiffeTable)}

    @property
    def authority_sources(self) -> Mapping[str, AuthorityTable]:
        """The sources whose callers have a certificate of an authority in a file, by name."""
        return {name: table for name, table in self.sources.items() if isinstance(table, AuthorityTable)}

    @property
    def takes_certificates(self) -> bool:
        """Whether a caller can be known by a certificate: somebody may be, and there is a way for it to come here."""
        comes = self.server.tls is not None or bool(self.server.trusted_proxies)
        return comes and bool(self.spiffe_sources or self.authority_sources)

    @property
    def device_sources(self) -> Mapping[str, DeviceTable]:
        """The sources whose callers enrolled here, by name."""
        return {name: table for name, table in self.sources.items() if isinstance(table, DeviceTable)}

    @property
    def built_in(self) -> Resource:
        """Our own issuer as a resource."""
        names = (resource.name for resource in self.resources.values())
        return built_in_resource(self.server.issuer, names, self.device_sources, self.keys.algorithms[0])

    @property
    def introspectable(self) -> Mapping[str, str]:
        """The identifier of each resource, by the scope that lets a caller ask about the tokens for it."""
        return {introspection_scope(resource.name): resource.identifier for resource in self.resources.values()}

    def policy(self) -> Policy:
        """The rules, ready to decide."""
        built_in = self.built_in
        return Policy(self.rules, {**self.resources, built_in.identifier: built_in}, self.tokens.lifetime)

    def _located(self, reference: SecretReference) -> SecretReference:
        return reference if reference.file is None else SecretReference(file=str(self.base / reference.file))


def load(path: Path) -> Settings:
    """Read the configuration at ``path`` and every file that it includes.

    :raises ConfigurationError: with every problem there is, each with its file, path and remedy.
    """
    report = Report()
    main = read_document(path, report)
    if main is None:
        raise ConfigurationError(report.problems)
    draft = gather(main, read_included(include_patterns(main), path, report), report)
    for check in CHECKS:
        check(draft, report)
    settings = None if report.problems else _freeze(path, draft)
    if settings is None:
        raise ConfigurationError(report.problems)
    return settings


def _freeze(path: Path, draft: Draft) -> Settings | None:
    if not (draft.server and draft.store and draft.keys and draft.tokens and draft.limits and draft.telemetry):
        return None
    algorithm = draft.keys.algorithms[0]
    resources = (_resource(name, table, algorithm) for name, table in draft.resources.items())
    return Settings(
        file=path,
        base=path.absolute().parent,
        server=draft.server,
        store=draft.store,
        keys=draft.keys,
        tokens=draft.tokens,
        limits=draft.limits,
        telemetry=draft.telemetry,
        resources=MappingProxyType({resource.identifier: resource for resource in resources}),
        sources=MappingProxyType(dict(draft.sources)),
        rules=tuple(entry.table.compile() for entry in draft.rules),
        expectations=tuple(_expectation(entry.table, draft) for entry in draft.expectations),
        rule_places=_places(draft.rules),
        expectation_places=_places(draft.expectations),
        silences=draft.silences,
    )


def _places(entries: Iterable[Entry[RuleTable] | Entry[ExpectTable]]) -> Mapping[str, Place]:
    return MappingProxyType({entry.table.name: entry.place for entry in entries})


def _expectation(table: ExpectTable, draft: Draft) -> Expectation:
    return table.compile(draft.sources[table.source].named_only(table.claims))


def _resource(name: str, table: ResourceTable, algorithm: str) -> Resource:
    return Resource(
        name=name,
        identifier=table.identifier,
        scopes=frozenset(table.scopes),
        default_scopes=table.default_scopes,
        algorithm=table.algorithm or algorithm,
        sender_constrained=table.sender_constrained,
    )
