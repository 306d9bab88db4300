"""What the server keeps, for how long, and under which names."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as some
from redis import Redis

from authserver.store.redis import RedisStore
from authserver.store.redis_keys import Keys
from authserver.store.redis_scripts import INVITATION_KEPT_LONGER, KEPT_LONGER
from tests.store.contract import NOW, token_id
from tests.store.device_contract import CODE, device, enroll, invitation, rekey
from tests.store.redis.opened import opened

OpenStore = Callable[[], RedisStore]


def seconds_left(look: Redis, key: str) -> float:
    """For how long the server still keeps a key, by its own clock."""
    left = float(look.pttl(key)) / 1000
    assert left > 0, "it is kept for ever"
    return left


@pytest.mark.parametrize("ahead", [-7200, -60, 0, 60, 7200], ids=lambda ahead: f"our clock is {ahead} s ahead")
def test_nothing_is_forgotten_before_it_has_expired_by_either_clock(
    url: str, prefix: str, look: Redis, ahead: int
) -> None:
    server_now = float(look.time()[0])
    now = server_now + ahead
    store = opened(url, prefix, clock=lambda: now)
    store.use_once("source", token_id(1), expires_at=now + 300, now=now)
    store.revoke("issuer", "jti", expires_at=now + 300)
    store.invite(invitation(created_at=now, expires_at=now + 300))
    keys = Keys(prefix)
    for key, longer in (
        (keys.used("source", token_id(1)), KEPT_LONGER),
        (keys.revoked("issuer", "jti"), KEPT_LONGER),
        (keys.invitation(CODE), INVITATION_KEPT_LONGER),
    ):
        assert seconds_left(look, key) == pytest.approx(300 + max(ahead, 0) + longer, abs=5)


def test_what_must_stay_is_kept_for_ever_and_nothing_else_is(open_store: OpenStore, look: Redis, prefix: str) -> None:
    store = open_store()
    store.replace_ring("ring", expected=None)
    store.invite(invitation())
    enroll(store, device(1), code_hash=CODE)
    rekey(store, 1, expected=1, new=2)
    store.revoke("issuer", "jti", expires_at=NOW + 60)
    store.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
    store.check()
    kinds: dict[bool, set[str]] = {True: set(), False: set()}
    for key in look.scan_iter(f"{prefix}:*"):
        kinds[look.pttl(key) == -1].add(key.split(":")[1])
    assert kinds == {
        True: {"{ring}", "device", "key", "owner", "source"},
        False: {"used", "revoked", "invitation", "{ring}"},
    }


def test_environments_at_one_server_know_nothing_of_each_other(url: str, prefix: str) -> None:
    one, other = opened(url, f"{prefix}-one"), opened(url, f"{prefix}-other")
    one.replace_ring("ring", expected=None)
    enroll(one, device(1))
    one.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)
    assert other.read_ring() is None
    assert list(other.list_devices(["phones"])) == []
    other.use_once("source", token_id(1), expires_at=NOW + 60, now=NOW)


@given(source=some.text(), whose=some.text(), rest=some.text())
def test_what_was_used_can_be_read_out_of_its_key(source: str, whose: str, rest: str) -> None:
    keys = Keys("production")
    for token in (whose, f"{whose}.{rest}"):
        key = keys.used(source, token)
        assert keys.read_used(key) == (source, token)
        assert key.count("{") == key.count("}") == 1
    assert keys.read_revoked(keys.revoked(source, rest)) == (source, rest)
