"""``authserver check``."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from authserver.cli.check import check
from tests.settings import build
from tests.settings.build import document, write

# Of one workload, so that there is nothing to warn of.
ONE = 'namespace = "media", service_account = "reader"'
RULE = build.RULE.replace('namespace = "media"', ONE)
EXPECT = build.EXPECT.replace('namespace = "media"', ONE)

EXAMPLE = Path(__file__).parents[2] / "config" / "authserver.toml"


def run(*arguments: str | Path, env: dict[str, str | None] | None = None) -> Result:
    environment = {"AUTHSERVER_CONFIG": None, **(env or {})}
    return CliRunner().invoke(check, [str(argument) for argument in arguments], env=environment)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write(tmp_path, document({"[allow]": RULE, "[expect]": EXPECT}), "good.toml")


@pytest.fixture
def failing(tmp_path: Path) -> Path:
    return write(tmp_path, document({"[allow]": RULE, "[expect]": EXPECT.replace('"allow"', '"deny"')}), "failing.toml")


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    return write(tmp_path, document({"[allow]": RULE.replace("match", "macht")}), "broken.toml")


def test_the_example_loads_as_it_stands_and_its_policy_tests_pass() -> None:
    result = run(EXAMPLE)
    assert result.exit_code == 0
    assert "environment production, 21 policy tests, 0 failed" in result.output


def test_a_good_configuration_is_exit_0(good: Path) -> None:
    result = run(good)
    assert (result.exit_code, result.output) == (0, f"{good}: environment production, 1 policy test, 0 failed\n")


def test_a_failed_policy_test_is_exit_1_and_shows_the_difference(failing: Path) -> None:
    result = run(failing)
    assert result.exit_code == 1
    assert result.output.splitlines()[2:] == [
        "  expect 'media reads'",
        "    expected: deny",
        "    decided:  allowed images:read, by 'readers'",
    ]


def test_a_configuration_that_cannot_be_used_is_exit_78_and_every_problem_is_printed(broken: Path) -> None:
    result = run(broken)
    assert result.exit_code == 78
    assert result.output.splitlines() == [
        f"{broken}: 1 problem",
        "",
        f"  {broken}: allow[0].macht",
        "    unknown key 'macht'; did you mean 'match'?",
        "    remedy: Write 'match', or remove it.",
    ]


def test_several_files_are_checked_and_the_worst_decides(good: Path, failing: Path, broken: Path) -> None:
    assert run(good, failing).exit_code == 1
    result = run(failing, broken, good)
    assert result.exit_code == 78
    assert all(str(path) in result.output for path in (good, failing, broken))


def test_json_says_the_same_to_programs(good: Path, failing: Path, broken: Path) -> None:
    result = run("--json", good, failing, broken)
    assert result.exit_code == 78
    first, second, third = json.loads(result.output)["files"]
    assert (first["file"], first["environment"], first["problems"]) == (str(good), "production", [])
    assert second["expectations"] == [
        {
            "name": "media reads",
            "passed": False,
            "expected": "deny",
            "decided": "allow",
            "reason": None,
            "explanation": "allowed images:read, by 'readers'",
        }
    ]
    assert third["problems"] == [
        {
            "file": str(broken),
            "path": "allow[0].macht",
            "message": "unknown key 'macht'; did you mean 'match'?",
            "remedy": "Write 'match', or remove it.",
        }
    ]


def test_the_environment_names_the_file_too(good: Path) -> None:
    assert run(env={"AUTHSERVER_CONFIG": str(good)}).exit_code == 0


def test_the_usual_file_is_checked_when_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, document(), "config/authserver.toml")
    monkeypatch.chdir(tmp_path)
    result = run()
    assert (result.exit_code, result.output.partition(":")[0]) == (0, str(Path("config/authserver.toml")))


def test_no_file_at_all_is_a_mistake_of_usage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run().exit_code == 2
    assert run("--nonsense").exit_code == 2


def test_a_file_that_does_not_exist_is_a_problem_of_configuration(tmp_path: Path) -> None:
    assert run(tmp_path / "none.toml").exit_code == 78


def test_every_policy_test_of_the_example_is_needed(tmp_path: Path) -> None:
    """Without its rules, what the example expects to be allowed is denied, and `check` says so."""
    text = EXAMPLE.read_text("utf-8")
    for file in (EXAMPLE.parent / "policies").glob("*.toml"):
        cases = file.read_text("utf-8").partition("[[expect]]")
        write(tmp_path, cases[1] + cases[2], f"policies/{file.name}")
    result = run(write(tmp_path, text))
    assert result.exit_code == 1
    assert "21 policy tests, 10 failed" in result.output
    assert "denied, no rule is about this source and this resource" in result.output
