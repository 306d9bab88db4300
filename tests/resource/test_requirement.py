"""What a view demands: literal scopes, and those that depend on the request."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from authserver.errors import ScopeInsufficient
from authserver.resource import AccessTokenVerifier
from authserver.resource.requirement import Needs, Requirement
from authserver.testing import FakeIssuer
from tests.resource.environment import AUDIENCE

Enough = Callable[[Requirement, str], bool]


@pytest.fixture
def enough(verifier: AccessTokenVerifier, issuer: FakeIssuer) -> Enough:
    """Whether a token with this scope satisfies a requirement."""

    def is_enough(requirement: Requirement, scope: str) -> bool:
        token = verifier.verify(issuer.access_token(AUDIENCE, scope or None))
        try:
            requirement.check(token)
        except ScopeInsufficient:
            return False
        return True

    return is_enough


def returning(value: str | Iterable[str]) -> Callable[[Any], str | Iterable[str]]:
    return lambda _: value


@pytest.mark.parametrize(
    ("requirement", "scope", "expected"),
    [
        (Requirement(), "", True),
        (Requirement(("a",)), "a", True),
        (Requirement(("a",)), "a b", True),
        (Requirement(("a",)), "", False),
        (Requirement(("a",)), "ab A", False),
        (Requirement(("a", "b")), "a", False),
        (Requirement(("a", "b")), "b a", True),
        (Requirement(any_of=("a", "b")), "b", True),
        (Requirement(any_of=("a", "b")), "c", False),
        (Requirement(("a",), ("b", "c")), "a c", True),
        (Requirement(("a",), ("b", "c")), "a", False),
        (Requirement(("a",), ("b", "c")), "b c", False),
    ],
)
def test_all_of_these_and_one_of_those(enough: Enough, requirement: Requirement, scope: str, expected: bool) -> None:
    assert enough(requirement, scope) is expected


@pytest.mark.parametrize("scope", ["", "a b", 'a"', "a\\", "é", "a\r\n", "\x7f"])
def test_a_scope_that_no_token_can_have_is_refused_when_it_is_required(scope: str) -> None:
    """R24, R100: what is written into a challenge cannot break out of it."""
    with pytest.raises(ValueError, match="not a scope"):
        Requirement((scope,))
    with pytest.raises(ValueError, match="not a scope"):
        Needs(any_of=(scope,))


def test_one_string_is_not_taken_for_the_scopes_of_its_letters() -> None:
    with pytest.raises(TypeError):
        Requirement(any_of="images:read")
    with pytest.raises(TypeError):
        Requirement("images:read")
    with pytest.raises(TypeError):
        Needs(any_of="images:read")


def test_a_need_is_a_scope_or_a_callable() -> None:
    with pytest.raises(TypeError, match="not list"):
        Needs(["images:read"])  # type: ignore[arg-type]


def test_what_does_not_depend_on_the_request_is_made_once() -> None:
    needs = Needs("a", any_of=("b",), optional=True)
    assert needs.of(object()) is needs.of(object())
    assert needs.of(object()) == Requirement(("a",), ("b",), optional=True)


def test_a_callable_gets_the_request_of_the_framework() -> None:
    needs = Needs(lambda request: f"images:read:{request['album']}")
    assert needs.of({"album": "cats"}).sufficient == ("images:read:cats",)
    assert needs.of({"album": "dogs"}).sufficient == ("images:read:dogs",)


@pytest.mark.parametrize(
    ("granted", "expected"),
    [
        ("images:read:cats", True),
        ("images:read:*", True),
        ("images:*:cats", True),
        ("images:read:c*s", True),
        ("other images:read:*", True),
        ("images:read", False),
        ("images:*", False),
        ("images:read:*:*", False),
        ("images:read:dogs", False),
        ("images:read:CATS", False),
        ("images:read/*", False),
        ("*", False),
        ("*:*:*", False),
        ("images:read:**", False),
    ],
)
def test_a_star_that_was_granted_covers_one_part_and_never_crosses_a_separator(
    enough: Enough, granted: str, expected: bool
) -> None:
    assert enough(Needs(returning("images:read:cats")).of(None), granted) is expected


def test_a_star_covers_nothing_that_was_needed_literally(enough: Enough) -> None:
    assert not enough(Needs("images:read").of(None), "images:*")
    assert not enough(Needs("images:read", returning("images:read:cats")).of(None), "images:* images:read:*")
    # Not even where a callable happens to name the same scope.
    assert not enough(Needs("images:read", returning("images:read")).of(None), "images:*")


@pytest.mark.parametrize("scope", ["images:read:*", "*", "", "images:read:a b", 'images:read:"', "images:read:é"])
def test_a_scope_that_no_token_may_answer_for_is_not_satisfied_and_not_repeated(enough: Enough, scope: str) -> None:
    for needs in (Needs(returning(scope)), Needs(any_of=(returning(scope),)), Needs(returning(("a", scope)))):
        requirement = needs.of(None)
        assert not enough(requirement, "images:read:* images:read a")
        assert scope not in requirement.sufficient


def test_of_alternatives_one_that_cannot_be_satisfied_leaves_the_others(enough: Enough) -> None:
    requirement = Needs(any_of=(returning(("*", "images:read:cats")), "images:admin")).of(None)
    assert enough(requirement, "images:read:*")
    assert enough(requirement, "images:admin")
    assert not enough(requirement, "images:read")


@pytest.mark.parametrize("nothing", [(), None])
def test_a_callable_that_names_nothing_opens_nothing(enough: Enough, nothing: Any) -> None:
    assert not enough(Needs(returning(nothing)).of(None), "images:read")
    assert not enough(Needs(any_of=(returning(nothing),)).of(None), "images:read")


def test_all_that_a_callable_names_is_needed(enough: Enough) -> None:
    requirement = Needs("a", returning(("b:1", "c"))).of(None)
    assert requirement.sufficient == ("a", "b:1", "c")
    assert enough(requirement, "a b:* c")
    assert not enough(requirement, "a b:*")


def test_what_a_path_says_cannot_widen_what_was_granted(enough: Enough) -> None:
    """A caller with one album asks for others by what it writes into the path."""
    needs = Needs(lambda album: f"images:read:{album}")
    for album in ("dogs", "cats:x", "cats/x", "*", "c*ts", "", " ", "cats ", "cats images:admin", "../dogs", "CATS"):
        assert not enough(needs.of(album), "images:read:cats"), album
    for album in ("cats:x", "cats/x", "../dogs"):
        assert not enough(needs.of(album), "images:read:*"), album


def test_a_mistake_in_a_callable_is_seen() -> None:
    with pytest.raises(KeyError):
        Needs(lambda request: request["album"]).of({})
