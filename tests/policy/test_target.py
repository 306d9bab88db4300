"""Which resource a request is for."""

import pytest

from authserver.errors import Reason, TargetRefused
from authserver.model import Resource
from authserver.policy.target import is_absolute_uri
from tests.policy.build import IDENTIFIER, IMAGES, policy

PLAIN = Resource("reports", "reports-api", frozenset({"reports:read"}), (), "ES256")
POLICY = policy(resources=(IMAGES, PLAIN))


def reason(resources: tuple[str, ...], audiences: tuple[str, ...]) -> Reason:
    with pytest.raises(TargetRefused) as caught:
        POLICY.resource(resources, audiences)
    return caught.value.reason


def test_a_resource_is_found_by_its_identifier() -> None:
    """R53: the audience of the token will be the resource that was asked for."""
    assert POLICY.resource((IDENTIFIER,), ()) is IMAGES
    assert POLICY.resource((), (IDENTIFIER,)) is IMAGES


def test_an_audience_may_be_any_identifier_and_a_resource_only_a_uri() -> None:
    """R52"""
    assert POLICY.resource((), ("reports-api",)) is PLAIN
    assert reason(("reports-api",), ()) is Reason.TARGET_MALFORMED


def test_resource_and_audience_may_be_sent_together_when_they_agree() -> None:
    assert POLICY.resource((IDENTIFIER,), (IDENTIFIER,)) is IMAGES
    assert reason((IDENTIFIER,), ("reports-api",)) is Reason.TARGET_AMBIGUOUS


def test_a_request_without_a_target_is_refused() -> None:
    """R53: there is no default audience."""
    assert reason((), ()) is Reason.TARGET_MISSING


def test_several_targets_are_refused_even_when_they_are_equal() -> None:
    assert reason((IDENTIFIER, IDENTIFIER), ()) is Reason.TARGET_AMBIGUOUS
    assert reason((), (IDENTIFIER, "reports-api")) is Reason.TARGET_AMBIGUOUS


@pytest.mark.parametrize(
    "resource",
    ["images", "/images", "//images.example.com", "", ":", "https:", f"{IDENTIFIER}#x", f"{IDENTIFIER}#", "1http://x",
     f"{IDENTIFIER}/a b", f"{IDENTIFIER}\n", f"{IDENTIFIER}/\u00e9", "h\u00e9ttp://x"],
)  # fmt: skip
def test_a_resource_must_be_an_absolute_uri_without_fragment(resource: str) -> None:
    """R52"""
    assert not is_absolute_uri(resource)
    assert reason((resource,), ()) is Reason.TARGET_MALFORMED


@pytest.mark.parametrize(
    "resource",
    [f"{IDENTIFIER}/", IDENTIFIER.upper(), f"{IDENTIFIER}?", f"{IDENTIFIER}:443", "https://other.example.com"],
)
def test_identifiers_are_compared_character_by_character(resource: str) -> None:
    """R45"""
    assert reason((resource,), ()) is Reason.TARGET_UNKNOWN
    assert reason((), (resource,)) is Reason.TARGET_UNKNOWN
    assert reason((IDENTIFIER,), (resource,)) is Reason.TARGET_UNKNOWN
