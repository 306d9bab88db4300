"""docs/reference/metrics.md and the catalogue say the same."""

import re
from typing import Final

import pytest

from authserver.telemetry.catalogue import CATALOGUE, Metric
from authserver.telemetry.metrics import TOKEN_BUCKETS
from tests.house.tree import ROOT

REFERENCE: Final = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
ENTRIES: Final = dict(re.findall(r"^### `(authserver_\w+)`\n(.*?)(?=^##|\Z)", REFERENCE, re.MULTILINE | re.DOTALL))


def test_every_metric_has_its_entry_and_every_entry_its_metric() -> None:
    assert list(ENTRIES) == [metric.name for metric in CATALOGUE]


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_an_entry_says_the_type_and_the_labels(metric: Metric) -> None:
    entry = ENTRIES[metric.name]
    found = re.search(r"^- Type: (\w+)\n- Labels: (.*)$", entry, re.MULTILINE)
    assert found is not None
    assert found[1] == metric.kind
    assert re.findall(r"`(\w+)`", found[2]) == list(metric.labels)
    assert entry[found.end() :].strip()


def test_every_label_is_explained_with_its_closed_set() -> None:
    explained = re.findall(r"^\| `(\w+)` \|", REFERENCE, re.MULTILINE)
    assert set(explained) == {label for metric in CATALOGUE for label in metric.labels}
    assert len(explained) == len(set(explained))


def test_the_buckets_are_those_that_are_used() -> None:
    assert ", ".join(map(str, TOKEN_BUCKETS)) in REFERENCE.replace("\n", " ")
