"""What is a table, a table of tables, and a list of tables."""

from pathlib import Path

import pytest

from tests.settings.build import SERVER, document, problems, write


@pytest.mark.parametrize("name", ["allow", "expect"])
def test_rules_and_policy_tests_need_two_brackets(tmp_path: Path, name: str) -> None:
    text = document().replace(f"[[{name}]]", f"[{name}]")
    (problem,) = problems(write(tmp_path, text))
    assert (problem.path, problem.message) == (name, "must be a list of tables")
    assert problem.remedy == f"Write [[{name}]], with two brackets."


@pytest.mark.parametrize("name", ["resources", "sources"])
def test_a_resource_or_source_is_a_table(tmp_path: Path, name: str) -> None:
    (problem,) = problems(write(tmp_path, f"[server]\n{SERVER}\n[{name}]\nx = 1\n"))
    assert (problem.path, problem.message) == (f"{name}.x", "must be a table")


@pytest.mark.parametrize("name", ["resources", "sources"])
def test_resources_and_sources_are_named(tmp_path: Path, name: str) -> None:
    (problem,) = problems(write(tmp_path, f"[server]\n{SERVER}\n[[{name}]]\n"))
    assert (problem.path, problem.remedy) == (name, f"Write [{name}.some-name].")
