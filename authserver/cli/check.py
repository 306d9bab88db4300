"""``authserver check``: everything that is wrong with a configuration, and whether the rules decide as expected."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

import click

from authserver.cli import audit_report, online, warnings
from authserver.cli.audit_log import Event, audit_log_option, events
from authserver.cli.configuration import EX_CONFIG, json_option
from authserver.cli.facts import facts
from authserver.errors import ConfigurationError, Problem
from authserver.policy.expect import Verdict
from authserver.settings import Settings, load
from authserver.settings.advice import Advice

USUAL_FILE: Final = Path("config/authserver.toml")
"""The file that is meant when none is named and AUTHSERVER_CONFIG is not set."""

FAILED: Final = 1


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found out about one file. ``settings`` is None for one that does not load."""

    file: Path
    settings: Settings | None
    problems: tuple[Problem, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    warnings: tuple[Advice, ...] = ()
    reached: tuple[online.Reached, ...] = ()
    audited: tuple[audit_report.Report, ...] = ()

    @property
    def environment(self) -> str | None:
        """What the environment is called."""
        return self.settings.server.environment if self.settings else None

    @property
    def failed(self) -> tuple[Verdict, ...]:
        """The policy tests whose decision was not the expected one."""
        return tuple(verdict for verdict in self.verdicts if not verdict.passed)

    @property
    def unreached(self) -> tuple[online.Reached, ...]:
        """The sources whose keys could not be had."""
        return tuple(each for each in self.reached if each.cause is not None)

    @property
    def unheeded(self) -> tuple[Advice, ...]:
        """The warnings that nobody gave a reason to ignore."""
        return tuple(each for each in self.warnings if each.silenced is None)


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path), envvar="AUTHSERVER_CONFIG")
@click.option("--online", "is_online", is_flag=True, help="Fetch the keys of every source too, and say what was found.")
@click.option("--strict", is_flag=True, help="Fail for warnings that are not silenced.")
@audit_log_option
@json_option
@click.pass_context
def check(
    context: click.Context,
    /,
    files: tuple[Path, ...],
    is_online: bool,
    strict: bool,
    audit_log: IO[bytes] | None,
    as_json: bool,
) -> None:
    """Report everything wrong with each FILE at once, warn of what may not be meant, and run its policy tests.

    With --audit-log, say which callers the rules in audit mode would have admitted.

    Each FILE is the configuration of one environment. Without one, AUTHSERVER_CONFIG names it, or else it is
    config/authserver.toml.

    Exit codes: 0 all is well, 1 a policy test failed, a source could not be reached, or with --strict there are
    warnings, 2 usage, 78 a configuration cannot be used.
    """
    if not files and not USUAL_FILE.exists():
        raise click.UsageError(f"No FILE was named, AUTHSERVER_CONFIG is not set, and there is no {USUAL_FILE}.")
    checked = with_warnings([check_file(file, is_online=is_online) for file in files or (USUAL_FILE,)])
    if audit_log is not None:
        checked = with_audit(checked, audit_log)
    click.echo(_document(checked) if as_json else "\n".join(line for each in checked for line in _lines(each)))
    context.exit(exit_code(checked, strict=strict))


def check_file(file: Path, *, is_online: bool = False) -> Checked:
    """Load one configuration; if it can be used, run its policy tests, and reach its sources if that is asked for."""
    try:
        settings = load(file)
    except ConfigurationError as error:
        return Checked(file, None, problems=error.problems)
    policy = settings.policy()
    verdicts = tuple(expectation.run(policy) for expectation in settings.expectations)
    reached = online.reach(settings, clock=time.time) if is_online else ()
    return Checked(file, settings, verdicts=verdicts, reached=reached)


def with_warnings(checked: Sequence[Checked]) -> list[Checked]:
    """The same with the warnings about each environment, some of which only show when several are looked at."""
    environments = [(each.settings, facts(each.settings)) for each in checked if each.settings]
    found = iter(warnings.warnings(environments, [each.reached for each in checked if each.settings]))
    return [replace(each, warnings=next(found)) if each.settings else each for each in checked]


def with_audit(checked: Iterable[Checked], log: Iterable[bytes]) -> list[Checked]:
    """The same with what the rules in audit mode of each environment would have done, by the events in ``log``."""
    found = [event for event in events(log) if event.get("would_allow")]
    return [replace(each, audited=_audited(each.settings, found)) if each.settings else each for each in checked]


def _audited(settings: Settings, found: Iterable[Event]) -> tuple[audit_report.Report, ...]:
    rules = [rule.name for rule in settings.rules if not rule.enforced]
    return audit_report.report(found, settings.server.environment, rules)


def exit_code(checked: Iterable[Checked], *, strict: bool = False) -> int:
    """The worst of what was found: a configuration that cannot be used is worse than a policy test that failed."""
    results = tuple(checked)
    if any(each.problems for each in results):
        return EX_CONFIG
    failed = any(each.failed or each.unreached or (strict and each.unheeded) for each in results)
    return FAILED if failed else 0


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
    for advice in checked.unheeded:
        yield from warnings.lines(advice)
    for reached in checked.reached:
        yield from online.lines(reached)
    for report in checked.audited:
        yield from audit_report.lines(report)


def _summary(checked: Checked) -> str:
    if checked.problems:
        return _count(len(checked.problems), "problem")
    tests = _count(len(checked.verdicts), "policy test")
    found = [f"environment {checked.environment}, {tests}, {len(checked.failed)} failed"]
    if checked.warnings:
        silenced = len(checked.warnings) - len(checked.unheeded)
        found.append(_count(len(checked.unheeded), "warning") + (f" and {silenced} silenced" if silenced else ""))
    if checked.reached:
        reached = len(checked.reached) - len(checked.unreached)
        found.append(f"{reached} of {_count(len(checked.reached), 'source')} reached")
    return ", ".join(found)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _document(checked: Iterable[Checked]) -> str:
    files = [
        {
            "file": str(each.file),
            "environment": each.environment,
            "problems": [asdict(problem) for problem in each.problems],
            "expectations": [_expectation(verdict) for verdict in each.verdicts],
            "warnings": [warnings.described(advice) for advice in each.warnings],
            "online": [online.described(reached) for reached in each.reached],
            "audited": [audit_report.described(report) for report in each.audited],
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
