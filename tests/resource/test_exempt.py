"""Paths that are open to everybody, and the spellings by which one could try to make more of them."""

import pytest

from authserver.resource.exempt import Exemptions

EXEMPT = Exemptions(["/health", "/static/*", "/a/b/*"], "/.well-known/oauth-protected-resource", None)


@pytest.mark.parametrize(
    "path",
    [
        "/health",
        "/static/",
        "/static/a",
        "/static/a/b.css",
        "/static/a/",
        "/a/b/c",
        "/.well-known/oauth-protected-resource",
    ],
)
def test_what_was_named_is_open(path: str) -> None:
    assert EXEMPT.covers(path)


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "/secret", "/health/", "/healthy", "/health/x", "/HEALTH", "//health", "/./health", "/x/../health",
        "/static", "/staticx", "/static-secret", "/Static/a", "//static/a", "/static//a", "/static/../secret",
        "/static/a/../../secret", "/static/..", "/static/.", "/static/./a", "/static/..%2Fsecret", "/static/%2e%2e/x",
        "/static/..\\secret", "/static\\a", "/static%2Fa", "static/a", "/x/static/a", "/a/bc", "/a/b", "/a//b/c",
    ],
)  # fmt: skip
def test_nothing_else_is(path: str) -> None:
    assert not EXEMPT.covers(path)


def test_without_any_nothing_is_open() -> None:
    assert not Exemptions(()).covers("/")
    assert not Exemptions((), None).covers("")


@pytest.mark.parametrize(
    "path",
    ["", "health", "/*", "*", "/a*", "/a/*/b", "/a/**", "//", "/a//b", "/a/../b", "/./a", "/a%2Fb", "/a\\b", "/a//*"],
)
def test_a_path_that_would_not_mean_what_it_says_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="an exempt path"):
        Exemptions([path])


def test_one_string_is_not_taken_for_paths_of_its_letters() -> None:
    with pytest.raises(ValueError, match="not one string"):
        Exemptions("/health")


def test_the_root_alone_can_be_open() -> None:
    assert Exemptions(["/"]).covers("/")
    assert not Exemptions(["/"]).covers("/a")
