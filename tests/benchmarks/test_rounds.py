"""What is told of rounds, and who begins them."""

import pytest

from benchmarks.rounds import Spread, turns


def test_the_median_stands_between_the_quartiles() -> None:
    assert Spread.of([5, 1, 4, 2, 3]) == Spread(median=3, low=2, high=4)


def test_a_single_round_is_its_own_quartiles() -> None:
    assert Spread.of([7.126]).as_json() == {"median": 7.13, "low": 7.13, "high": 7.13}


@pytest.mark.parametrize("rounds", [2, 4])
def test_whoever_is_first_is_so_for_half_of_the_rounds(rounds: int) -> None:
    order = list(turns(["a", "b", "c"], rounds))
    assert [name for number, name in order if number == 0] == ["a", "b", "c"]
    assert [name for number, name in order if number == 1] == ["c", "b", "a"]
    assert len(order) == 3 * rounds
