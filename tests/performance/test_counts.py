"""What a token and a verification call, against what they called when ``benchmarks/counts.json`` was written.

Nothing here is timed, so nothing here depends on what else the machine does.
"""

import os
import re
import subprocess
import sys
from typing import Final

import pytest

from benchmarks import counts
from benchmarks.counts import Counts
from tests.house.tree import ROOT

BASELINE: Final = counts.baseline()
REMEDY: Final = "If this is meant, write the baseline anew: python -m benchmarks.counts --write"

WASTEFUL: Final = """
import json, logging, sys
from authserver.policy.authorize import Policy
from authserver.resource import AccessTokenVerifier
from benchmarks import counts

def wasteful(method):
    def waste(*arguments, **named):
        {waste}
        return method(*arguments, **named)
    return waste

Policy.authorize = wasteful(Policy.authorize)
AccessTokenVerifier.verify = wasteful(AccessTokenVerifier.verify)
sys.exit(counts.main(["--json"]))
"""


def counted_by(*arguments: str) -> Counts:
    """What a process of its own counts: in this one coverage is measured, and other tests have warmed things up."""
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    environment = {**unmeasured, "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return counts.from_json(done.stdout)


@pytest.fixture(scope="module")
def found() -> Counts:
    """What is called now; skips where nothing can be compared with it."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    if python not in counts.PYTHONS:
        pytest.skip(f"nobody has seen yet that the counts hold for Python {python}: see benchmarks/counts.py")
    found = counted_by("-m", "benchmarks.counts", "--json")
    if found.libraries != BASELINE.libraries:
        pytest.skip(f"the baseline was counted with {BASELINE.libraries}, and here is {found.libraries}")
    return found


@pytest.mark.slow
def test_a_token_and_a_verification_call_no_more_and_no_less_than_they_did(found: Counts) -> None:
    differing = counts.differences(BASELINE, found)
    if differing:
        pytest.fail("\n\n".join([*differing, REMEDY]), pytrace=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("waste", "noticed"),
    [
        ("json.loads('{}')", "JSON texts read: "),
        ("json.dumps({})", "JSON texts written: "),
        ("logging.getLogger('authserver').debug('looked at')", "log calls: "),
    ],
)
def test_one_needless_call_of_what_is_dear_is_noticed_in_every_workload(
    found: Counts, waste: str, noticed: str
) -> None:
    wasted = counted_by("-c", WASTEFUL.format(waste=waste))
    differing = counts.differences(found, wasted)
    assert len(differing) == len(BASELINE.workloads)
    assert all(noticed in text for text in differing)


def test_the_baseline_was_counted_with_the_libraries_of_the_lock() -> None:
    lock = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE))
    assert {name: lock.get(name.replace("_", "-")) for name in BASELINE.libraries} == BASELINE.libraries, REMEDY


def test_every_operation_that_is_watched_is_done_somewhere() -> None:
    """A name that no function has any more would watch over nothing."""
    done = [counts.operations(calls) for calls in BASELINE.workloads.values()]
    assert [name for name in counts.OPERATIONS if not any(each[name] for each in done)] == ["log calls"]


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"a:f": 100, "a:g": 2}, ""),
        ({"a:f": 97, "a:g": 2}, "calls: 102 -> 99, more than 2% apart\n  -3 a:f"),
        ({"a:f": 101, "a:g": 2, "a:h": 3}, "calls: 102 -> 106, more than 2% apart\n  +3 a:h\n  +1 a:f"),
        ({"a:f": 99, "a:g": 2, "posix.write()": 1}, "writes: 0 -> 1\n  -1 a:f\n  +1 posix.write()"),
    ],
)
def test_a_difference_says_what_grew_and_by_how_much(now: dict[str, int], said: str) -> None:
    text = counts.differs("a token", {"a:f": 100, "a:g": 2}, now)
    assert text == (f"a token:\n{said}" if said else "")


def test_a_workload_that_is_gone_or_new_is_a_difference() -> None:
    one = Counts({}, {"a": {"m:f": 3}})
    other = Counts({}, {"b": {"m:f": 3}})
    assert [text.partition(":")[0] for text in counts.differences(one, other)] == ["a", "b"]
    assert counts.differences(one, one) == []


def test_what_is_kept_is_read_the_same() -> None:
    assert counts.from_json(counts.as_json(BASELINE)) == BASELINE
