"""We, PyJWT and joserfc read the same tokens: what only some believe is in a table, with the reason."""

from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from joserfc.util import urlsafe_b64decode

from authserver.jose.compact import base64url_decode
from tests import leaks
from tests.jose.differences import (
    ACCEPTED_HERE,
    REFUSED_HERE,
    Difference,
    Reading,
    unexplained,
)
from tests.jose.drafts import KEYS, Draft, Oddity, good
from tests.jose.oddities import ODDITIES
from tests.jose.peers import PEERS, ours
from tests.jose.strategies import bounded, changed

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")


def believers(token: str) -> frozenset[str]:
    """Who believes a token."""
    return frozenset(name for name, reader in {"authserver": ours, **PEERS}.items() if reader(token) is not None)


@pytest.mark.parametrize("kid", KEYS)
def test_a_good_token_is_believed_by_all_and_read_the_same(kid: str) -> None:
    token = leaks.handled(good(kid).written())
    assert len(believers(token)) == 3
    assert unexplained(token) == []


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.name)
def test_each_oddity_is_treated_alike_in_all_its_variants_and_every_difference_has_a_row(oddity: Oddity) -> None:
    """R59, R95"""
    tokens = [oddity.token(variant) for variant in oddity.variants]
    assert len(set(map(believers, tokens))) == 1
    assert [found for token in tokens for found in unexplained(token)] == []


@pytest.fixture(scope="module")
def differing() -> list[tuple[Reading, bool, set[str]]]:
    """The odd tokens that somebody reads otherwise than we do: the token, whether we believe it, and who differs."""
    tokens = [oddity.token(variant) for oddity in ODDITIES for variant in oddity.variants]
    readers = {token: believers(token) for token in tokens}
    believed = {token: "authserver" in names for token, names in readers.items()}
    others = {token: {name for name in PEERS if (name in readers[token]) != believed[token]} for token in tokens}
    return [(Reading.of(token), believed[token], others[token]) for token in tokens if others[token]]


@pytest.mark.parametrize("row", [*REFUSED_HERE, *ACCEPTED_HERE], ids=lambda row: row.what)
def test_each_row_is_true_of_some_token(differing: list[tuple[Reading, bool, set[str]]], row: Difference) -> None:
    """A row that no token needs any more, or that says too much of a library, is to be taken away."""
    seen = [others for token, believed, others in differing if believed == (row in ACCEPTED_HERE) and row.sees(token)]
    assert set().union(*seen) == set(row.otherwise)


@pytest.mark.slow
@bounded(1000)
@given(changed(st.sampled_from(sorted(KEYS)).map(good)))
def test_what_only_some_believe_is_in_the_tables_whatever_the_token(draft: Draft) -> None:
    """R59, R95"""
    note(str(draft))
    assert unexplained(draft.written()) == []


def decoded(decode: Callable[[str], bytes], text: str) -> bytes | None:
    """What a decoder makes of a text, or None if it refuses."""
    try:
        return decode(text)
    except ValueError:
        return None


@pytest.mark.parametrize("before", ["", "AB", "-_A"])
def test_base64url_is_decoded_exactly_as_joserfc_decodes_it(before: str) -> None:
    """R95: every pair of characters, where a text ends and in its midst."""
    for pair in product([*map(chr, range(0x80)), "\u00e9", "\uff21"], repeat=2):
        text = before + "".join(pair)
        assert decoded(base64url_decode, text) == decoded(lambda each: urlsafe_b64decode(each.encode("utf-8")), text), (
            text
        )
