"""SPIFFE IDs, read in their one spelling.

https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md. Section 2.4 calls the scheme and the trust domain
case-insensitive, and section 2.1 forbids capital letters in what is issued. Here an identifier is what rules and
audit events name a caller by, so a second spelling of it is refused and never mended.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

SCHEME: Final = "spiffe://"
MAX_LENGTH: Final = 2048
"""The longest SPIFFE ID, in bytes (section 2.3)."""

_LONGEST_TRUST_DOMAIN: Final = 255  # section 2.3, from the host of RFC 3986
_TRUST_DOMAIN: Final = re.compile(rf"[a-z0-9._-]{{1,{_LONGEST_TRUST_DOMAIN}}}")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._-]+")
_RELATIVE: Final = frozenset((".", ".."))


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """A trust domain, and in it a path: empty for the trust domain itself, else with the slash that it begins with."""

    trust_domain: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a SPIFFE ID.

        :raises ValueError: it is none, or is not spelled as section 2 has it. The text is not repeated.
        """
        if len(text) > MAX_LENGTH or not text.startswith(SCHEME):
            raise ValueError("not a SPIFFE ID")
        trust_domain, slash, path = text.removeprefix(SCHEME).partition("/")
        check_trust_domain(trust_domain)
        if slash and not all(map(_is_segment, path.split("/"))):
            raise ValueError("not the path of a SPIFFE ID")
        return cls(trust_domain, slash + path)

    def __str__(self) -> str:
        return f"{SCHEME}{self.trust_domain}{self.path}"


def check_trust_domain(name: str) -> None:
    """Check the name of a trust domain (section 2.1).

    :raises ValueError: it is empty, too long, or has another character than small letters, digits, dots, dashes and
        underscores: a port, a user or a percent-encoding among them.
    """
    if _TRUST_DOMAIN.fullmatch(name) is None:
        raise ValueError("not the name of a trust domain")


def _is_segment(segment: str) -> bool:
    """Whether this may stand between two slashes (section 2.2)."""
    return _SEGMENT.fullmatch(segment) is not None and segment not in _RELATIVE
