"""Globs: whole values, whose ``*`` stays within one part."""

import ast
from functools import cache
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import authserver.glob
import authserver.policy
from authserver.glob import Glob, NotAGlob, covers
from authserver.policy.glob import read_glob
from authserver.table import Mistake

_TEXT = st.text(alphabet="ab*/:.", max_size=12)


def fits_by_definition(pattern: str, value: str) -> bool:
    """The oracle: the definition of a glob, character by character, with no cleverness at all."""

    @cache
    def fits(p: int, v: int) -> bool:
        if p == len(pattern):
            return v == len(value)
        if pattern[p] == "*":
            return fits(p + 1, v) or (v < len(value) and value[v] not in "/:" and fits(p, v + 1))
        return v < len(value) and value[v] == pattern[p] and fits(p + 1, v + 1)

    return fits(0, 0)


def compiled(pattern: str) -> Glob:
    try:
        return Glob.of(pattern)
    except NotAGlob:
        assume(False)
        raise


@given(pattern=_TEXT, value=_TEXT)
@example(pattern="a*a", value="a")
@example(pattern="*ab*ab*", value="abab")
@example(pattern="a*/b", value="a/x/b")
def test_a_glob_matches_exactly_what_its_definition_says(pattern: str, value: str) -> None:
    assert compiled(pattern).matches(value) == fits_by_definition(pattern, value)


@given(pattern=_TEXT, data=st.data())
def test_a_glob_matches_every_value_made_by_filling_its_stars(pattern: str, data: st.DataObject) -> None:
    filling = st.text(alphabet="ab*.\n", max_size=4)
    value = "".join(data.draw(filling) if character == "*" else character for character in pattern)
    assert compiled(pattern).matches(value)


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("refs/heads/release-*", "refs/heads/release-1"),
        ("refs/heads/release-*", "refs/heads/release-"),
        ("repo:*/site:ref:*", "repo:octo/site:ref:main"),
        ("*.example.com", "a.b.example.com"),
    ],
)
def test_a_star_stands_for_anything_within_one_part(pattern: str, value: str) -> None:
    assert Glob.of(pattern).matches(value)


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("refs/heads/release-*", "refs/heads/release-1/evil"),
        ("refs/heads/release-*", "refs/heads/release-1:evil"),
        ("octo/*", "octo/site/more"),
        ("octo/*", "octo"),
        ("a*/b", "a:b"),
    ],
)
def test_a_star_never_crosses_a_separator(pattern: str, value: str) -> None:
    assert not Glob.of(pattern).matches(value)


@pytest.mark.parametrize(
    "value", ["main-1\n", "\nmain-1", "evil\nmain-1", "main-1\nevil", "xmain-1", "main-1/x", "MAIN-1"]
)
def test_half_anchored_patterns_and_a_newline_at_the_end_admit_nobody(value: str) -> None:
    """octo-sts; fulcio GHSA-59jp-pj84-45mr: half-anchored regular expressions; ``$`` before a newline."""
    assert not Glob.of("main-*1").matches(value)


@pytest.mark.parametrize(
    ("pattern", "value"), [("a.*", "ab"), ("a?*", "ab"), ("[ab]*", "a"), ("a+*", "aa"), ("(a|b)*", "a")]
)
def test_every_character_but_the_star_stands_for_itself(pattern: str, value: str) -> None:
    assert not Glob.of(pattern).matches(value)
    assert Glob.of(pattern).matches(pattern.replace("*", "x"))


def test_every_piece_between_stars_must_be_there_in_its_order() -> None:
    glob = Glob.of("a*b*c*d")
    assert glob.matches("a-b-c-d")
    assert not glob.matches("a-c-b-d")
    assert not glob.matches("a-b-d")


@pytest.mark.parametrize("pattern", ["", "main", "refs/**", "*", "*/*", "*:*/*", "**"])
def test_a_glob_that_pins_nothing_or_cannot_mean_what_it_says_is_a_mistake(pattern: str) -> None:
    with pytest.raises(Mistake):
        read_glob(pattern)
    with pytest.raises(NotAGlob):
        Glob.of(pattern)


def test_a_policy_reads_the_same_globs() -> None:
    assert read_glob("refs/*") == Glob.of("refs/*")


def test_what_is_no_glob_covers_itself_and_nothing_else() -> None:
    assert covers("images:read", "images:read")
    assert covers("images:*", "images:read")
    assert not covers("images:read", "images:reads")
    assert not covers("*", "images")


def test_a_hostile_value_costs_no_more_than_its_length() -> None:
    """A backtracking matcher would need longer than the universe has for this."""
    glob = Glob.of("a*" * 500 + "b")
    assert not glob.matches("a" * 16_000)


def test_no_regular_expression_is_used_in_policy() -> None:
    imported = {
        name.name
        for file in (*Path(authserver.policy.__file__).parent.glob("*.py"), Path(authserver.glob.__file__))
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "")])
    }
    assert not imported & {"re", "regex", "fnmatch", "glob"}
