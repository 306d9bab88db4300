"""Files that cannot be read, and what an included file may hold."""

from pathlib import Path

import pytest

from tests.settings.build import RULE, SERVER, document, problems, write


def test_a_missing_file_is_one_problem(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path / "none.toml")
    assert (problem.file, problem.path) == (str(tmp_path / "none.toml"), "")
    assert problem.message == "cannot be read: No such file or directory"


def test_a_directory_is_one_problem(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path)
    assert problem.message == "cannot be read: Is a directory"


def test_a_mistake_of_syntax_is_one_problem_with_its_line(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, "[server]\nissuer = \n"))
    assert problem.message == "is not TOML: Invalid value (at line 2, column 10)"


def test_a_key_twice_is_a_mistake_of_syntax(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, f"[server]\n{SERVER}\n{SERVER}\n"))
    assert problem.message.startswith("is not TOML: Cannot overwrite a value")


def test_nesting_without_end_is_a_mistake_of_syntax(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, "a = " + "[" * 10_000))
    assert problem.message.startswith("is not TOML")


def test_a_file_that_is_not_utf_8_is_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "authserver.toml"
    path.write_bytes(b'[server]\nissuer = "\xff"')
    (problem,) = problems(path)
    assert problem.message == "is not written in UTF-8"


@pytest.mark.parametrize("name", ["server", "sources.x", "resources.x", "keys"])
def test_an_included_file_has_only_rules_and_policy_tests(tmp_path: Path, name: str) -> None:
    included = write(tmp_path, f"[{name}]\n", "policies/x.toml")
    (problem,) = problems(write(tmp_path, document({"server": f'{SERVER}\ninclude = ["policies/*.toml"]'})))
    assert (problem.file, problem.path) == (str(included), name.partition(".")[0])
    assert "only [[allow]], [[expect]] and [[silence]]" in problem.remedy


def test_a_problem_in_an_included_file_names_that_file(tmp_path: Path) -> None:
    included = write(
        tmp_path, f"[[allow]]\n{RULE}\n[[allow]]\n{RULE.replace('readers', 'b')}\nmode = 1", "policies/x.toml"
    )
    found = problems(write(tmp_path, document({"server": f'{SERVER}\ninclude = ["policies/*.toml"]'})))
    assert [(each.file, each.path) for each in found] == [
        (str(included), "allow[1].mode"),
        (str(included), "allow[0].name"),
    ]


def test_an_included_file_that_cannot_be_parsed_hides_nothing_else(tmp_path: Path) -> None:
    included = write(tmp_path, "oops", "policies/x.toml")
    main = write(tmp_path, document({"server": 'include = ["policies/*.toml"]'}))
    assert [(each.file, each.path) for each in problems(main)] == [(str(included), ""), (str(main), "server.issuer")]
