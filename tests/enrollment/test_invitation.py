"""Enrolment codes, and what an invitation may say."""

import base64
import hashlib
import itertools
import math
import re
import secrets
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from authserver.enrollment.invitation import CODE_PREFIX, Invitations, enrollment_url, hash_code, make_code
from authserver.enrollment.rules import EnrollmentRules
from authserver.errors import CredentialRejected, Reason, RequestMalformed
from authserver.store.sqlite import SqliteStore

NOW = 1_800_000_000.25
RULES = {
    "phones": EnrollmentRules(max_per_owner=5, code_lifetime=600, enroll_with=("company", "partner")),
    "hosts": EnrollmentRules(max_per_owner=5, code_lifetime=60, enroll_with=(), identity_sources=("company",)),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "store.db")
    yield opened
    opened.close()


@pytest.fixture
def invitations(store: SqliteStore) -> Invitations:
    return Invitations(store, RULES, clock=lambda: NOW, randomness=secrets.token_bytes)


def test_a_code_has_160_random_bits_and_a_checksum_over_everything_before_it() -> None:
    asked: list[int] = []

    def randomness(size: int) -> bytes:
        asked.append(size)
        return bytes(range(size))

    code = make_code(randomness)
    assert asked == [20]
    prefix, random_part, checksum = re.fullmatch(r"(asenroll_)([a-z2-7]{32})([a-z2-7]{7})", code).groups()  # type: ignore[union-attr]
    assert base64.b32decode(random_part.upper()) == bytes(range(20))
    assert base64.b32decode(checksum.upper() + "=") == zlib.crc32((prefix + random_part).encode()).to_bytes(4, "big")
    assert math.log2(32**32) >= 128


def test_what_is_kept_of_a_code_is_its_sha_256() -> None:
    code = make_code(secrets.token_bytes)
    assert hash_code(code) == hashlib.sha256(code.encode()).hexdigest()


def mistyped(code: str) -> Iterator[str]:
    """Everything that a slip of the finger makes of a code."""
    for at, character in enumerate(code):
        yield code[:at] + code[at + 1 :]
        yield code[:at] + ("b" if character != "b" else "c") + code[at + 1 :]
        yield code[:at] + "a" + code[at:]
    for at, (one, other) in enumerate(itertools.pairwise(code)):
        if one != other:
            yield code[:at] + other + one + code[at + 2 :]


def test_a_mistyped_code_is_told_by_its_form_alone() -> None:
    code = make_code(lambda size: bytes(range(7, 7 + size)))
    others = ("", CODE_PREFIX, code.upper(), f" {code}", f"{code}\n", code + "=", "\u00e9" + code[1:], code.title())
    for wrong in (*mistyped(code), *others):
        with pytest.raises(CredentialRejected) as refused:
            hash_code(wrong)
        assert refused.value.reason is Reason.CODE_MALFORMED
        assert refused.value.facts == {}


@pytest.mark.parametrize("issuer", ["https://auth.example.com", "https://auth.example.com/"])
def test_a_device_scans_where_to_register_and_the_code_in_the_fragment(issuer: str) -> None:
    assert enrollment_url(issuer, "asenroll_x") == "https://auth.example.com/register#asenroll_x"


def test_an_invitation_is_kept_with_everything_that_it_says(store: SqliteStore, invitations: Invitations) -> None:
    attributes = {f"name_{number}": "\u00fc" * 256 for number in range(16)}
    code, given = invitations.invite("phones", owner="alice", lifetime=300, platform="ios", attributes=attributes)
    assert store.read_invitation(hash_code(code)) == given
    assert (given.source, given.owner, given.platform, given.attributes) == ("phones", "alice", "ios", attributes)
    assert (given.created_at, given.expires_at, given.used_by) == (NOW, NOW + 300, None)
    assert code not in repr(given)


def test_an_invitation_lives_as_long_as_its_source_says_unless_it_asks_for_less(invitations: Invitations) -> None:
    for source, asked, lifetime in (("phones", None, 600), ("phones", 600, 600), ("hosts", None, 60), ("hosts", 1, 1)):
        _, given = invitations.invite(source, owner=None, lifetime=asked)
        assert given.expires_at - given.created_at == lifetime
        assert (given.owner, given.platform, given.attributes) == (None, None, {})


def test_no_two_codes_are_the_same(invitations: Invitations) -> None:
    assert len({invitations.invite("phones", owner="alice")[0] for _ in range(50)}) == 50


@pytest.mark.parametrize(
    ("wrong", "values"),
    [
        ("source", ["", "company", "Phones", None, 1, ["phones"], {}]),
        ("owner", ["", "a" * 257, "a\nb", "a\u202eb", "\ud800", 1, ["alice"], "company:alice", "company:", "partner:"]),
        ("lifetime", [0, -1, 601, 1.5, 60.0, True, "60", [60]]),
        ("platform", ["", "a" * 257, "a\x00b", 1, ["ios"]]),
        ("attributes", ["team", ["team"], 1, True, {f"a{number}": "x" for number in range(17)}]),
        ("attributes", [{name: "x"} for name in ("", "Team", "1a", "a-b", "a" * 65, "a.b", "\u00e4", 1, "team\n")]),
        ("attributes", [{name: "x"} for name in ("owner", "platform", "model", "app_id", "attestation")]),
        ("attributes", [{"team": value} for value in ("", "a" * 257, "a\tb", 1, None, ["x"])]),
    ],
)
def test_what_an_invitation_must_not_say_is_refused_by_name_and_not_kept(
    store: SqliteStore, invitations: Invitations, wrong: str, values: list[Any]
) -> None:
    for value in values:
        members: dict[str, Any] = {"source": "phones", "owner": "alice", wrong: value}
        with pytest.raises(RequestMalformed) as refused:
            invitations.invite(**members)
        assert refused.value.reason is Reason.PARAMETER_UNSUPPORTED
        assert refused.value.facts == {"parameter": wrong}
    assert store.is_empty()


def test_no_owner_looks_like_one_that_may_sign_in_one_day(invitations: Invitations) -> None:
    """Whoever configures ``enroll_with`` later must not give somebody's devices to somebody else."""
    with pytest.raises(RequestMalformed):
        invitations.invite("hosts", owner="company:alice")
    invitations.invite("hosts", owner="partner:alice")
