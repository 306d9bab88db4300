"""Tokens at random: odd in several ways at once, with their JSON cut about, or with any JSON at all."""

import json
import os
from collections.abc import Callable
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st

from tests.jose.drafts import AUDIENCE, EXPIRES, ISSUER, NOW, Draft
from tests.jose.oddities import ODDITIES, PARTS

_FRAGMENTS: Final = tuple(
    b'"|,|:|{|}|[|]|\\|\\u0061|\\ud800|\xed\xa0\x80|\xef\xbb\xbf|\xff|\x00| |\n|-|.|0|1e400|NaN|Infinity|null|true|1.0'
    b'|"alg":"none"|"alg":"RS256"|"kid":"rsa"|"typ":"at+jwt"|"crit":[]|"b64":true|"exp":1|"aud":[]|"iss":""'.split(b"|")
)
_NAMES: Final = (
    "alg",
    "kid",
    "typ",
    "crit",
    "b64",
    "jwk",
    "cty",
    "iss",
    "aud",
    "sub",
    "exp",
    "nbf",
    "iat",
    "jti",
    "htm",
    "htu",
    "x",
)
_VALUES: Final = (
    "JWT",
    "ES256",
    "elliptic",
    ISSUER,
    AUDIENCE,
    "",
    NOW - 3600,
    EXPIRES,
    float(EXPIRES),
    str(EXPIRES),
    2**53 + 1,
    -1,
)
_ANYTHING: Final = st.recursive(
    st.sampled_from(_VALUES)
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=3),
    max_leaves=6,
)
_PLACE: Final = st.integers(0, 200)


@st.composite
def _odd(draw: st.DrawFn, drafts: st.SearchStrategy[Draft]) -> Draft:
    draft = draw(drafts)
    for oddity in draw(st.lists(st.sampled_from(ODDITIES), min_size=1, max_size=3, unique_by=lambda each: each.name)):
        oddity.apply(draft, draw(st.sampled_from(list(oddity.variants))))
    return draft


@st.composite
def _cut_about(draw: st.DrawFn, drafts: st.SearchStrategy[Draft]) -> Draft:
    draft = draw(drafts)
    edit = st.tuples(_PLACE, st.integers(0, 3), st.sampled_from(_FRAGMENTS) | st.binary(max_size=3))
    draft.encoded[draw(st.sampled_from(PARTS))] = _edited(draw(st.lists(edit, min_size=1, max_size=3)))
    return draft


@st.composite
def _arbitrary(draw: st.DrawFn, drafts: st.SearchStrategy[Draft]) -> Draft:
    draft = draw(drafts)
    for part in PARTS:
        changes = draw(st.dictionaries(st.sampled_from(_NAMES), _ANYTHING, max_size=2))
        for name, value in changes.items():
            draft.put(part, name, json.dumps(value))
    return draft


def _edited(edits: list[tuple[int, int, bytes]]) -> Callable[[bytes], bytes]:
    def edit(raw: bytes) -> bytes:
        for place, removed, put in edits:
            place %= len(raw) + 1
            raw = raw[:place] + put + raw[place + removed :]
        return raw

    return edit


def changed(drafts: st.SearchStrategy[Draft]) -> st.SearchStrategy[Draft]:
    """Good drafts made odd, cut about, or given any values, before they are signed."""
    return _odd(drafts) | _cut_about(drafts) | _arbitrary(drafts)


MORE: Final = int(os.environ.get("AUTHSERVER_DIFFERENTIAL", "0"))
"""So many random examples, each time others. Without it a run has the same few as every other."""


def bounded(few: int) -> settings:
    """So few examples, always the same; or many, where that was asked for."""
    return settings(deadline=None, derandomize=not MORE, database=None, max_examples=MORE or few)
