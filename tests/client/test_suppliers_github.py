"""GitHub Actions as a job meets it: the runner's service, over real HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from authserver.client.failures import AnswerUnusable, CallFailed, IdentityUnusable, NoAnswer
from authserver.client.suppliers.github import GitHubSupplier
from authserver.oauth import TokenType
from tests.client.identities import NOW, identity, surroundings
from tests.client.runner import Runner

AUDIENCE = "https://auth.example.com/a b?c&d"


@pytest.fixture
def runner() -> Iterator[Runner]:
    made: list[str] = []

    def make(audience: str) -> str:
        made.append(identity(aud=audience, jti=str(len(made) + 1)))
        return made[-1]

    with Runner(make) as service:
        yield service


def test_a_job_asks_for_a_new_id_token_each_time_for_the_audience_that_is_wanted(runner: Runner, home: Path) -> None:
    supplier = GitHubSupplier(surroundings(home, runner.environ, audience=AUDIENCE))
    supplier.check(NOW)
    assert runner.asked == []
    for number in ("1", "2"):
        offered = supplier.offer(NOW).parameters
        assert offered["subject_token"] == identity(aud=AUDIENCE, jti=number)
        assert offered["subject_token_type"] == TokenType.ID_TOKEN.value
    assert runner.asked == [AUDIENCE, AUDIENCE]


def test_an_address_without_a_query_gets_one(runner: Runner, home: Path) -> None:
    """GitHub's has one; the services that are made after it need not."""
    environ = runner.environ
    environ["ACTIONS_ID_TOKEN_REQUEST_URL"] = environ["ACTIONS_ID_TOKEN_REQUEST_URL"].partition("?")[0]
    GitHubSupplier(surroundings(home, environ)).offer(NOW)
    assert runner.asked == ["https://auth.example.com"]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ((401, {}), IdentityUnusable),
        ((403, {"message": "no"}), IdentityUnusable),
        ((302, {}), IdentityUnusable),
        ((503, {}), NoAnswer),
        ((429, {}), NoAnswer),
        ((200, {}), AnswerUnusable),
        ((200, {"value": 7}), AnswerUnusable),
        ((200, []), AnswerUnusable),
        ((200, {"value": ""}), IdentityUnusable),
        ((200, {"value": "not a token"}), IdentityUnusable),
    ],
    ids=str,
)
def test_what_goes_wrong_is_told_apart(
    said: tuple[int, Any], kind: type[CallFailed], runner: Runner, home: Path
) -> None:
    runner.said = said
    with pytest.raises(kind) as failed:
        GitHubSupplier(surroundings(home, runner.environ)).offer(NOW)
    assert type(failed.value) is kind
    assert runner.token not in str(failed.value)
    assert len(runner.asked) == 1
    if isinstance(failed.value, NoAnswer):
        assert failed.value.retry_after == 7


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ACTIONS_ID_TOKEN_REQUEST_URL": ""}, "ACTIONS_ID_TOKEN_REQUEST_URL is empty or not set"),
        ({"ACTIONS_ID_TOKEN_REQUEST_TOKEN": ""}, "ACTIONS_ID_TOKEN_REQUEST_TOKEN is empty or not set"),
        ({"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "a\r\nb"}, "characters that no token has"),
        ({"ACTIONS_ID_TOKEN_REQUEST_URL": "file:///etc/passwd"}, "not an address"),
    ],
    ids=str,
)
def test_a_job_that_lacks_half_is_broken_before_anything_is_sent(
    changes: dict[str, str], said: str, runner: Runner, home: Path
) -> None:
    supplier = GitHubSupplier(surroundings(home, {**runner.environ, **changes}))
    assert supplier.present()
    with pytest.raises(IdentityUnusable, match=said):
        supplier.check(NOW)
    assert runner.asked == []


def test_the_token_of_the_runner_goes_nowhere_without_tls(home: Path) -> None:
    environ = {"ACTIONS_ID_TOKEN_REQUEST_URL": "http://192.0.2.1/", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "a"}
    with pytest.raises(AnswerUnusable, match="without TLS"):
        GitHubSupplier(surroundings(home, environ)).offer(NOW)


def test_a_job_without_the_permission_is_told_what_it_lacks(home: Path) -> None:
    supplier = GitHubSupplier(surroundings(home, {"GITHUB_ACTIONS": "true"}))
    assert not supplier.present()
    assert "id-token: write" in str(supplier.absence())
