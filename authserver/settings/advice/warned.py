"""One warning."""

from dataclasses import dataclass

from authserver.settings.report import Place
from authserver.settings.silence import Code


@dataclass(frozen=True, slots=True)
class Advice:
    """A warning: where, about what, what is the matter, and what to do.

    ``about`` stays the same when lines move: ``allow.`` and a rule's name, ``resources.`` or ``sources.`` and a name,
    or the path of a setting. ``silenced`` is the reason why it does not matter here, None when nobody gave one.
    """

    code: Code
    place: Place
    about: str
    message: str
    remedy: str
    silenced: str | None = None
