"""The page about scale says what ``benchmarks/scale.py`` reckons, and that reckons rightly."""

import re
from dataclasses import fields
from typing import Final

import pytest

from benchmarks import scale
from benchmarks.scale import MEASURED, TABLES
from tests.house.tree import ROOT

PAGE: Final = (ROOT / "docs" / "explanation" / "scale.md").read_text("utf-8")


@pytest.mark.parametrize("name", TABLES)
def test_each_table_of_the_page_is_the_one_that_is_reckoned(name: str) -> None:
    (shown,) = re.findall(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", PAGE, re.DOTALL)
    assert shown == scale.table(list(TABLES[name]()))


def test_everything_was_measured() -> None:
    assert all(getattr(MEASURED, field.name) > 0 for field in fields(MEASURED))


def test_cores_and_nodes_leave_room_for_a_peak_and_for_a_zone() -> None:
    assert scale.cores(600, 1000) == 1
    assert scale.cores(601, 1000) == 2
    assert scale.nodes(16) == 3
    assert scale.nodes(17) == 6
    for needed in (1, 15, 16, 17, 463):
        assert scale.nodes(needed) * (scale.ZONES - 1) / scale.ZONES * scale.CORES >= needed


def test_shards_are_as_many_as_memory_or_work_asks_for() -> None:
    assert scale.shards(0, 0) == 1
    assert scale.shards(scale.SHARD_BYTES * 10, 0.1) == 10
    assert scale.shards(scale.SHARD_BYTES * 10 + 1, 0.1) == 11
    assert scale.shards(0, 3.1) == 11


@pytest.mark.parametrize(("verifiers", "edges"), [(2000, 20), (500, 50), (300, 1)])
def test_the_formula_for_polls_agrees_with_a_simulation(verifiers: int, edges: int) -> None:
    asked, hits = scale.simulate(verifiers, edges, scale.MAX_AGE, 3600)
    assert asked == pytest.approx(scale.polls(scale.MAX_AGE), rel=0.1)
    assert 1 - hits == pytest.approx(1 - scale.hit_rate(verifiers, edges, scale.MAX_AGE), rel=0.1)


@pytest.mark.parametrize(("count", "said"), [(0, "0 bytes"), (999, "999 bytes"), (1895, "1.9 kB"), (1.9e11, "190 GB")])
def test_sizes_are_said_as_people_read_them(count: float, said: str) -> None:
    assert scale.size(count) == said
