"""Warnings about rules: whom they may admit besides those who were meant."""

from collections.abc import Iterator

from authserver.policy.rules import Condition, Pattern, Rule
from authserver.settings.advice.warned import Advice
from authserver.settings.assemble import Settings
from authserver.settings.silence import Code


def recyclable_names(settings: Settings) -> Iterator[Advice]:
    """Rules that name what somebody else can be called tomorrow, without the id that nobody else can get."""
    for rule in settings.rules:
        spelled_out = {condition.attribute for condition in rule.conditions if not condition.pattern.globs}
        recyclable = settings.sources[rule.source].recyclable
        for attribute in (condition.attribute for condition in rule.conditions):
            ids = recyclable.get(attribute, ())
            if ids and spelled_out.isdisjoint(ids):
                yield _about(
                    settings,
                    rule,
                    Code.NAME_CAN_BE_TAKEN_OVER,
                    f"{attribute} is a name that can be given up and taken by somebody else",
                    f"Match {' or '.join(ids)} too, which stays with its owner for ever.",
                    attribute,
                )


def several_workloads(settings: Settings) -> Iterator[Advice]:
    """Rules that do not come down to one workload. Devices are many by nature, and each has a key of its own."""
    for rule in (rule for rule in settings.rules if rule.source not in settings.device_sources):
        pinned = {condition.attribute for condition in rule.conditions if _is_one(condition.pattern)}
        source = settings.sources[rule.source]
        if not any(attributes <= pinned for attributes in source.one_workload):
            lasting = [sorted(each) for each in source.one_workload if each.isdisjoint(source.recyclable)]
            enough = ", or ".join(" and ".join(attributes) for attributes in lasting)
            yield _about(
                settings,
                rule,
                Code.SEVERAL_WORKLOADS,
                "may admit several workloads: its match does not come down to one",
                f"Give each a rule of its own, with one value for {enough}; or silence this, and say who they are.",
            )


def wide_globs(settings: Settings) -> Iterator[Advice]:
    """Globs with a part that says nothing."""
    for rule in settings.rules:
        for condition in rule.conditions:
            for glob in condition.pattern.globs:
                if any(not any(pieces) for pieces in glob.components if len(pieces) > 1):
                    yield _about(
                        settings,
                        rule,
                        Code.GLOB_WIDE,
                        f"the glob {glob.pattern!r} has a part that is only *, so any name fits there",
                        "Write how the name begins or ends, or list the names.",
                        condition.attribute,
                    )


def unused_rules(settings: Settings) -> Iterator[Advice]:
    """Enforcing rules that change no decision, because another one says as much to the same callers."""
    enforced = tuple(rule for rule in settings.rules if rule.enforced)
    for position, rule in enumerate(enforced):
        for other_position, other in enumerate(enforced):
            # Of two rules that say the same, the first one counts.
            twins = _covers(other, rule, settings) and _covers(rule, other, settings)
            if other is not rule and _covers(other, rule, settings) and not (twins and position < other_position):
                yield _about(
                    settings,
                    rule,
                    Code.RULE_UNUSED,
                    f"never decides anything: the rule {other.name!r} gives the same callers as much, for no longer",
                    "Remove it, or narrow the other one.",
                )
                break


def _covers(wider: Rule, rule: Rule, settings: Settings) -> bool:
    """Whether without ``rule`` every decision would be the same, thanks to ``wider``."""
    longest = settings.tokens.lifetime
    return (
        (wider.source, wider.resource) == (rule.source, rule.resource)
        and set(rule.scope) <= set(wider.scope)
        and (wider.lifetime or longest) <= (rule.lifetime or longest)
        and all(_implied(condition, rule) for condition in wider.conditions)
        and _as_outspoken(wider, rule, settings)
    )


def _implied(condition: Condition, rule: Rule) -> bool:
    """Whether every caller that the rule matches meets the condition. False where that cannot be shown."""
    return any(
        each.attribute == condition.attribute
        and all(map(condition.pattern.matches, each.pattern.literals))
        and set(each.pattern.globs) <= set(condition.pattern.globs)
        for each in rule.conditions
    )


def _as_outspoken(wider: Rule, rule: Rule, settings: Settings) -> bool:
    """Whether ``wider`` spells out whatever the rule does and its source wants to see spelled out."""
    spelled_out = {each.attribute: tuple(each.pattern.literals) for each in rule.conditions}
    dangerous = settings.sources[rule.source].named_only(spelled_out)
    return all(
        any(each.attribute == attribute and value in each.pattern.literals for each in wider.conditions)
        for attribute, value in dangerous.items()
    )


def _is_one(pattern: Pattern) -> bool:
    return len(pattern.literals) == 1 and not pattern.globs


def _about(settings: Settings, rule: Rule, code: Code, message: str, remedy: str, attribute: str = "") -> Advice:
    place = settings.rule_places[rule.name]
    return Advice(code, place.at("match", attribute) if attribute else place, f"allow.{rule.name}", message, remedy)
