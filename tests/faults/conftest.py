"""What the faults happen to."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from authserver.testing import FakeIssuer
from tests.faults.crowd import begin
from tests.faults.nodes import Clock, Node, configure
from tests.faults.page import FAULTS, VARIABLE, Record, document
from tests.faults.site import Site
from tests.faults.traffic import Counts


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """The time, unless a node has a clock of its own."""
    return Clock(tmp_path / "clock")


@pytest.fixture
def cluster(clock: Clock) -> Iterator[FakeIssuer]:
    """The issuer of identities."""
    with FakeIssuer(clock=clock) as issuer:
        yield issuer


@pytest.fixture
def alone(tmp_path: Path, cluster: FakeIssuer, clock: Clock) -> Iterator[Node]:
    """One node with a SQLite store, and two processes."""
    with Node(configure(tmp_path / "node", cluster=cluster.issuer, workers=2), clock) as node:
        yield node


@pytest.fixture
def site(alone: Node, cluster: FakeIssuer, clock: Clock) -> Site:
    """The same, as callers see it."""
    site = Site(alone.url, [alone.url], cluster, clock)
    begin(site)
    return site


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Where the counts of a test go that make a row of the table."""

    def write(counts: Counts) -> None:
        assert counts.done, "nothing was ever done"
        name = request.node.originalname.removeprefix("test_").replace("_", " ")
        assert name in FAULTS
        if VARIABLE in os.environ:
            folder = Path(os.environ[VARIABLE])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.json").write_text(json.dumps(document(counts)), "utf-8")

    return write
