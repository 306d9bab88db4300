"""Where we and the others read a token differently, and why: the tables of docs/reference/differences.md.

A row is known by what it sees in a token. So a token that was changed at random and that only some believe must be seen
by a row, or a test fails: there is no difference that is not in the tables.
"""

import json
import math
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from authserver.jose.compact import MAX_BYTES, MAX_DEPTH
from tests.jose.peers import PEERS, Claims, ours

PYJWT: Final = ("PyJWT",)
JOSERFC: Final = ("joserfc",)
BOTH: Final = ("PyJWT", "joserfc")

REFUSED: Final = "refused"
ACCEPTED: Final = "accepted"


@dataclass
class Reading:
    """A token as a lenient reader sees it."""

    token: str
    raw: Sequence[bytes] = ()
    header: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)
    twice: bool = False
    constants: bool = False

    @classmethod
    def of(cls, token: str) -> "Reading":
        """Read a token, whatever is wrong with it."""
        reading = cls(token)
        parts = token.split(".")[:2]
        reading.raw = [urlsafe_b64decode(part.rstrip("=") + "=" * (-len(part.rstrip("=")) % 4)) for part in parts]
        reading.header, reading.claims = map(reading._object, reading.raw)
        return reading

    def values(self) -> Iterator[Any]:
        """Every value in it, and every name."""
        return _within([self.header, self.claims])

    def _object(self, raw: bytes) -> Mapping[str, Any]:
        value = json.loads(raw, object_pairs_hook=self._pairs, parse_constant=self._constant)
        return value if isinstance(value, dict) else {}

    def _pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self.twice |= len(dict(pairs)) < len(pairs)
        return dict(pairs)

    def _constant(self, text: str) -> float:
        self.constants = True
        return float(text)


def _within(value: Any) -> Iterator[Any]:
    yield value
    for each in [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _within(each)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return not raw.startswith(b"\xef\xbb\xbf") and b"\x00" not in raw


def _has_surrogate(value: Any) -> bool:
    return isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _times(reading: Reading) -> list[Any]:
    return [reading.claims[name] for name in ("exp", "nbf", "iat") if name in reading.claims]


@dataclass(frozen=True)
class Row:
    """What is odd, which libraries do otherwise than we do, and why we do as we do."""

    what: str
    otherwise: Sequence[str]
    why: str


@dataclass(frozen=True)
class Difference(Row):
    """A row about tokens, with what it sees in one."""

    sees: Callable[[Reading], bool] = field(repr=False)


REFUSED_HERE: Final = (
    Difference(
        "a member twice",
        BOTH,
        "Two readers may take different ones (RFC 8725 section 2.4).",
        lambda reading: reading.twice,
    ),
    Difference(
        "UTF-16, UTF-32, a byte order mark, or half of a surrogate pair in place of a character",
        BOTH,
        "JSON in a token is UTF-8 (RFC 7519 section 3, RFC 8259 section 8.1), so the same claims have one spelling.",
        lambda reading: not all(map(_is_utf8, reading.raw)),
    ),
    Difference(
        "half of a surrogate pair, escaped",
        BOTH,
        "It is no character, and could not be written into an audit line or a token.",
        lambda reading: any(map(_has_surrogate, reading.values())),
    ),
    Difference(
        "`NaN`, `Infinity`, or a number beyond any double",
        BOTH,
        "The first two are not JSON, and `1e400` is read as infinity: as an `exp`, it never comes.",
        lambda reading: (
            reading.constants or any(isinstance(each, float) and math.isinf(each) for each in reading.values())
        ),
    ),
    Difference(
        f"nesting deeper than {MAX_DEPTH}",
        BOTH,
        "No issuer nests so deep; who does wants to exhaust a parser.",
        lambda reading: max(_depth(reading.header), _depth(reading.claims)) > MAX_DEPTH,
    ),
    Difference(
        f"more than {MAX_BYTES // 1024} KiB",
        BOTH,
        "What is larger costs more than it can be worth before anything is verified. joserfc has limits of its own.",
        lambda reading: len(reading.token) > MAX_BYTES,
    ),
    Difference(
        "padding of base64url",
        PYJWT,
        "RFC 7515 section 2 has none. With it a token has several spellings, and is used once in each.",
        lambda reading: "=" in reading.token,
    ),
    Difference(
        "`crit` that names nothing, or what everybody knows",
        JOSERFC,
        "RFC 7515 section 4.1.11 forbids both. We know no extension, so any `crit` is refused.",
        lambda reading: "crit" in reading.header,
    ),
    Difference(
        "`b64` that is true",
        BOTH,
        "RFC 7797 is not known here, and JWTs must not use it (RFC 7797 section 7).",
        lambda reading: "b64" in reading.header,
    ),
    Difference(
        "another `typ` than is expected, such as `at+jwt` for an identity",
        BOTH,
        "A token of one kind must not pass for one of another (RFC 8725 section 3.11).",
        lambda reading: str(reading.header.get("typ")).lower() not in ("jwt", "application/jwt"),
    ),
    Difference(
        "a `typ` that is no string",
        PYJWT,
        "It is not the expected one.",
        lambda reading: not isinstance(reading.header.get("typ", ""), str | None),
    ),
    Difference(
        "several audiences, ours among them",
        BOTH,
        "A token for others as well can be used here by any of them (RFC 8725 section 3.9).",
        lambda reading: isinstance(reading.claims.get("aud"), list) and len(reading.claims["aud"]) > 1,
    ),
    Difference(
        "`exp`, `nbf` or `iat` in a string, or a boolean for `iat`",
        PYJWT,
        "A NumericDate is a JSON number (RFC 7519 section 2).",
        lambda reading: not all(map(_is_number, _times(reading))),
    ),
    Difference(
        "`exp`, `nbf` or `iat` that is negative or beyond 2**53",
        BOTH,
        "It is no time that a clock can show or a double can hold.",
        lambda reading: any(_is_number(each) and not 0 <= each <= 2**53 for each in _times(reading)),
    ),
    Difference(
        "an empty `sub`",
        PYJWT,
        "It names nobody.",
        lambda reading: reading.claims.get("sub") == "",
    ),
    Difference(
        "a `sub` that cannot be printed",
        BOTH,
        "It would be read otherwise in an audit log than it is compared.",
        lambda reading: isinstance(reading.claims.get("sub"), str) and not reading.claims["sub"].isprintable(),
    ),
)
"""What we refuse and at least one of the others accepts."""

ACCEPTED_HERE: Final = (
    Difference(
        "a `typ` that is null",
        JOSERFC,
        "It says as little as an absent one. Where one is asked for, it is refused.",
        lambda reading: "typ" in reading.header and reading.header["typ"] is None,
    ),
    Difference(
        "a header of more than 512 bytes",
        JOSERFC,
        f"Some issuers send certificates in it. The limit here is that of the token, {MAX_BYTES // 1024} KiB.",
        lambda reading: len(reading.token.partition(".")[0]) > 512,
    ),
    Difference(
        "`jku`, `jwk`, `x5u`, `x5c`, `x5t`, `x5t#S256` or `cty` of a wrong kind",
        JOSERFC,
        "Nothing reads them: keys come from where the configuration says.",
        lambda reading: bool({"jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "cty"} & reading.header.keys()),
    ),
    Difference(
        "a `jti` that is no string",
        BOTH,
        "It is read where it is used: of devices and in access tokens it must be a string, and another token that is "
        "accepted once is then known by all that was signed.",
        lambda reading: not isinstance(reading.claims.get("jti", ""), str),
    ),
)
"""What we accept and at least one of the others refuses, for a reason that does not matter."""


def unexplained(token: str) -> list[str]:
    """The differences in how this token is read that no row explains."""
    believed = ours(token)
    return [said for name, peer in PEERS.items() if (said := _unexplained(token, name, believed, peer(token)))]


def _unexplained(token: str, name: str, believed: Claims | None, theirs: Claims | None) -> str:
    if (believed is None) == (theirs is None):
        return "" if as_text(believed) == as_text(theirs) else f"{name} reads other claims"
    rows = REFUSED_HERE if believed is None else ACCEPTED_HERE
    reading = Reading.of(token)
    if any(name in row.otherwise and row.sees(reading) for row in rows):
        return ""
    return f"{name} {ACCEPTED if believed is None else REFUSED} what we did not"


def as_text(claims: Claims | None) -> str:
    """Claims so that two are equal if, and only if, all their values are, and of the same types."""
    return json.dumps(claims, sort_keys=True)


def table(rows: Sequence[Row], column: str) -> str:
    """Rows as a table of the page; ``column`` says what the libraries that do otherwise do."""
    lines = ["| what | PyJWT | joserfc | why |", "|---|---|---|---|"]
    for row in rows:
        said = " | ".join(column if name in row.otherwise else "" for name in BOTH)
        lines.append(f"| {row.what} | {said} | {row.why} |")
    return "\n".join(lines)
