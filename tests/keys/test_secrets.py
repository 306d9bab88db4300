"""Secrets are found where the configuration says, and never appear in an error."""

from pathlib import Path

import pytest

from authserver.errors import ConfigurationError
from authserver.keys.secrets import MAX_BYTES, SecretMissing, resolve
from authserver.table import SecretReference

WHERE = "sources.cluster.jwks.bearer_token"


def test_a_relative_file_is_found_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b" as it is\n")
    assert resolve(SecretReference(file="token"), config=tmp_path / "a.toml", where=WHERE) == b" as it is\n"


def test_an_absolute_file_is_found_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"secret")
    reference = SecretReference(file=str(tmp_path / "token"))
    assert resolve(reference, config=Path("/elsewhere/a.toml"), where=WHERE) == b"secret"


def test_a_variable_is_found_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET", "secret")
    assert resolve(SecretReference(env="SOME_SECRET"), config=Path("a.toml"), where=WHERE) == b"secret"


def test_what_is_not_there_yet_is_told_apart_and_named(tmp_path: Path) -> None:
    with pytest.raises(SecretMissing) as missing:
        resolve(SecretReference(file="token"), config=tmp_path / "a.toml", where=WHERE)
    (problem,) = missing.value.problems
    assert (problem.file, problem.path) == (str(tmp_path / "a.toml"), WHERE)
    assert str(tmp_path / "token") in problem.message


@pytest.mark.parametrize(("content", "says"), [(b" \n", "is empty"), (b"hunter2 " * MAX_BYTES, "is too large")])
def test_a_file_that_cannot_be_a_secret_is_refused_and_not_quoted(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigurationError, match=says) as wrong:
        resolve(SecretReference(file="token"), config=tmp_path / "a.toml", where=WHERE)
    assert "hunter2" not in str(wrong.value)


def test_what_can_be_no_file_is_a_clear_error(tmp_path: Path) -> None:
    for name in (".", "a\0b"):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            resolve(SecretReference(file=name), config=tmp_path / "a.toml", where=WHERE)
