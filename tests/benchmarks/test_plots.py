"""Plots are whole documents, show what they are given, and are told in words as well."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.plots import COLOURS, MARKERS, WIDTH, Axis, Bar, Bars, Lines, short, step

NAME = "{http://www.w3.org/2000/svg}"
LINES = Lines("A & B", "connections", "a second", {"ours": [(1, 10), (8, 40)], "<theirs>": [(1, 5), (8, 20)]})
BARS = Bars("Costs", "µs", [Bar("ours", 10, 9, 12, ours=True), Bar("theirs", 40, 38, 41), Bar("nearly", -1, -3, 2)])


@pytest.mark.parametrize("chart", [LINES, BARS])
def test_a_plot_is_a_document_with_a_title_and_a_description_for_who_cannot_see_it(chart: Lines | Bars) -> None:
    svg = ElementTree.fromstring(chart.svg())
    named = svg.attrib["aria-labelledby"].split()
    assert svg.attrib["role"] == "img"
    assert [svg.find(f".//*[@id='{name}']").tag for name in named] == [NAME + "title", NAME + "desc"]  # type: ignore[union-attr]
    assert "ours" in svg.findtext(NAME + "desc", "")


@pytest.mark.parametrize("chart", [LINES, BARS])
def test_the_same_figures_make_the_same_bytes_and_need_nothing_from_elsewhere(chart: Lines | Bars) -> None:
    assert chart.svg() == chart.svg()
    assert re.findall(r"(?:href|src|url|@import|<script)", chart.svg()) == []
    assert len(chart.svg()) < 5000


def test_every_value_is_told_in_words() -> None:
    assert "ours: 10 at 1, 40 at 8. &lt;theirs&gt;: 5 at 1, 20 at 8." in LINES.svg()
    assert "In µs: ours 10, theirs 40, nearly -1." in BARS.svg()


def test_a_line_goes_through_its_points_in_order_whatever_order_they_came_in() -> None:
    backwards = Lines(LINES.title, LINES.x, LINES.y, {name: points[::-1] for name, points in LINES.series.items()})
    assert re.findall(r' d="M[^"]*L', backwards.svg()) == re.findall(r' d="M[^"]*L', LINES.svg())


def test_what_grows_by_multiples_has_its_own_values_at_the_axis_and_other_things_round_ones() -> None:
    points = {"ours": [(237.0, 4.0), (438.0, 9.0)]}
    by_multiples, evenly = (Lines("A", "x", "y", points, axes).svg() for axes in ("x", "y"))
    assert [f">{x}<" in by_multiples for x in (237, 438, 400)] == [True, True, False]
    assert [f">{x}<" in evenly for x in (237, 438, 0, 400)] == [False, False, True, True]


def test_lines_differ_in_their_markers_and_not_in_colour_alone() -> None:
    assert len({mark(10, 10) for mark in MARKERS}) == len(MARKERS) == len(COLOURS)


@given(st.lists(st.floats(0.001, 1e9), min_size=2, unique=True), st.booleans())
def test_every_value_has_a_place_between_the_ends_of_its_axis(values: list[float], logarithmic: bool) -> None:
    axis = Axis.over(values, 300, 20, logarithmic=logarithmic, from_zero=True)
    assert all(20 - 1e-6 <= axis.place(value) <= 300 + 1e-6 for value in [*values, *axis.ticks()])
    places = [axis.place(value) for value in sorted(values)]
    assert places == sorted(places, reverse=True)


@given(st.floats(1e-3, 1e9))
def test_ticks_are_few_and_round(high: float) -> None:
    assert 2 <= high / step(high) <= 7
    assert re.fullmatch(r"[125]0*(\.0+)?|0\.0*[125]", f"{step(high):.10g}")


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.512, "0.512"), (62.34, "62.3"), (1234, "1,234"), (12345, "12.3k"), (1e6, "1M"), (-20.4, "-20.4")],
)
def test_values_are_said_in_three_figures(value: float, said: str) -> None:
    assert short(value) == said


def test_a_cost_below_zero_is_drawn_as_nothing_and_told_as_it_is() -> None:
    widths = [
        float(width) for width in re.findall(r'<rect class="\w+" x="320" y="[\d.]+" width="([\d.]+)"', BARS.svg())
    ]
    assert widths[2] < 1 < widths[0] < widths[1] < WIDTH
