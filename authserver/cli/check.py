"""``authserver check``: everything that is wrong with a configuration, and whether the rules decide as expected."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click

from authserver.cli.configuration import EX_CONFIG, json_option
from authserver.errors import ConfigurationError, Problem
from authserver.policy.expect import Verdict
from authserver.settings import load

USUAL_FILE: Final = Path("config/authserver.toml")
"""The file that is meant when none is named and AUTHSERVER_CONFIG is not set."""

EXPECTATION_FAILED: Final = 1


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found out about one file. ``environment`` is None for one that does not load."""

    file: Path
    environment: str | None
    problems: tuple[Problem, ...] = ()
    verdicts: tuple[Verdict, ...] = ()

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The policy tests whose decision was not the expected one."""
        return tuple(verdict for verdict in self.verdicts if not verdict.passed)


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path), envvar="AUTHSERVER_CONFIG")
@json_option
@click.pass_context
def check(context: click.Context, files: tuple[Path, ...], as_json: bool) -> None:
    """Report everything wrong with each FILE at once, and run its policy tests.

    Each FILE is the configuration of one environment. Without one, AUTHSERVER_CONFIG names it, or else it is
    config/authserver.toml.

    Exit codes: 0 all is well, 1 a policy test failed, 2 usage, 78 a configuration cannot be used.
    """
    if not files and not USUAL_FILE.exists():
        raise click.UsageError(f"No FILE was named, AUTHSERVER_CONFIG is not set, and there is no {USUAL_FILE}.")
    checked = [check_file(file) for file in files or (USUAL_FILE,)]
    click.echo(_document(checked) if as_json else "\n".join(line for each in checked for line in _lines(each)))
    context.exit(exit_code(checked))


def check_file(file: Path) -> Checked:
    """Load one configuration, and run its policy tests if it can be used."""
    try:
        settings = load(file)
    except ConfigurationError as error:
        return Checked(file, None, problems=error.problems)
    policy = settings.policy()
    verdicts = tuple(expectation.run(policy) for expectation in settings.expectations)
    return Checked(file, settings.server.environment, verdicts=verdicts)


def exit_code(checked: Iterable[Checked]) -> int:
    """The worst of what was found: a configuration that cannot be used is worse than a policy test that failed."""
    results = tuple(checked)
    if any(each.problems for each in results):
        return EX_CONFIG
    return EXPECTATION_FAILED if any(each.failed for each in results) else 0


def _lines(checked: Checked) -> Iterable[str]:
    yield f"{checked.file}: {_summary(checked)}"
    for problem in checked.problems:
        yield f"\n  {problem.file}: {problem.path}" if problem.path else f"\n  {problem.file}"
        yield f"    {problem.message}"
        yield f"    remedy: {problem.remedy}"
    for verdict in checked.failed:
        yield f"\n  expect {verdict.expectation.name!r}"
        yield f"    expected: {_decision(verdict.expectation.allowed)}"
        yield f"    decided:  {verdict.explanation}"


def _summary(checked: Checked) -> str:
    if checked.problems:
        return _count(len(checked.problems), "problem")
    tests = _count(len(checked.verdicts), "policy test")
    return f"environment {checked.environment}, {tests}, {len(checked.failed)} failed"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _document(checked: Iterable[Checked]) -> str:
    files = [
        {
            "file": str(each.file),
            "environment": each.environment,
            "problems": [asdict(problem) for problem in each.problems],
            "expectations": [_expectation(verdict) for verdict in each.verdicts],
        }
        for each in checked
    ]
    return json.dumps({"files": files}, indent=2)


def _expectation(verdict: Verdict) -> dict[str, Any]:
    return {
        "name": verdict.expectation.name,
        "passed": verdict.passed,
        "expected": _decision(verdict.expectation.allowed),
        "decided": _decision(verdict.reason is None),
        "reason": verdict.reason,
        "explanation": verdict.explanation,
    }


def _decision(allowed: bool) -> str:
    return "allow" if allowed else "deny"
