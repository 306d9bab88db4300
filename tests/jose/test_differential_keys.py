"""We, PyJWT and joserfc make keys of the same JWKs: what only some take is in a table, with the reason."""

from collections.abc import Collection, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.jose.key_differences import KEYS_ACCEPTED_HERE, KEYS_REFUSED_HERE, KeyDifference
from tests.jose.key_oddities import GOOD, KEY_ODDITIES, KeyOddity
from tests.jose.key_peers import PEERS, ours
from tests.jose.strategies import bounded

pytestmark = pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")

Rows = Sequence[KeyDifference]


def differing(jwk: dict[str, Any]) -> set[str]:
    """Who takes this key and we do not, or the other way round; all that take it make the same key of it."""
    made = ours(jwk)
    theirs = {name: peer(jwk) for name, peer in PEERS.items()}
    if made is not None:
        assert {key[0] for key in theirs.values() if key is not None} <= {made[0]}
        assert {key[1] for key in theirs.values() if key is not None and key[1]} <= {made[1]}, "another thumbprint"
    return {name for name, key in theirs.items() if (key is None) != (made is None)}


def expected(oddities: Collection[str], jwk: dict[str, Any]) -> set[str]:
    """Who may differ about a key with these oddities."""
    rows: Rows = KEYS_REFUSED_HERE if ours(jwk) is None else KEYS_ACCEPTED_HERE
    return {name for row in rows if not set(oddities).isdisjoint(row.oddities) for name in row.otherwise}


@pytest.mark.parametrize("oddity", KEY_ODDITIES, ids=lambda oddity: oddity.name)
def test_who_takes_an_odd_key_is_as_the_tables_say(oddity: KeyOddity) -> None:
    for jwk in oddity.examples():
        assert differing(jwk) == expected([oddity.name], jwk)


def test_every_good_key_is_taken_by_all() -> None:
    assert all(ours(jwk) is not None for jwk in GOOD.values())
    assert all(peer(jwk) is not None for jwk in GOOD.values() for peer in PEERS.values())


@pytest.mark.parametrize("row", [*KEYS_REFUSED_HERE, *KEYS_ACCEPTED_HERE], ids=lambda row: row.what)
def test_each_row_is_about_oddities_that_are_tried(row: KeyDifference) -> None:
    """And about keys that we treat as the row's table says."""
    tried = {oddity.name: oddity for oddity in KEY_ODDITIES}
    keys = [jwk for name in row.oddities for jwk in tried[name].examples()]
    assert all((ours(jwk) is not None) == (row in KEYS_ACCEPTED_HERE) for jwk in keys)


@st.composite
def odd_keys(draw: st.DrawFn) -> tuple[list[str], dict[str, Any]]:
    """A key that is odd in up to three ways at once, and their names."""
    kind = draw(st.sampled_from(sorted(GOOD)))
    fitting = [oddity for oddity in KEY_ODDITIES if kind in oddity.kinds]
    chosen = draw(st.lists(st.sampled_from(fitting), max_size=3))
    jwk = dict(GOOD[kind])
    applied = []
    for oddity in chosen:
        change = draw(st.sampled_from(list(oddity.variants)))
        try:
            jwk = change(jwk)
        except (KeyError, TypeError, ValueError, IndexError):
            continue  # what one oddity changes another has taken away
        applied.append(oddity.name)
    return applied, jwk


@pytest.mark.slow
@bounded(500)
@given(odd_keys())
def test_who_takes_a_key_that_is_odd_in_several_ways_is_as_the_tables_say(
    odd: tuple[list[str], dict[str, Any]],
) -> None:
    oddities, jwk = odd
    assert differing(jwk) <= expected(oddities, jwk)
