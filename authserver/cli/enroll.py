"""``authserver enroll``: this laptop or host gets a key of its own that a server knows.

Needs the extra ``cli`` and nothing of the server.
"""

import json
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, Final

import click

from authserver.cli.issuer import issuer_option
from authserver.cli.output import fail, json_option
from authserver.client import (
    AuthorizationServer,
    CallFailed,
    Enrollment,
    EnrollmentRecord,
    Introduction,
    Registration,
)
from authserver.client import enroll as enroll_here
from authserver.client.device_key import ALGORITHMS
from authserver.client.failures import CallRefused, NoAnswer
from authserver.client.key_places import FILE, KEYRING

_LONGEST_CODE: Final = 16 * 1024
_BYTES: Final = click.File("rb")  # and decoded below: what is no text is no code, and refused as such


@click.command()
@issuer_option
@click.option("--code-file", type=_BYTES, metavar="FILE", help="Holds the enrolment code; - is standard input.")
@click.option("--id-token-file", type=_BYTES, metavar="FILE", help="Holds your ID token, in place of a code.")
@click.option("--name", metavar="NAME", help="What people will call this machine.  [default: its host name]")
@click.option("--source", metavar="NAME", help="The server's device source, where an ID token would fit several.")
@click.option("--keyring", is_flag=True, help="Keep the key in the operating system's keyring, not in a file.")
@click.option("--algorithm", type=click.Choice(ALGORITHMS), help="What the key signs with.  [default: ES256]")
@click.option("--rotate", is_flag=True, help="Put a new key in the place of the enrolled one.")
@click.option("--remove", is_flag=True, help="Delete the enrolment, at the server and here.")
@click.option("--show", is_flag=True, help="Show the enrolment, and whether the server still knows it.")
@json_option
def enroll(
    issuer: str,
    code_file: BinaryIO | None,
    id_token_file: BinaryIO | None,
    name: str | None,
    source: str | None,
    keyring: bool,
    algorithm: str | None,
    rotate: bool,
    remove: bool,
    show: bool,
    as_json: bool,
) -> None:
    """Enrol this machine at a server, with a code from its operator.

    The code is asked for on the terminal, or read from a file or from standard input; it is never an argument. Run the
    same again with the same code if the answer was lost.
    """
    given = {"--code-file": code_file, "--id-token-file": id_token_file, "--name": name, "--source": source}
    _one_thing({"--rotate": rotate, "--remove": remove, "--show": show}, {**given, "--keyring": keyring}, algorithm)
    with _failures():
        server, record = AuthorizationServer(issuer), EnrollmentRecord(issuer)
        registration = Registration(server, record)
        if show:
            _show(registration, record, as_json)
        elif rotate:
            _print(registration.rekey(algorithm), record, as_json)
        elif remove:
            registration.remove()
            _say({"removed": True}, f"This machine is no longer enrolled at {issuer}.", as_json)
        else:
            introduction = Introduction(name or socket.gethostname(), source)
            place, token = KEYRING if keyring else FILE, _initial_access_token(code_file, id_token_file)
            algorithm = algorithm or ALGORITHMS[0]
            _print(enroll_here(server, record, token, introduction, algorithm=algorithm, place=place), record, as_json)


def _one_thing(doings: Mapping[str, bool], enrolling: Mapping[str, object], algorithm: str | None) -> None:
    """:raises click.UsageError: the options ask for several things at once."""
    doing = [option for option, chosen in doings.items() if chosen]
    others = [option for option, value in enrolling.items() if value]
    if algorithm is not None and doing != ["--rotate"]:
        others.append("--algorithm")
    if len(doing) > 1 or (doing and others):
        raise click.UsageError(f"{doing[0]} does not go together with {', '.join([*doing[1:], *others])}.")
    if enrolling["--code-file"] and enrolling["--id-token-file"]:
        raise click.UsageError("Give either a code or an ID token.")


def _initial_access_token(code_file: BinaryIO | None, id_token_file: BinaryIO | None) -> str:
    file = code_file or id_token_file
    if file is None and sys.stdin.isatty():
        return str(click.prompt("Enrolment code", hide_input=True, err=True)).strip()
    raw = (file or sys.stdin.buffer).read(_LONGEST_CODE)
    token = raw.decode("utf-8", "replace").strip()
    if not token:
        raise click.UsageError("There is no enrolment code in what was read.")
    return token


def _show(registration: Registration, record: EnrollmentRecord, as_json: bool) -> None:
    try:
        registration.read()
        state = "known to the server"
    except CallRefused:
        state = "not known to the server, or revoked"
    except NoAnswer:
        state = "the server does not answer"
    _print(registration.current(), record, as_json, state)


def _print(known: Enrollment, record: EnrollmentRecord, as_json: bool, state: str = "known to the server") -> None:
    shown = {
        "issuer": known.issuer,
        "client_id": known.client_id,
        "client_name": known.name,
        "algorithm": known.key.algorithm,
        "thumbprint": known.key.thumbprint,
        "key": known.key.place,
        "directory": str(record.path),
        "state": state,
    }
    _say(shown, "\n".join(f"{label:<12} {value}" for label, value in shown.items()), as_json)


def _say(document: Mapping[str, Any], text: str, as_json: bool) -> None:
    click.echo(json.dumps(document) if as_json else text)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except CallFailed as failure:
        fail(str(failure))
