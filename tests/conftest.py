"""Fixtures for every test, and the rule that no test may leak a credential."""

from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from tests import leaks

# How long an example takes says how busy the machine is, and nothing about the example.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


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
