"""Warnings about devices: what a rule takes their word for, and what lets more of them in."""

from collections.abc import Iterator
from typing import Final

from authserver.identity.sources.device import doubt
from authserver.oauth import LONGEST_LIFETIME
from authserver.policy.rules import Condition, Rule
from authserver.settings.advice.warned import Advice
from authserver.settings.assemble import Settings
from authserver.settings.builtin import invitation_scope
from authserver.settings.report import Place, shown
from authserver.settings.silence import Code
from authserver.table import spelled

_OWN_WORDS: Final = frozenset(("platform", "model", "app_id"))
_UNATTESTED: Final = "none"


def doubtful_attributes(settings: Settings) -> Iterator[Advice]:
    """Attributes in rules and policy tests that probably no invitation gives, because something else is meant."""
    for rule in _rules(settings):
        for condition in rule.conditions:
            place = settings.rule_places[rule.name].at("match", condition.attribute)
            yield from _doubtful(condition.attribute, place, f"allow.{rule.name}")
    for expectation in settings.expectations:
        for attribute in (
            expectation.subject.attributes if expectation.subject.source in settings.device_sources else ()
        ):
            place = settings.expectation_places[expectation.name].at("claims", attribute)
            yield from _doubtful(attribute, place, f"expect.{expectation.name}")


def own_words(settings: Settings) -> Iterator[Advice]:
    """Rules that believe a device what it says of itself, and ask for nothing else."""
    for rule in _rules(settings):
        if all(map(_is_own_word, rule.conditions)):
            yield _about(
                settings,
                rule,
                Code.SELF_DECLARED,
                "asks only for what a device says of itself when it enrols, so it may admit every device of its source",
                "Match owner, an attribute that invitations give, or an attestation; or silence this, and say why.",
            )


def devices_that_invite(settings: Settings) -> Iterator[Advice]:
    """Rules by which a device makes more devices."""
    invitations = {invitation_scope(name) for name in settings.device_sources}
    for rule in _rules(settings):
        if rule.resource == settings.server.issuer and not invitations.isdisjoint(rule.scope):
            yield _about(
                settings,
                rule,
                Code.DEVICES_INVITE,
                "lets a device invite others: whoever gets hold of one has more of them, which outlive its revocation",
                "Grant this to the workload of a backend that knows its users.",
            )


def lasting_tokens(settings: Settings) -> Iterator[Advice]:
    """Sources whose ID tokens enrol devices, for longer than any access token lives and more than once."""
    for name, table in settings.jwt_sources.items():
        devices = [shown(each) for each, source in settings.device_sources.items() if name in source.enroll_with]
        if devices and not table.single_use and table.max_age > LONGEST_LIFETIME:
            about = f"sources.{shown(name)}"
            age, longest = spelled(table.max_age), spelled(LONGEST_LIFETIME)
            message = (
                f'each of its ID tokens enrols devices of {", ".join(devices)} for "{age}", for whoever has a copy'
            )
            remedy = f'Make its max_age "{longest}" or less, or set single_use = true.'
            yield Advice(Code.ENROLLING_TOKEN_LASTS, Place(str(settings.file), about), about, message, remedy)


def _rules(settings: Settings) -> Iterator[Rule]:
    return (rule for rule in settings.rules if rule.source in settings.device_sources)


def _is_own_word(condition: Condition) -> bool:
    # That there is no attestation is nothing that a device has to show.
    is_unattested = condition.attribute == "attestation" and condition.pattern.matches(_UNATTESTED)
    return is_unattested or condition.attribute in _OWN_WORDS


def _doubtful(attribute: str, place: Place, about: str) -> Iterator[Advice]:
    doubted = doubt(attribute)
    if doubted is not None:
        remedy = f"Write what is meant, or silence this if invitations do give {attribute}."
        yield Advice(Code.ATTRIBUTE_DOUBTFUL, place, about, doubted, remedy)


def _about(settings: Settings, rule: Rule, code: Code, message: str, remedy: str) -> Advice:
    return Advice(code, settings.rule_places[rule.name], f"allow.{rule.name}", message, remedy)
