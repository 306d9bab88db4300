"""Running ``authserver explain``, with nothing of it in anybody's output but what it printed."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from authserver.cli.commands import authserver
from tests import leaks


def run(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
    """Run ``authserver`` with these arguments; it may not print a credential."""
    result = CliRunner().invoke(authserver, list(map(str, arguments)), input=stdin, env={"AUTHSERVER_CONFIG": None})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    leak = leaks.find(result.output)
    assert leak is None, f"the output holds {leak}"
    return result


def explained(configuration: Path, *arguments: str | Path, claims: Any = None, token: str | None = None) -> Any:
    """What ``explain --json`` says of a caller that asks for what ``arguments`` say."""
    by = ("--claims", "-") if token is None else ("--token", "-")
    stdin = json.dumps(claims) if token is None else token
    result = run("explain", "--config", configuration, *by, "--json", *arguments, stdin=stdin)
    assert result.exit_code in (0, 1), result.output
    document = json.loads(result.stdout)
    assert result.exit_code == (0 if document["decision"] == "allow" else 1)
    return document
