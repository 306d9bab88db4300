"""The reference says what is there: no entry is missing, and none describes what does not exist."""

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click
import pytest

from authserver import client, errors, resource, testing
from authserver.cli.commands import authserver
from authserver.cli.reasons import meanings
from authserver.endpoints import respond
from authserver.endpoints.http import Request, Response
from authserver.errors import CallerNotAdmitted, CredentialRejected, NonceWanted, ProofRejected, Reason
from authserver.oauth import Grant
from authserver.resource import asgi, django, flask
from authserver.resource.verifier import VerifierOptions
from tests.house import requirement_map
from tests.house.reasons import raised
from tests.house.reference import FOLDER, code, entries, labelled, page, rows, sections, unlinked
from tests.house.tree import ROOT

REASONS: Final = {
    title: labelled(body)
    for group in sections(page("refusal-reasons"), 2).values()
    for title, body in sections(group, 3).items()
}
RAISED: Final = raised()
REQUEST: Final = Request("POST", "an-id", "127.0.0.1")
EXERCISED_BY: Final = "\n".join(
    file.read_text(encoding="utf-8")
    for file in sorted((ROOT / "tests").rglob("test_*.py"))
    if file.parent.name != "house"
)

BY_GRANT: Final = {
    "CredentialRejected": "rejected credential",
    "CallerNotAdmitted": "no rule",
    "ProofRejected": "bad proof",
    "NonceWanted": "nonce wanted",
}
ELSEWHERE: Final = {
    "CredentialMissing": "401 without an error code",
    "ScopeInsufficient": "403 `insufficient_scope`",
    "TooManyFailures": "429 `slow_down`",
    "Unavailable": "503 `temporarily_unavailable`",
    "self._record": "500 `server_error`",
}


def answer_to(class_name: str) -> str:
    """What the page must say that a caller sees of an error of this class."""
    if known := BY_GRANT.get(class_name) or ELSEWHERE.get(class_name):
        return known
    error = getattr(errors, class_name)(next(iter(Reason)))
    return spelled(respond.refused(REQUEST, error, None))


def spelled(response: Response) -> str:
    """A status and an error code as the pages spell them."""
    found = re.search(rb'"error":"(\w+)"', response.body)
    assert found is not None
    return f"{response.status} `{found[1].decode()}`"


# Every page


def test_the_reference_lists_every_page() -> None:
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", (FOLDER / "README.md").read_text(encoding="utf-8")))
    assert listed == {file.name for file in FOLDER.glob("*.md")} - {"README.md"}


# Refusal reasons


def test_every_reason_has_an_entry_and_every_entry_a_reason() -> None:
    assert list(REASONS) == [reason.value for reason in Reason]


def test_every_reason_is_raised_somewhere() -> None:
    assert set(Reason) - RAISED.keys() == set()


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_exercised_by_a_test(reason: Reason) -> None:
    assert re.search(rf"Reason\.{reason.name}\b|\"{reason.value}\"", EXERCISED_BY)


@pytest.mark.parametrize("reason", RAISED, ids=str)
def test_the_entry_of_a_reason_says_what_the_operator_and_the_caller_see(reason: Reason) -> None:
    entry, found = REASONS[reason.value], RAISED[reason]
    assert list(entry) == ["Meaning", "Answer", "Facts", "What to do"]
    told = set(code(entry["Facts"]))
    assert found.facts <= told
    if reason not in (Reason.KEYS_UNAVAILABLE, Reason.INTROSPECTION_UNAVAILABLE):  # these pass on a fetch's facts
        assert told == found.facts
    assert all(answer_to(name) in entry["Answer"] for name in found.classes)


@pytest.mark.parametrize("reason", Reason)
def test_the_entry_of_a_reason_and_explain_say_the_same(reason: Reason) -> None:
    entry, told = REASONS[reason.value], meanings()[reason.value]
    assert (told.meaning, told.remedy) == (unlinked(entry["Meaning"]), unlinked(entry["What to do"]))


def test_the_answers_that_depend_on_the_grant_are_those_that_are_given() -> None:
    table = {row[0]: row[1:4] for row in rows(sections(page("refusal-reasons"), 2)["Answers"])}
    for name, error in (
        ("rejected credential", CredentialRejected(Reason.EXPIRED)),
        ("no rule", CallerNotAdmitted(Reason.NO_RULE)),
        ("bad proof", ProofRejected(Reason.PROOF_MISSING)),
        ("nonce wanted", NonceWanted(Reason.NONCE_MISSING, nonce="a nonce")),
    ):
        assert table[name] == tuple(spelled(respond.refused(REQUEST, error, grant)) for grant in Grant)


# Command line


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """A command and everything below it, each with the words that call it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.commands or command.list_commands(context):  # in the order in which --help has them
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, f"{path} {name}")


COMMANDS: Final = dict(commands(authserver, "authserver"))


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    documented = list(sections(page("command-line"), 2))
    assert documented == ["Exit codes", *COMMANDS]


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_is_described_and_no_other(path: str) -> None:
    section = sections(page("command-line"), 2)[path]
    takes = {
        parameter.opts[0] if isinstance(parameter, click.Option) else (parameter.human_readable_name.strip("[].") or "")
        for parameter in COMMANDS[path].params
    }
    assert entries(section).keys() == takes
    required = {p.opts[0] for p in COMMANDS[path].params if isinstance(p, click.Option) and p.required}
    assert {name for name, text in entries(section).items() if text.endswith("Required.")} == required


# Python API

OPTIONS: Final = VerifierOptions.__annotations__.keys()


def members(thing: Any) -> set[str]:
    """What a name gives to who imports it: arguments, fields, methods and properties."""
    if inspect.isfunction(thing):
        return set(inspect.signature(thing).parameters)
    ours = [thing] if issubclass(thing, Exception) else [one for one in thing.__mro__ if "authserver" in one.__module__]
    public = {name for one in ours for name in vars(one) if not name.startswith("_")}
    made_by_users = not issubclass(thing, Exception) and not getattr(thing, "_is_protocol", False)
    parameters = set(inspect.signature(thing).parameters) if made_by_users else set()
    fields = {field.name for field in dataclasses.fields(thing)} if dataclasses.is_dataclass(thing) else set()
    return public | parameters | fields


PUBLIC: Final[Mapping[str, Mapping[str, Any]]] = {
    "authserver.resource": {name: getattr(resource, name) for name in resource.__all__},
    "authserver.resource.flask": {"ResourceServer": flask.ResourceServer},
    "authserver.resource.asgi": {"ResourceServer": asgi.ResourceServer},
    "authserver.resource.django": {
        "ResourceServer": django.ResourceServer,
        "Middleware": django.Middleware,
        "resource_server": django.resource_server,
    },
    "authserver.client": {name: getattr(client, name) for name in client.__all__},
    "authserver.testing": {name: getattr(testing, name) for name in testing.__all__},
}


def test_every_public_name_has_a_section() -> None:
    documented = {module: set(sections(body, 3)) for module, body in sections(page("python-api"), 2).items()}
    assert documented == {module: set(names) for module, names in PUBLIC.items()}


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in PUBLIC.items() for name in names], ids=str
)
def test_every_member_of_a_public_name_is_described_and_no_other(module: str, name: str) -> None:
    section = sections(sections(page("python-api"), 2)[module], 3)[name]
    assert entries(section).keys() == members(PUBLIC[module][name])


def test_the_options_that_an_adapter_passes_on_are_the_verifiers_own() -> None:
    assert members(resource.AccessTokenVerifier) - OPTIONS == {
        "issuer",
        "audience",
        "verify",
        "verify_async",
        "verify_bound",
        "verify_bound_async",
        "believe",
        "known",
    }


# Requirements and attacks

REQUIREMENTS: Final = requirement_map.rows(page("requirements"))


def test_every_requirement_has_a_row() -> None:
    assert [row.number for row in REQUIREMENTS] == list(range(1, 101))


def test_the_page_of_requirements_names_the_tests_that_name_them() -> None:
    """If it is stale: ``python -m tests.house.requirement_map``."""
    tests = requirement_map.tests_by_requirement()
    assert {row.number: row.tested_by for row in REQUIREMENTS} == {n: tests.get(n, ()) for n in range(1, 101)}
    assert requirement_map.rewritten(page("requirements")) == page("requirements")


def test_every_requirement_is_tested_or_waits_for_something() -> None:
    assert [row.number for row in REQUIREMENTS if not row.tested_by and not row.not_yet] == []


def test_no_test_names_a_requirement_that_does_not_exist() -> None:
    assert requirement_map.tests_by_requirement().keys() <= set(range(1, 101))


def test_every_test_that_the_page_of_attacks_names_exists() -> None:
    named = {span for span in code(page("attacks")) if "::" in span}
    assert named - requirement_map.every_test().keys() == set()


@pytest.mark.parametrize("row", rows(page("attacks")), ids=lambda row: row[0][:60])
def test_every_attack_is_tried_or_waits_for_something(row: tuple[str, ...]) -> None:
    assert len(row) == 3
    assert "::" in row[2] or row[2].startswith("Not yet: ")
