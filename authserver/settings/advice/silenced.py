"""Silences: warnings that were thought about, and silences that silence nothing."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from authserver.settings.advice.warned import Advice
from authserver.settings.assemble import Settings
from authserver.settings.silence import Code


def with_silences(settings: Settings, found: Iterable[Advice], judged: Collection[Code]) -> tuple[Advice, ...]:
    """The warnings about one environment, each with the reason that its configuration gives for ignoring it.

    A silence that silences nothing is a warning too, if its code is among those that could be ``judged``: what was not
    looked for was not missed.
    """
    advice = tuple(found)
    reasons = {(each.table.code, each.table.about): each.table.reason for each in settings.silences}
    heard = (replace(each, silenced=reasons.get((each.code, each.about))) for each in advice)
    return (*heard, *_unused(settings, {(each.code, each.about) for each in advice}, judged))


def _unused(settings: Settings, found: Collection[tuple[Code, str]], judged: Collection[Code]) -> Iterator[Advice]:
    for each in settings.silences:
        code, about = each.table.code, each.table.about
        if code in judged and (code, about) not in found:
            message = f"silences nothing: there is no warning {code.value} about {about!r}"
            remedy = "Remove it, or correct its code or what it is about."
            yield Advice(Code.SILENCE_UNUSED, each.place, each.place.path, message, remedy)
