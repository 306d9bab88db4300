"""What no table can see on its own: whether the tables fit each other."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Final

from authserver.identity.source import JwtSourceTable
from authserver.identity.sources.aws import AwsTable
from authserver.identity.sources.device import DeviceTable
from authserver.identity.sources.oidc import OidcTable
from authserver.oauth import DEVICE_PREFIX
from authserver.settings import builtin
from authserver.settings.gather import Draft, Mention
from authserver.settings.report import Report, shown
from authserver.settings.urls import refuse_plain_http
from authserver.store.redis_address import is_redis, read_address
from authserver.table import spelled


def check_addresses(draft: Draft, report: Report) -> None:
    """Everything is https, but for loopback where that is allowed; metrics have an address of their own."""
    allowed = draft.server is not None and draft.server.insecure_allow_http
    for place, url in draft.addresses:
        report.attempt(place, partial(refuse_plain_http, url, insecure_allow_http=allowed))
    if draft.server and draft.telemetry and draft.server.bind == draft.telemetry.bind:
        report.add(
            draft.place.at("telemetry", "bind"),
            "is the public address of the server",
            "Choose another port: metrics are never served on the public address.",
        )


def check_store(draft: Draft, report: Report) -> None:
    """Who sets files for TLS speaks TLS, and a private key has its certificate."""
    store = draft.store
    if store is None or not is_redis(store.url):
        return
    files = {"ca_file": store.ca_file, "certificate_file": store.certificate_file, "key_file": store.key_file}
    for name in (name for name, file in files.items() if file and not read_address(store.url).tls):
        remedy = 'Write "rediss" instead of "redis" in store.url, or remove this.'
        report.add(draft.place.at("store", name), "means nothing to a store that is reached without TLS", remedy)
    if store.key_file and not store.certificate_file:
        remedy = "Set store.certificate_file to the file with its certificate."
        report.add(draft.place.at("store", "key_file"), "is the key of no certificate", remedy)


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
    """The issuer and audience of a token name one source, and its issuer no device of ours."""
    owners: dict[tuple[str, str], str] = {}
    jwt_sources = {name: table for name, table in draft.sources.items() if isinstance(table, JwtSourceTable)}
    for name, source in jwt_sources.items():
        if not source.reads_tokens:
            continue
        owner = owners.setdefault((source.origin, source.audience), name)
        if owner != name:
            report.add(
                draft.place.at("sources", name, "audience"),
                f"is, with the same issuer, the audience of sources.{shown(owner)} too",
                "Give each of them an audience of its own: the pair decides which source a token belongs to.",
            )
        if source.origin.startswith(DEVICE_PREFIX):
            report.add(
                draft.place.at("sources", name, "issuer"),
                f'begins with "{DEVICE_PREFIX}", as the names of the devices that enrol here do',
                'Use an issuer with another name, such as "https://login.example.com".',
            )


def check_signed_requests(draft: Draft, report: Report) -> None:
    """The audience of a signed request names one source."""
    owners: dict[str, str] = {}
    for name, source in draft.sources.items():
        if not isinstance(source, AwsTable) or source.signed_requests is None:
            continue
        owner = owners.setdefault(source.audience, name)
        if owner != name:
            report.add(
                draft.place.at("sources", name, "audience"),
                f"is the audience of the signed requests of sources.{shown(owner)} too",
                "Give each of them an audience of its own, or list all accounts in one source.",
            )


def check_mentions(draft: Draft, report: Report) -> None:
    """Rules and policy tests have names of their own and name what exists.

    A policy test that names something else would pass for the wrong reason.
    """
    seen: set[tuple[str, str]] = set()
    scopes = _scopes_by_identifier(draft)
    for mention in draft.mentions:
        if mention.name is not None and (mention.kind, mention.name) in seen:
            message = f"is the name of another {mention.kind} too"
            report.add(mention.place.at("name"), message, "Give each a name of its own.")
        seen.add((mention.kind, mention.name or ""))
        _check_source(mention, draft, report)
        _check_resource(mention, scopes, draft, report)


def check_lifetimes(draft: Draft, report: Report) -> None:
    """Rules stay within the lifetime of tokens."""
    for entry in draft.rules:
        lifetime = entry.table.lifetime
        if draft.tokens and lifetime is not None and lifetime > draft.tokens.lifetime:
            report.add(
                entry.place.at("lifetime"),
                "is longer than tokens.lifetime",
                f'Make it at most "{spelled(draft.tokens.lifetime)}", or raise tokens.lifetime.',
            )


def check_enrollment(draft: Draft, report: Report) -> None:
    """Who may enrol a device is an issuer of ID tokens that exists."""
    for name, source in draft.sources.items():
        for position, other in enumerate(source.enroll_with if isinstance(source, DeviceTable) else ()):
            place = draft.place.at("sources", name, "enroll_with", position)
            if other not in draft.declared_sources:
                report.unknown(place, "source", other, draft.declared_sources)
            elif other in draft.sources and not isinstance(draft.sources[other], OidcTable):
                report.add(place, 'is no source of type "oidc"', "Name one: only its ID tokens stand for a person.")


CHECKS: Final = (
    check_addresses,
    check_store,
    check_resources,
    check_sources,
    check_signed_requests,
    check_enrollment,
    check_mentions,
    check_lifetimes,
)
"""Every check, in the order in which its problems are listed."""


def _check_source(mention: Mention, draft: Draft, report: Report) -> None:
    place, source = mention.place, draft.sources.get(mention.source or "")
    if mention.source is not None and mention.source not in draft.declared_sources:
        report.unknown(place.at("source"), "source", mention.source, draft.declared_sources)
    for attribute in mention.attributes if source else ():
        if source and not source.knows(attribute):
            report.unknown(place.at(mention.key, attribute), "attribute", attribute, source.attribute_names)


def _check_resource(mention: Mention, scopes: Mapping[str, Collection[str]], draft: Draft, report: Report) -> None:
    place, existing = mention.place, scopes.get(mention.resource or "")
    if mention.resource is not None and mention.resource not in draft.declared_identifiers:
        report.unknown(place.at("resource"), "resource identifier", mention.resource, draft.declared_identifiers)
    if existing is None or report.blames(place.at("scope")):
        return
    for position, scope in enumerate(mention.scope):
        if scope not in existing:
            report.unknown(place.at("scope", position), "scope", scope, existing)


def _scopes_by_identifier(draft: Draft) -> dict[str, Collection[str]]:
    """The scopes of every resource that is right by itself, and of the built-in one."""
    scopes: dict[str, Collection[str]] = {each.identifier: each.scopes for each in draft.resources.values()}
    if draft.server is not None:
        scopes[draft.server.issuer] = builtin.scopes(draft.declared_resources, draft.declared_device_sources)
    return scopes
