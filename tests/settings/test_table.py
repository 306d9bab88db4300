"""Durations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.table import Mistake, seconds, spelled


@pytest.mark.parametrize(
    ("text", "expected"), [("0s", 0), ("30s", 30), ("5m", 300), ("1h", 3600), ("30d", 2592000), ("007s", 7)]
)
def test_a_duration_is_a_whole_number_with_its_unit(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "value", ["", "30", "s", "-1s", "1.5h", "1h30m", "1 h", "1H", "30s\n", "\u0663s", "1w", 60, 1.5, True, None]
)
def test_anything_else_is_no_duration(value: object) -> None:
    with pytest.raises(Mistake):
        seconds(value)


@given(st.integers(min_value=0, max_value=10**9 - 1))
def test_a_duration_is_spelled_so_that_it_reads_the_same(duration: int) -> None:
    assert seconds(spelled(duration)) == duration


@pytest.mark.parametrize(("duration", "text"), [(0, "0s"), (61, "61s"), (90 * 60, "90m"), (86400, "1d"), (7200, "2h")])
def test_a_duration_is_spelled_in_its_largest_unit(duration: int, text: str) -> None:
    assert spelled(duration) == text
