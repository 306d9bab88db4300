"""The page of differences has the tables that the differential tests hold us and the libraries to."""

from collections.abc import Sequence

import pytest

from tests.house.tree import ROOT
from tests.jose.differences import ACCEPTED, ACCEPTED_HERE, REFUSED, REFUSED_HERE, Row, table
from tests.jose.key_differences import KEYS_ACCEPTED_HERE, KEYS_REFUSED_HERE


@pytest.mark.parametrize(
    ("name", "rows", "column"),
    [
        ("refused", REFUSED_HERE, ACCEPTED),
        ("accepted", ACCEPTED_HERE, REFUSED),
        ("keys refused", KEYS_REFUSED_HERE, ACCEPTED),
        ("keys accepted", KEYS_ACCEPTED_HERE, REFUSED),
    ],
)
def test_the_page_has_each_table_as_it_is_tested(name: str, rows: Sequence[Row], column: str) -> None:
    page = (ROOT / "docs" / "reference" / "differences.md").read_text("utf-8")
    assert f"<!-- {name} -->\n{table(rows, column)}\n<!-- end -->" in page
