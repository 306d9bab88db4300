"""What a device source says of enrolment, and how long the words of those who ask may be."""

from dataclasses import dataclass
from typing import Final, TypeGuard

LONGEST_TEXT: Final = 256
"""How many characters anything may have that an invitation or a device says of itself."""


@dataclass(frozen=True, slots=True)
class EnrollmentRules:
    """What one device source says of enrolment.

    ``code_lifetime`` is in seconds, and the longest that an invitation may ask for. ``enroll_with`` are the names of
    the sources whose ID tokens may enrol a device without an invitation. ``rekey`` says whether a device may replace
    its key. ``identity_sources`` are the names of all sources of identity tokens: any may be allowed to enrol one day.
    """

    max_per_owner: int
    code_lifetime: int
    enroll_with: tuple[str, ...]
    rekey: bool = True
    identity_sources: tuple[str, ...] = ()


def is_text(value: object) -> TypeGuard[str]:
    """Whether this is a string of 1 to :data:`LONGEST_TEXT` characters, all of them printable."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT and value.isprintable()
