"""Alert rules and dashboard: every metric and every label they name is one that the server has."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
import yaml

from authserver.telemetry.catalogue import CATALOGUE
from tests.house.tree import ROOT

RULES: Final[list[dict[str, Any]]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy" / "prometheus-alerts.yaml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
DASHBOARD: Final[dict[str, Any]] = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text("utf-8"))
HOW_TO: Final = (ROOT / "docs" / "how-to" / "monitor.md").read_text("utf-8")

SCRAPED: Final = frozenset(("job", "instance"))
"""Labels that Prometheus adds to everything it scrapes."""

SERIES: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(metric.labels) | SCRAPED | extra
    for metric in CATALOGUE
    for name, extra in (
        [(metric.name + "_bucket", {"le"}), (metric.name + "_sum", set()), (metric.name + "_count", set())]
        if metric.kind == "histogram"
        else [(metric.name, set())]
    )
}

FUNCTIONS: Final = frozenset(("absent", "count", "histogram_quantile", "increase", "max", "min", "rate", "sum"))
OPERATORS: Final = frozenset(("and", "by", "group_left", "ignoring", "on", "unless"))


def expressions() -> Iterator[tuple[str, str, str]]:
    """Where each expression stands, the expression, and the text for people beside it."""
    for rule in RULES:
        yield rule["alert"], rule["expr"], rule["annotations"]["summary"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


def series_of(expression: str) -> list[tuple[str, set[str]]]:
    """Each series that an expression selects, with the labels that it selects by."""
    found = re.findall(r"(\bauthserver_\w+)(?:\{([^}]*)\})?", expression)
    return [(name, set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", selector))) for name, selector in found]


def grouped_by(expression: str) -> set[str]:
    """The labels that an expression groups or joins by."""
    lists = re.findall(r"\b(?:by|on|ignoring) \(([^)]*)\)", expression)
    return {label.strip() for found in lists for label in found.split(",")}


@pytest.mark.parametrize(("where", "expression", "text"), list(expressions()))
def test_it_names_what_exists(where: str, expression: str, text: str) -> None:
    selected = series_of(expression)
    assert selected, where
    for name, labels in selected:
        assert labels <= SERIES[name], where
    known = frozenset[str]().union(*(SERIES[name] for name, _ in selected))
    assert grouped_by(expression) <= known, where
    assert set(re.findall(r"\$labels\.(\w+)", text)) <= known
    assert set(re.findall(r"\{\{(\w+)\}\}", text)) <= known
    without_strings = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\([\w, ]+\)', "", expression)
    assert set(re.findall(r"\b[a-z]\w+", without_strings)) - SERIES.keys() <= FUNCTIONS | OPERATORS, where


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {name for panel in DASHBOARD["panels"] for t in panel["targets"] for name, _ in series_of(t["expr"])}
    assert {metric.name for metric in CATALOGUE} == {name.removesuffix("_bucket") for name in shown}


def test_a_text_uses_only_labels_that_its_expression_keeps() -> None:
    for where, expression, text in expressions():
        used = set(re.findall(r"\$labels\.(\w+)|\{\{(\w+)\}\}", text)) - {("", "")}
        if re.search(r"\bby \(", expression):
            assert {one or other for one, other in used} <= grouped_by(expression), where


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    names = [rule["alert"] for rule in RULES]
    assert len(set(names)) == len(names)
    assert set(re.findall(r"^### (Authserver\w+)", HOW_TO, re.MULTILINE)) == set(names)
    for rule in RULES:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["for"]


def test_the_panels_are_numbered_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
