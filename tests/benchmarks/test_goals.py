"""The verdicts of the first table."""

from typing import Final

import pytest

from benchmarks.goals import GOALS, Check, Goal, figure, ratio, table

FIGURES: Final = {
    "one": {"a": {"median": 30.0, "low": 1.0, "high": 99.0}, "b": {"median": 10.0}, "none": {"median": 0.0}},
    "said": "1",
}
TIMES: Final = ratio(figure("one", "a"), figure("one", "b"))


@pytest.mark.parametrize(
    ("least", "most", "reached"),
    [(3.0, None, True), (3.1, None, False), (None, 3.0, True), (None, 2.9, False), (2.0, 4.0, True)],
)
def test_a_value_is_compared_with_its_bounds(least: float | None, most: float | None, reached: bool) -> None:
    assert Check("{:.1f} times", TIMES, least=least, most=most).reached(FIGURES) is reached


@pytest.mark.parametrize("path", [("two",), ("one", "c"), ("one", "a", "low", "x"), ("one",), ("said",)])
def test_what_is_not_there_was_not_measured(path: tuple[str, ...]) -> None:
    check = Check("{} µs", figure(*path), most=1)
    assert check.reached(FIGURES) is None
    assert check.told(FIGURES) == "not measured"


def test_a_value_that_is_no_spread_is_its_own_median() -> None:
    assert figure("one", "a", "low")(FIGURES) == 1


def test_there_is_no_ratio_to_nothing() -> None:
    assert ratio(figure("one", "a"), figure("one", "none"))(FIGURES) is None
    assert ratio(figure("one", "c"), figure("one", "a"))(FIGURES) is None


GOOD: Final = Check("{:.1f} times", TIMES, least=2)
BAD: Final = Check("{:.0f} µs", figure("one", "a"), most=29)
ABSENT: Final = Check("{:.0f} µs", figure("two"), most=29)


@pytest.mark.parametrize(
    ("checks", "verdict"),
    [
        ((GOOD,), "reached"),
        ((GOOD, BAD), "**missed**"),
        ((GOOD, ABSENT), "not measured"),
        ((ABSENT, BAD), "**missed**"),
    ],
)
def test_a_goal_is_reached_only_if_all_of_it_is(checks: tuple[Check, ...], verdict: str) -> None:
    assert Goal("what", "goal", checks).verdict(FIGURES) == verdict


def test_a_row_tells_every_value() -> None:
    assert Goal("what", "goal", (GOOD, BAD)).row(FIGURES) == "| what | goal | 3.0 times; 30 µs | **missed** |"


def test_without_figures_nothing_is_said_to_be_reached() -> None:
    lines = table({}).splitlines()
    assert len(lines) == 2 + len(GOALS)
    assert all(line.endswith("| not measured | not measured |") for line in lines[2:])
