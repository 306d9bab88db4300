"""Warnings about everything in one configuration that is not a rule."""

from collections.abc import Iterator, Mapping
from typing import Final

from authserver.settings.advice.facts import Facts
from authserver.settings.advice.warned import Advice
from authserver.settings.assemble import Settings
from authserver.settings.report import Place, shown
from authserver.settings.silence import Code
from authserver.table import spelled

_PRODUCTION: Final = frozenset(("production", "prod"))


def unused_tables(settings: Settings) -> Iterator[Advice]:
    """Resources and sources that no rule names. A rule in audit mode counts: somebody is working on it.

    A source whose ID tokens enrol devices is used for that.
    """
    resources, sources = ({rule.resource for rule in settings.rules}, {rule.source for rule in settings.rules})
    sources.update(name for table in settings.device_sources.values() for name in table.enroll_with)
    for resource in settings.resources.values():
        if resource.identifier not in resources:
            remedy = "Write a rule that grants its scopes, or remove it."
            message = "no rule grants anything on it, so nobody gets a token for it"
            yield _about(settings, Code.RESOURCE_UNUSED, f"resources.{shown(resource.name)}", message, remedy)
    for name in settings.sources:
        if name not in sources:
            message, remedy = "no rule admits any of its callers", "Write a rule for them, or remove it."
            yield _about(settings, Code.SOURCE_UNUSED, f"sources.{shown(name)}", message, remedy)


def unsigned_audiences(settings: Settings) -> Iterator[Advice]:
    """Sources that take signed requests whose signature does not cover whom they are for."""
    for name, table in settings.aws_sources.items():
        if table.signed_requests is not None and table.signed_requests.unsigned_audience:
            about = f"sources.{shown(name)}"
            message = "takes signed requests that do not say whom they are for, so who is shown one can use it here"
            remedy = "Have callers sign the header, or use identity tokens, and remove unsigned_audience."
            yield _about(settings, Code.AUDIENCE_UNSIGNED, about, message, remedy)


def certificates_in_headers(settings: Settings) -> Iterator[Advice]:
    """Proxies that could let a caller say whose certificate it has, of which everybody may have a copy."""
    if settings.takes_certificates and settings.server.trusted_proxies:
        message = "whoever a proxy among them says that a caller is, by Client-Cert (RFC 9440), it is"
        remedy = "Let each set or remove Client-Cert and Client-Cert-Chain, and then silence this."
        yield _about(settings, Code.CERTIFICATE_IN_HEADER, "server.trusted_proxies", message, remedy)


def exposed_master_keys(settings: Settings, facts: Facts) -> Iterator[Advice]:
    """Master keys in files that others than their owner may read or change."""
    for key in facts.master_keys:
        if key.readable_by_others:
            message = f"others than its owner have access to the file {key.file}"
            yield _about(settings, Code.MASTER_KEY_READABLE, key.where, message, f"Run: chmod 600 {key.file}")


def times_of_keys(settings: Settings, facts: Facts) -> Iterator[Advice]:
    """Times that do not hold as they are written, because no key signs before every verifier can know it."""
    plan = facts.plan
    if plan.publish_ahead < plan.settled:
        settled = f'"{spelled(int(plan.settled))}"'
        message = f"is shorter than {settled}, which holds instead: so long a key may be missing in somebody's cache"
        remedy = f"Write at least {settled}, or make keys.jwks_max_age shorter."
        yield _about(settings, Code.PUBLISH_AHEAD_SHORT, "keys.publish_ahead", message, remedy)
    if plan.rotate_every < plan.lead:
        lead = f'"{spelled(int(plan.lead))}"'
        message = f"is shorter than {lead}, for which each key is published before it signs, so keys change no faster"
        remedy = f"Write at least {lead}, or make keys.publish_ahead shorter."
        yield _about(settings, Code.ROTATE_EVERY_SHORT, "keys.rotate_every", message, remedy)


def algorithms_of_keys(settings: Settings) -> Iterator[Advice]:
    """No RS256, which OpenID Connect Discovery section 3 requires of an issuer that others discover."""
    if "RS256" not in settings.keys.algorithms:
        message = "has no RS256, without which clouds and other relying parties may refuse to federate from this issuer"
        remedy = 'Add "RS256" (OpenID Connect Discovery section 3), or silence this if nobody federates.'
        yield _about(settings, Code.RS256_MISSING, "keys.algorithms", message, remedy)


def unfit_for_production(settings: Settings) -> Iterator[Advice]:
    """Settings for a development machine, in an environment that is called production."""
    name = settings.server.environment
    if _PRODUCTION.isdisjoint(name.split("-")):
        return
    if settings.server.insecure_allow_http:
        message, remedy = f"is true in an environment called {name}", "Remove it, and use https."
        yield _about(settings, Code.PLAIN_HTTP_IN_PRODUCTION, "server.insecure_allow_http", message, remedy)
    if settings.limits.failures == "off":
        message, remedy = f"is off in an environment called {name}", 'Write a rate, such as "60/minute".'
        yield _about(settings, Code.NO_LIMIT_IN_PRODUCTION, "limits.failures", message, remedy)


def clocks_that_differ(settings: Settings, ahead: Mapping[str, int]) -> Iterator[Advice]:
    """Sources whose clock differs from ours by more than is allowed for. ``ahead`` has seconds by source."""
    for name, difference in ahead.items():
        if abs(difference) > settings.server.clock_skew:
            message = f"its clock and the one here differ by {abs(difference)} s, more than server.clock_skew allows"
            remedy = "Set the clock that is wrong, or good tokens are refused as expired or as not valid yet."
            yield _about(settings, Code.CLOCKS_DIFFER, f"sources.{shown(name)}", message, remedy)


def _about(settings: Settings, code: Code, about: str, message: str, remedy: str) -> Advice:
    return Advice(code, Place(str(settings.file), about), about, message, remedy)
