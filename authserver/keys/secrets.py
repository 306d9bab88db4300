"""Finding the secrets that the configuration refers to. What they contain never appears in an error."""

import os
from pathlib import Path
from typing import Final

from authserver.errors import ConfigurationError, Problem
from authserver.table import SecretReference

MAX_BYTES: Final = 64 * 1024
"""The largest secret that is read, in bytes; a larger file is not a secret but a mistake."""


class SecretMissing(ConfigurationError):
    """There is nothing yet where a reference points."""


def resolve(reference: SecretReference, *, config: Path, where: str) -> bytes:
    """The secret's bytes as they are stored.

    ``config`` is the configuration file that the reference stands in, at the dotted path ``where``; a relative file
    is found beside it.

    :raises SecretMissing: there is no such file or variable.
    :raises ConfigurationError: it cannot be read, is empty, or is larger than :data:`MAX_BYTES`.
    """
    secret = _from_env(reference.env, config, where) if reference.env else _from_file(reference, config, where)
    if not secret.strip():
        raise ConfigurationError([_problem(config, where, f"{describe(reference, config)} is empty")])
    if len(secret) > MAX_BYTES:
        raise ConfigurationError([_problem(config, where, f"{describe(reference, config)} is too large")])
    return secret


def locate(reference: SecretReference, config: Path) -> Path | None:
    """The file that a reference names, or None when it names a variable."""
    return None if reference.file is None else config.parent / reference.file


def describe(reference: SecretReference, config: Path) -> str:
    """Where the secret is, in words fit for a message."""
    path = locate(reference, config)
    return f"the environment variable {reference.env}" if path is None else f"the file {path}"


def _from_env(name: str, config: Path, where: str) -> bytes:
    value = os.environb.get(os.fsencode(name))
    if value is None:
        message = f"the environment variable {name} is not set"
        raise SecretMissing([Problem(str(config), where, message, "Set it for this process")])
    return value


def _from_file(reference: SecretReference, config: Path, where: str) -> bytes:
    path = locate(reference, config) or config
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        problem = Problem(str(config), where, f"the file {path} does not exist", "Put it there, or correct the path")
        raise SecretMissing([problem]) from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else "it is no name for a file"
        message = f"the file {str(path)!r} cannot be read ({reason})"
        raise ConfigurationError([_problem(config, where, message)]) from error


def _problem(config: Path, where: str, message: str) -> Problem:
    return Problem(str(config), where, message, "Check what it refers to and who may read it")
