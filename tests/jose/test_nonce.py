"""Nonces that nobody remembers: what makes one ours, and how long it is fresh (RFC 9449 sections 8 and 9)."""

import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authserver.jose.nonce import LIFETIME, Nonces
from authserver.keys.wrapping import MasterKeys

NOW = 1_800_000_000
SKEW = 30
ISSUER = "https://auth.test"
MASTER = bytes(range(32))


def nonces(*masters: bytes, issuer: str = ISSUER, lifetime: int = LIFETIME) -> Nonces:
    """Nonces as a server with these master keys has them, the current one first."""
    current, *previous = masters or (MASTER,)
    return Nonces(MasterKeys(current, previous).derive(f"dpop nonce {issuer}"), skew=SKEW, lifetime=lifetime)


def test_a_nonce_is_fresh_for_its_lifetime_to_the_second() -> None:
    """R67"""
    given_here = nonces()
    nonce = given_here.give(NOW + 0.9)
    assert given_here.expiry(nonce, NOW + 0.9) == NOW + LIFETIME
    assert given_here.expiry(nonce, NOW + LIFETIME - 0.001) == NOW + LIFETIME
    assert given_here.expiry(nonce, NOW + LIFETIME) is None


def test_a_clock_that_is_ahead_may_give_nonces_and_one_that_is_too_far_ahead_may_not() -> None:
    """R67: another node's clock may differ by the skew."""
    here = nonces()
    assert here.expiry(here.give(NOW + SKEW), NOW) == NOW + SKEW + LIFETIME
    assert here.expiry(here.give(NOW + SKEW + 1), NOW) is None


def test_a_nonce_is_known_on_every_node_and_after_a_restart_without_being_remembered() -> None:
    """R67"""
    assert nonces().expiry(nonces().give(NOW), NOW) == NOW + LIFETIME


def test_a_nonce_under_the_previous_master_key_is_good_until_that_is_gone() -> None:
    """R67: the master key was replaced in the middle of a conversation."""
    new, other = secrets.token_bytes(32), secrets.token_bytes(32)
    old_nonce = nonces(MASTER).give(NOW)
    assert nonces(new, MASTER).expiry(old_nonce, NOW) == NOW + LIFETIME
    assert nonces(new, other, MASTER).expiry(old_nonce, NOW) == NOW + LIFETIME
    assert nonces(new).expiry(old_nonce, NOW) is None
    assert nonces(MASTER).expiry(nonces(new, MASTER).give(NOW), NOW) is None  # the current one gives


def test_a_nonce_of_another_key_or_another_issuer_is_none() -> None:
    """RFC 9449 section 9: a nonce is for the server that gave it."""
    assert nonces().expiry(nonces(secrets.token_bytes(32)).give(NOW), NOW) is None
    assert nonces().expiry(nonces(issuer="https://auth.test/other").give(NOW), NOW) is None


def test_a_nonce_says_nothing_that_a_header_cannot_carry() -> None:
    """RFC 9449 section 8.1"""
    assert re.fullmatch(r"[!#-\[\]-~]+", nonces().give(NOW))


@settings(deadline=None)
@given(position=st.integers(0, 31), change=st.integers(1, 63))
def test_a_nonce_with_any_character_changed_is_none(position: int, change: int) -> None:
    """R67"""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    nonce = nonces().give(NOW)
    assert len(nonce) == 32
    other = alphabet[(alphabet.index(nonce[position]) + change) % 64]
    assert nonces().expiry(nonce[:position] + other + nonce[position + 1 :], NOW) is None


def test_a_forged_nonce_is_none() -> None:
    """R67: a later time under the same code, a code cut short, left out or lengthened."""
    raw = urlsafe_b64decode(nonces().give(NOW))
    later = (NOW + 60).to_bytes(8)
    for forged in (later + raw[8:], raw[:8], raw[:-1], raw + b"\0", raw[:4], later + bytes(16), b""):
        assert nonces().expiry(urlsafe_b64encode(forged).rstrip(b"=").decode(), NOW) is None


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_text_is_a_nonce_of_ours(text: str) -> None:
    assert nonces().expiry(text, NOW) is None


def test_the_lifetime_can_be_another_one() -> None:
    short = nonces(lifetime=10)
    nonce = short.give(NOW)
    assert (short.expiry(nonce, NOW + 9), short.expiry(nonce, NOW + 10)) == (NOW + 10, None)


@pytest.mark.parametrize(
    "keys",
    [(), (bytes(31),), (bytes(32), b""), bytes(32), ("0" * 64,), "0" * 64],
    ids=["none", "short", "empty", "one", "texts", "text"],
)
def test_what_is_no_sequence_of_long_keys_is_refused(keys: Any) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Nonces(keys, skew=SKEW)
