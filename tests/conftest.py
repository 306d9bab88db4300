"""Fixtures for every test, and the rule that no test may leak a credential."""

import os
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

from tests import leaks

UNMEASURED: Final = (
    "client/test_through_a_restart.py",
    "faults/",
    "house/",
    "keys/test_crashes.py",
    "live/test_bound_api.py",
    "live/test_client_certificates.py",
    "live/test_crashes.py",
    "live/test_enrolment.py",
    "live/test_master_key.py",
    "live/test_replayed_proofs.py",
    "live/test_rotation.py",
    "live/test_taken_back.py",
    "openapi/",
    "resource/adapters/test_examples.py",
    "testing/test_plugin.py",
)
"""Where the programs that tests start do nothing but what other tests measure; measured they take twice as long."""

_MEASURING: Final = "COVERAGE_PROCESS_CONFIG"
"""What tells a program that coverage is to look at it."""

# How long an example takes says how busy the machine is, and nothing about the example.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def _in_turn(settrace: Callable[[Any], None]) -> Callable[[Any], None]:
    """``sys.settrace``, again and again until no other thread is at it, which CPython 3.11 takes for a mistake."""

    def patient(function: Any) -> None:
        for _ in range(1000):
            try:
                return settrace(function)
            except RuntimeError:
                time.sleep(0.001)
        return settrace(function)

    return patient


if _MEASURING in os.environ:  # every thread that begins is then traced
    sys.settrace = _in_turn(sys.settrace)


def pytest_xdist_auto_num_workers() -> int:
    """Three processes for two cores, because many of the slow tests wait for servers."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(2, cores * 3 // 2)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Keep coverage out of the programs that a test starts, where it would find nothing new."""
    place = item.path.relative_to(Path(__file__).parent).as_posix()
    measuring = os.environ.pop(_MEASURING, None) if place.startswith(UNMEASURED) else None
    try:
        return (yield)
    finally:
        if measuring is not None:
            os.environ[_MEASURING] = measuring


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, object, None]:
    """Fail any test in whose captured output a token, an assertion or key material appears."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()  # type: ignore[attr-defined]
    if report.when != "teardown":
        return
    captured = "\n".join(text for _, text in report.sections)
    leak = leaks.find(captured)
    leaks.forget()
    if leak is not None and report.outcome == "passed":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} leaked into its output: {leak}"
