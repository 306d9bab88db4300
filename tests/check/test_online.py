"""``authserver check --online``, with issuers on loopback."""

import json
import threading
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from authserver.cli.online import Reached, described, lines, reach
from authserver.jose.fetch import Cause
from authserver.settings import Settings, load
from authserver.testing import FakeIssuer
from tests.check.build import RULE, run, text
from tests.jose.servers import Server, answer, pouring, sending
from tests.settings.build import write

NOW = 1_800_000_000


def with_keys(directory: Path, jwks: str, *, algorithms: str = '["ES256", "RS256"]') -> Path:
    """A configuration whose one source has its keys at ``jwks``."""
    source = f"""type = "kubernetes"
issuer = "https://cluster.example.com"
audience = "https://auth.example.com"
algorithms = {algorithms}
jwks = {{ {jwks} }}"""
    server = 'issuer = "https://auth.example.com"\nenvironment = "testing"\ninsecure_allow_http = true'
    return write(directory, text({"server": server, "sources.cluster": source}))


def settings(directory: Path, jwks: str) -> Settings:
    return load(with_keys(directory, jwks))


def only(output: str) -> dict[str, Any]:
    (found,) = json.loads(output)["files"][0]["online"]
    assert isinstance(found, dict)
    return found


def test_what_an_issuer_publishes_is_told(tmp_path: Path) -> None:
    with FakeIssuer(algorithms=("RS256",)) as issuer:
        file = with_keys(tmp_path, f'url = "{issuer.jwks_url}"')
        result = run("--online", file)
        told = only(run("--online", "--json", file).output)
    assert result.exit_code == 0
    assert "1 of 1 source reached" in result.output
    assert "allowed, and without a key: ES256" in result.output
    assert [key["alg"] for key in told["keys"]] == ["RS256"]
    assert issuer.key.kid not in result.output
    assert (told["source"], told["cause"], told["algorithms_without_key"]) == ("cluster", None, ["ES256"])


def test_an_issuer_is_discovered_as_the_server_does(tmp_path: Path) -> None:
    server = 'issuer = "https://auth.example.com"\nenvironment = "testing"\ninsecure_allow_http = true'
    with FakeIssuer() as issuer:
        source = f'type = "kubernetes"\nissuer = "{issuer.issuer}"\naudience = "https://auth.example.com"'
        assert run("--online", write(tmp_path, text({"server": server, "sources.cluster": source}))).exit_code == 0
    assert issuer.fetches == 1


@pytest.mark.parametrize(
    ("document", "headers", "cause", "status"),
    [
        ({"keys": []}, "200 OK", Cause.NO_USABLE_KEY, None),
        (b"<html>", "200 OK", Cause.ANSWER_MALFORMED, None),
        ({}, "404 Not Found", Cause.STATUS_WRONG, 404),
        ({}, "302 Found", Cause.REDIRECTED, 302),
    ],
)
def test_why_an_issuer_is_not_reached_is_told(
    document: Any, headers: str, cause: Cause, status: int | None, tmp_path: Path
) -> None:
    with Server(sending(answer(document, headers))).running() as server:
        result = run("--online", "--json", with_keys(tmp_path, f'url = "{server.url()}"'))
    told = only(result.output)
    assert (result.exit_code, told["cause"], told["status"]) == (1, cause, status)


def test_an_issuer_that_is_down_and_a_file_that_is_not_there_are_told(tmp_path: Path) -> None:
    with Server(sending(b"")).running() as server:
        url = server.url()
    result = run("--online", with_keys(tmp_path, f'url = "{url}"'))
    assert result.exit_code == 1
    assert "0 of 1 source reached" in result.output
    assert "no keys, connection_failed (127.0.0.1): nothing accepts connections there" in result.output
    assert "file_unreadable: the file of the key set cannot be read" in run(
        "--online", with_keys(tmp_path, 'file = "none.json"')
    ).output  # fmt: skip


def test_every_cause_is_told_in_words() -> None:
    for cause in Cause:
        assert cause.value in next(lines(Reached("x", cause=cause)))


@pytest.mark.parametrize(
    ("ahead", "words", "codes"),
    [
        (0, "no difference that can be told", []),
        (20, "20 s ahead of this machine's", []),
        (300, "300 s ahead of this machine's", ["W601"]),
        (-300, "299 s behind this machine's", ["W601"]),
    ],
)
def test_a_clock_that_differs_is_told(ahead: int, words: str, codes: list[str], tmp_path: Path) -> None:
    with FakeIssuer() as issuer:
        jwks = issuer.jwks
    with Server(sending(answer(jwks, Date=formatdate(NOW + ahead, usegmt=True)))).running() as server:
        (reached,) = reach(settings(tmp_path, f'url = "{server.url()}"'), clock=lambda: NOW)
        assert words in list(lines(reached))[-1]
        skewed = formatdate(time.time() + ahead, usegmt=True)
        server.respond = sending(answer(jwks, Date=skewed))
        result = run("--online", "--json", with_keys(tmp_path, f'url = "{server.url()}"'))
    assert [each["code"] for each in json.loads(result.output)["files"][0]["warnings"]] == codes


def test_an_answer_within_the_second_it_was_asked_in_is_no_difference(tmp_path: Path) -> None:
    with FakeIssuer() as issuer:
        jwks = issuer.jwks
    with Server(sending(answer(jwks, Date=formatdate(NOW, usegmt=True)))).running() as server:
        (reached,) = reach(settings(tmp_path, f'url = "{server.url()}"'), clock=lambda: NOW + 0.9)
    assert reached.ahead == 0


def test_a_source_that_takes_too_long_is_given_up_on(tmp_path: Path) -> None:
    held = threading.Event()
    with Server(lambda _: held.wait()).running() as server:  # type: ignore[arg-type]
        (reached,) = reach(settings(tmp_path, f'url = "{server.url()}"'), clock=time.time, patience=0.05)
        held.set()
    assert reached.cause is Cause.TIMED_OUT
    assert described(reached)["keys"] == []


def test_sources_are_asked_at_the_same_time(tmp_path: Path) -> None:
    """Neither issuer answers before both were asked."""
    with FakeIssuer() as issuer:
        jwks = issuer.jwks
    both = threading.Barrier(2, timeout=4)

    def together(connection: Any) -> None:
        both.wait()
        connection.sendall(answer(jwks))

    with Server(together).running() as server:
        other = f"""type = "kubernetes"
issuer = "https://other.example.com"
audience = "https://auth.example.com"
jwks = {{ url = "{server.url()}" }}"""
        configuration = with_keys(tmp_path, f'url = "{server.url()}"').read_text("utf-8")
        file = write(tmp_path, f"{configuration}\n[sources.other]\n{other}\n[[allow]]\n{_for_other()}")
        assert [each.cause for each in reach(load(file), clock=time.time)] == [None, None]


def _for_other() -> str:
    return RULE.replace('"cluster"', '"other"').replace('"readers"', '"others"')


def test_keys_are_fetched_only_if_asked_for(tmp_path: Path) -> None:
    with Server(pouring(b"", b" ")).running() as server:
        assert run(with_keys(tmp_path, f'url = "{server.url()}"')).exit_code == 0
        assert server.requests == []
