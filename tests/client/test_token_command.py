"""``authserver token`` as a program: what it prints, and what it answers with."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from authserver.cli.commands import authserver
from authserver.client import AuthorizationServer, EnrollmentRecord, Introduction, enroll
from tests import leaks
from tests.client.fake import Said
from tests.client.test_base_install import authserver as run_installed
from tests.client.test_base_install import installed
from tests.client.workloads import IMAGES, Workloads, environ, workloads

__all__ = ["environ", "installed", "workloads"]  # fixtures

Run = Callable[..., Result]
ASKED = ("--resource", IMAGES, "--scope", "images:read")


@pytest.fixture
def run(workloads: Workloads, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr("os.environ", environ)

    def run_it(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(authserver, ["token", "--issuer", workloads.issuer, *arguments])
        assert result.exit_code == code, result.output
        return result

    return run_it


@pytest.fixture
def enrolled_only(workloads: Workloads, environ: dict[str, str], home: Path) -> EnrollmentRecord:
    """A machine that has an enrolment, and no identity token."""
    del environ["AUTHSERVER_IDENTITY_TOKEN"]
    record = EnrollmentRecord(workloads.issuer, home)
    enroll(AuthorizationServer(workloads.issuer), record, workloads.code, Introduction("a laptop"))
    return record


def test_the_token_is_printed_and_nothing_else(workloads: Workloads, run: Run) -> None:
    result = run(*ASKED)
    (token,) = workloads.issued
    assert (result.stdout, result.stderr) == (f"{token}\n", "")
    (form,) = workloads.forms
    assert (form["resource"], form["scope"]) == (IMAGES, "images:read")


def test_scopes_may_be_repeated_or_left_out(workloads: Workloads, run: Run) -> None:
    run(*ASKED, "--scope", "images:write")
    run("--resource", IMAGES)
    assert [form.get("scope") for form in workloads.forms] == ["images:read images:write", None]


def test_json_says_what_the_server_said(workloads: Workloads, run: Run) -> None:
    printed = json.loads(run(*ASKED, "--json").stdout)
    (token,) = workloads.issued
    assert printed == {"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": "images:read"}


def test_a_refusal_ends_with_1_and_is_said_once(workloads: Workloads, run: Run) -> None:
    workloads.say_next(Said(400, {"error": "invalid_scope", "error_description": "No.", "request_id": "r-1"}))
    result = run(*ASKED, code=1)
    assert (result.stdout, result.stderr) == ("", "invalid_scope: No. (request r-1)\n")


def test_nothing_that_vouches_for_the_program_ends_with_1(environ: dict[str, str], run: Run) -> None:
    del environ["AUTHSERVER_IDENTITY_TOKEN"]
    assert "nothing here vouches for this program" in run(*ASKED, code=1).stderr


def test_what_is_broken_ends_with_1_and_no_other_link_is_tried(
    workloads: Workloads, enrolled_only: EnrollmentRecord, environ: dict[str, str], run: Run
) -> None:
    assert enrolled_only.exists()
    environ["AUTHSERVER_IDENTITY_TOKEN"] = ""
    assert "AUTHSERVER_IDENTITY_TOKEN is empty" in run(*ASKED, code=1).stderr
    assert workloads.forms == []


@pytest.mark.parametrize(
    "arguments", [(), ("--scope", "images:read"), (*ASKED, "more"), (*ASKED, "--issuer", "ftp://x")], ids=str
)
def test_a_mistake_in_use_ends_with_2(arguments: tuple[str, ...], workloads: Workloads, run: Run) -> None:
    run(*arguments, code=2)
    assert workloads.asked == []


def test_an_issuer_that_is_no_address_is_told_what_one_is(run: Run) -> None:
    assert "such as https://auth.example.com" in run(*ASKED, "--issuer", "auth.example.com", code=2).stderr


@pytest.mark.usefixtures("enrolled_only")
def test_a_token_that_is_bound_is_printed_only_where_that_is_asked_for(workloads: Workloads, run: Run) -> None:
    """R68"""
    refused = run(*ASKED, code=1)
    assert refused.stdout == ""
    assert "bound to the key of this machine" in refused.stderr
    assert leaks.find(refused.output) is None
    printed = json.loads(run(*ASKED, "--bound", "--json").stdout)
    assert printed["token_type"] == "DPoP"
    assert printed["access_token"] in workloads.issued
    assert run(*ASKED, "--bound").stdout.strip() in workloads.issued


def test_every_link_is_listed_and_nobody_is_asked(workloads: Workloads, run: Run) -> None:
    lines = run("--explain").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["explicit", "skipped"],
        ["environment", "used"],
        ["kubernetes", "skipped"],
        ["github", "skipped"],
        ["gitlab", "skipped"],
        ["aws", "skipped"],
        ["azure", "skipped"],
        ["google", "skipped"],
        ["spiffe", "skipped"],
        ["x509", "skipped"],
        ["device", "skipped"],
        ["az", "skipped"],
        ["gcloud", "skipped"],
    ]
    assert workloads.asked == []


def test_the_list_is_there_for_programs_too(environ: dict[str, str], run: Run) -> None:
    environ["AUTHSERVER_IDENTITY_TOKEN"] = "broken"
    links = json.loads(run("--explain", "--json", code=1).stdout)["links"]
    assert links[1] == {
        "link": "environment",
        "state": "broken",
        "reason": "AUTHSERVER_IDENTITY_TOKEN holds no identity token: it is not a signed JWT",
    }


def test_an_explanation_without_an_identity_ends_with_1(environ: dict[str, str], run: Run) -> None:
    del environ["AUTHSERVER_IDENTITY_TOKEN"]
    result = run("--explain", code=1)
    assert " used " not in result.stdout
    assert leaks.find(result.output) is None


def test_it_needs_the_extra_cli_alone(workloads: Workloads, installed: dict[str, str]) -> None:
    environ = {**installed, "AUTHSERVER_IDENTITY_TOKEN": workloads.identity}
    done = run_installed(environ, "token", "--issuer", workloads.issuer, *ASKED)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in workloads.issued
