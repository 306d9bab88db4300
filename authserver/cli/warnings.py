"""The warnings of ``check``: put together from all that it found out, and shown."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from authserver.cli.online import Reached
from authserver.settings import Settings
from authserver.settings.advice import Advice, Facts, advise, advise_together, clocks_that_differ, with_silences
from authserver.settings.silence import Code

_TOGETHER: Final = frozenset((Code.MASTER_KEY_SHARED, Code.STORE_SHARED, Code.ISSUER_SHARED))


def warnings(
    environments: Sequence[tuple[Settings, Facts]], reached: Sequence[Sequence[Reached]]
) -> tuple[tuple[Advice, ...], ...]:
    """The warnings about each environment, in their order. ``reached`` is what their sources answered, if asked."""
    shared = advise_together(environments)
    return tuple(
        with_silences(
            settings,
            [*advise(settings, facts), *theirs, *clocks_that_differ(settings, _clocks(answers))],
            _judged(facts, together=len(environments) > 1),
        )
        for (settings, facts), theirs, answers in zip(environments, shared, reached, strict=True)
    )


def lines(advice: Advice) -> Iterator[str]:
    """A warning for people."""
    yield f"\n  {advice.code.value} {advice.place.file}: {advice.place.path}"
    yield f"    {advice.message}"
    yield f"    remedy: {advice.remedy}"
    yield f"    about: {advice.about}"


def described(advice: Advice) -> dict[str, Any]:
    """A warning for programs."""
    return {
        "code": advice.code.value,
        "file": advice.place.file,
        "path": advice.place.path,
        "about": advice.about,
        "message": advice.message,
        "remedy": advice.remedy,
        "silenced": advice.silenced,
    }


def _clocks(answers: Sequence[Reached]) -> dict[str, int]:
    return {each.source: each.ahead for each in answers if each.ahead is not None}


def _judged(facts: Facts, *, together: bool) -> frozenset[Code]:
    """The codes of everything that was looked for: a warning that could not be found is not missed."""
    judged = set(Code) - {Code.CLOCKS_DIFFER}  # clocks come and go
    if not together:
        judged -= _TOGETHER
    if any(key.fingerprint is None for key in facts.master_keys):
        judged -= {Code.MASTER_KEY_READABLE, Code.MASTER_KEY_SHARED}
    return frozenset(judged)
