"""What is wrong with sources of type aws, and what check warns of."""

from pathlib import Path

import pytest

from tests.check.build import advice, codes, rule, with_rules
from tests.settings.build import problems, write

SIGNED = 'signed_requests = {{ accounts = ["123456789012"], hosts = ["sts.eu-central-1.amazonaws.com"]{} }}'
AWS = 'type = "aws"\naudience = "https://auth.example.com"\n'
ISSUER = 'issuer = "https://1.tokens.sts.global.api.aws"\n'


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ('account = "123456789012", role = "deployer"', []),
        ('arn = "arn:aws:sts::123456789012:assumed-role/deployer"', []),
        ('role_id = "AROAEXAMPLEROLEID0001"', []),
        ('role = "deployer"', [("W102", "allow.deploys")]),
        ('account = "123456789012"', [("W102", "allow.deploys")]),
    ],
)
@pytest.mark.parametrize("way", [ISSUER, SIGNED.format("")], ids=["tokens", "requests"])
def test_a_rule_comes_down_to_one_role(way: str, match: str, expected: list[tuple[str, str]], tmp_path: Path) -> None:
    assert codes(tmp_path, with_rules(rule(match), source=AWS + way)) == expected


def test_an_audience_that_may_be_unsigned_is_warned_of(tmp_path: Path) -> None:
    source = AWS + SIGNED.format(", unsigned_audience = true")
    match = 'role_id = "AROAEXAMPLEROLEID0001"'
    assert codes(tmp_path, with_rules(rule(match), source=source)) == [("W204", "sources.github")]
    (warning,) = advice(tmp_path, with_rules(rule(match), source=source))
    assert "identity tokens" in warning.remedy


def configured(*sources: str) -> str:
    text = with_rules(rule('role_id = "AROAEXAMPLEROLEID0001"'), source=sources[0])
    return text + "".join(f"[sources.more-{number}]\n{each}\n" for number, each in enumerate(sources[1:]))


def test_the_audience_of_signed_requests_names_one_source(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, configured(AWS + SIGNED.format(""), AWS + ISSUER + SIGNED.format(""))))
    assert problem.path == "sources.more-0.audience"
    assert "signed requests" in problem.message


def test_one_source_may_take_tokens_and_another_requests_for_the_same_audience(tmp_path: Path) -> None:
    text = configured(AWS + SIGNED.format(""), AWS + ISSUER)
    assert codes(tmp_path, text) == [("W202", "sources.more-0")]


def test_a_source_that_takes_nothing_is_a_mistake(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, configured(AWS)))
    assert "neither" in problem.message
