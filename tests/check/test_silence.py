"""Silenced warnings."""

import json
from pathlib import Path

from tests.check.build import run, text
from tests.settings.build import document, only_problem, write

SILENCE = 'code = "W102"\nabout = "allow.readers"\nreason = "the namespace is one team\'s"'


def silenced(directory: Path, silence: str = SILENCE) -> Path:
    """A configuration with a rule for several workloads, and a silence."""
    return write(directory, document({"[silence]": silence}))


def test_a_warning_leaves_the_exit_code_alone_unless_strict(tmp_path: Path) -> None:
    file = write(tmp_path, document())
    assert run(file).exit_code == 0
    result = run("--strict", file)
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"{file}: environment production, 1 policy test, 0 failed, 1 warning",
        "",
        f"  W102 {file}: allow[0]",
        "    may admit several workloads: its match does not come down to one",
        "    remedy: Give each a rule of its own, with one value for namespace and service_account,"
        " or service_account_uid, or pod_uid; or silence this, and say who they are.",
        "    about: allow.readers",
    ]


def test_a_silenced_warning_is_counted_and_not_printed(tmp_path: Path) -> None:
    file = silenced(tmp_path)
    result = run("--strict", file)
    assert (result.exit_code, result.output) == (
        0, f"{file}: environment production, 1 policy test, 0 failed, 0 warnings and 1 silenced\n")  # fmt: skip


def test_programs_see_the_reason(tmp_path: Path) -> None:
    (warning,) = json.loads(run("--json", silenced(tmp_path)).output)["files"][0]["warnings"]
    assert warning == {
        "code": "W102",
        "file": str(tmp_path / "authserver.toml"),
        "path": "allow[0]",
        "about": "allow.readers",
        "message": warning["message"],
        "remedy": warning["remedy"],
        "silenced": "the namespace is one team's",
    }


def test_a_silence_that_silences_nothing_is_a_warning(tmp_path: Path) -> None:
    file = write(tmp_path, text({"[silence]": SILENCE}))
    result = run("--strict", file)
    assert result.exit_code == 1
    assert f"  W901 {file}: silence[0]" in result.output
    assert "there is no warning W102 about 'allow.readers'" in result.output


def test_a_silence_is_for_one_thing_only(tmp_path: Path) -> None:
    output = run(silenced(tmp_path, SILENCE.replace("readers", "writers"))).output
    assert "W102" in output
    assert "W901" in output


def test_a_silence_may_stand_beside_its_rule(tmp_path: Path) -> None:
    write(tmp_path, f"[[silence]]\n{SILENCE}\n", "rules/r.toml")
    changes = {"server": 'issuer = "https://auth.example.com"\ninclude = ["rules/*.toml"]'}
    assert run("--strict", write(tmp_path, document(changes))).exit_code == 0


def test_a_silence_about_a_key_that_is_elsewhere_is_not_missed(tmp_path: Path) -> None:
    silence = SILENCE.replace("W102", "W301").replace("allow.readers", "keys.master_key")
    assert run("--strict", write(tmp_path, text({"[silence]": silence}))).exit_code == 0


def test_a_silence_needs_a_reason_and_a_warning_that_there_is(tmp_path: Path) -> None:
    def problem(old: str, new: str) -> tuple[str, str]:
        found = only_problem(tmp_path, {"[silence]": SILENCE.replace(old, new)})
        return found.path, found.message

    assert problem("the namespace is one team's", " ") == ("silence[0].reason", "must not be empty")
    assert problem("W102", "W999") == ("silence[0].code", "is not the code of a warning")
    assert problem('"W102"', "102") == ("silence[0].code", "is not the code of a warning")
    assert problem("W102", "W901") == ("silence[0].code", "cannot be silenced")
    assert problem('about = "allow.readers"', "") == ("silence[0].about", "is missing")
