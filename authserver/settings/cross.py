"""What no table can see on its own: whether the tables fit each other."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from authserver.policy.expect import ExpectTable
from authserver.policy.rules import RuleTable
from authserver.settings.gather import Draft, Entry
from authserver.settings.report import Place, Report, shown
from authserver.settings.tables import ResourceTable
from authserver.settings.urls import refuse_plain_http
from authserver.table import spelled


def check_addresses(draft: Draft, report: Report) -> None:
    """Everything is https, but for loopback where that is allowed; metrics have an address of their own."""
    allowed = draft.server is not None and draft.server.insecure_allow_http
    for place, url in _addresses(draft):
        report.attempt(place, partial(refuse_plain_http, url, insecure_allow_http=allowed))
    if draft.server and draft.telemetry and draft.server.bind == draft.telemetry.bind:
        report.add(
            draft.place.at("telemetry", "bind"),
            "is the public address of the server",
            "Choose another port: metrics are never served on the public address.",
        )


def check_resources(draft: Draft, report: Report) -> None:
    """Identifiers are unique and not our own, algorithms have keys, and default scopes exist."""
    owners: dict[str, str] = {} if draft.server is None else {draft.server.issuer: "the issuer of this server"}
    for name, resource in draft.resources.items():
        place = draft.place.at("resources", name)
        if resource.identifier in owners:
            message = f"is {owners[resource.identifier]} already"
            report.add(place.at("identifier"), message, "Give each resource an identifier of its own.")
        owners[resource.identifier] = f"the identifier of resources.{shown(name)}"
        if draft.keys and resource.algorithm and resource.algorithm not in draft.keys.algorithms:
            remedy = f"Add {resource.algorithm!r} to keys.algorithms, or choose one that is there."
            report.add(place.at("algorithm"), "is not among keys.algorithms", remedy)
        for position, scope in enumerate(resource.default_scopes):
            if scope not in resource.scopes:
                report.unknown(place.at("default_scopes", position), "scope", scope, resource.scopes)


def check_sources(draft: Draft, report: Report) -> None:
    """The issuer and audience of a token name one source."""
    owners: dict[tuple[str, str], str] = {}
    for name, source in draft.sources.items():
        owner = owners.setdefault((source.issuer, source.audience), name)
        if owner != name:
            report.add(
                draft.place.at("sources", name, "audience"),
                f"is, with the same issuer, the audience of sources.{shown(owner)} too",
                "Give each of them an audience of its own: the pair decides which source a token belongs to.",
            )


def check_rules(draft: Draft, report: Report) -> None:
    """Rules name what exists, and stay within the lifetime of tokens."""
    _check_names(draft.rules, "rule", report)
    resources = _by_identifier(draft)
    for entry in draft.rules:
        _check_references(entry, "match", entry.table.match, draft, resources, report)
        lifetime = entry.table.lifetime
        if draft.tokens and lifetime is not None and lifetime > draft.tokens.lifetime:
            report.add(
                entry.place.at("lifetime"),
                "is longer than tokens.lifetime",
                f'Make it at most "{spelled(draft.tokens.lifetime)}", or raise tokens.lifetime.',
            )


def check_expectations(draft: Draft, report: Report) -> None:
    """Policy tests name what exists: one that names something else would pass for the wrong reason."""
    _check_names(draft.expectations, "policy test", report)
    resources = _by_identifier(draft)
    for entry in draft.expectations:
        _check_references(entry, "claims", entry.table.claims, draft, resources, report)


CHECKS: Final = (check_addresses, check_resources, check_sources, check_rules, check_expectations)
"""Every check, in the order in which its problems are listed."""


def _addresses(draft: Draft) -> Iterator[tuple[Place, str]]:
    if draft.server is not None:
        yield draft.place.at("server", "issuer"), draft.server.issuer
    for name, source in draft.sources.items():
        place = draft.place.at("sources", name)
        if source.jwks is None:
            yield place.at("issuer"), source.issuer  # keys are found there; otherwise it is only a name
        elif source.jwks.url is not None:
            yield place.at("jwks", "url"), source.jwks.url


def _check_names(entries: Iterable[Entry[RuleTable] | Entry[ExpectTable]], what: str, report: Report) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.table.name in seen:
            report.add(entry.place.at("name"), f"is the name of another {what} too", "Give each a name of its own.")
        seen.add(entry.table.name)


def _check_references(
    entry: Entry[RuleTable] | Entry[ExpectTable],
    key: str,
    attributes: Iterable[str],
    draft: Draft,
    resources: dict[str, ResourceTable],
    report: Report,
) -> None:
    place, table = entry.place, entry.table
    source, resource = draft.sources.get(table.source), resources.get(table.resource)
    if table.source not in draft.declared_sources:
        report.unknown(place.at("source"), "source", table.source, draft.declared_sources)
    if table.resource not in draft.declared_identifiers:
        report.unknown(place.at("resource"), "resource identifier", table.resource, draft.declared_identifiers)
    for attribute in attributes if source else ():
        if source and attribute not in source.attribute_names:
            report.unknown(place.at(key, attribute), "attribute", attribute, source.attribute_names)
    for position, scope in enumerate(table.scope):
        if resource and scope not in resource.scopes:
            report.unknown(place.at("scope", position), "scope", scope, resource.scopes)


def _by_identifier(draft: Draft) -> dict[str, ResourceTable]:
    return {resource.identifier: resource for resource in draft.resources.values()}
