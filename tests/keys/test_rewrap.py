"""Replacing the master key: whatever a previous one wrapped is wrapped anew, and then it is needed no more."""

import pytest

from authserver.errors import Unavailable
from authserver.jose.jwk import VerificationKey
from authserver.keys.rotate import KeyRing
from authserver.keys.wrapping import MasterKeys, MasterKeyWrong
from tests.keys.fixtures import ISSUER, NOW, PLAN, Clock
from tests.keys.memory import Line, SharedRing

OLD, NEW = bytes(range(32)), bytes(range(1, 33))


def node(line: Line, master: MasterKeys) -> KeyRing:
    return KeyRing(line, PLAN, ISSUER, master, Clock())


@pytest.fixture
def line() -> Line:
    """The store of a ring that the old master key wrapped."""
    line = Line(SharedRing())
    node(line, MasterKeys(OLD)).refresh()
    return line


def test_after_rewrapping_the_previous_master_key_is_needed_no_more(line: Line) -> None:
    both = node(line, MasterKeys(NEW, [OLD]))
    both.refresh()
    before = both.signing_key("ES256", NOW)
    assert both.rewrap() == 2
    alone = node(line, MasterKeys(NEW))
    alone.refresh()
    after = alone.signing_key("ES256", NOW)
    assert after.kid == before.kid
    message = b"signed by the same key as before"
    VerificationKey(before.kid, "ES256", before.private.public_key()).verify(message, after.sign(message))
    with pytest.raises(MasterKeyWrong):
        node(line, MasterKeys(OLD)).refresh()


def test_what_a_previous_master_key_still_wraps_is_counted(line: Line) -> None:
    both = node(line, MasterKeys(NEW, [OLD]))
    both.refresh()
    assert both.wrapped_by_previous == 2
    both.rewrap()
    assert both.wrapped_by_previous == 0


def test_rewrapping_again_changes_nothing(line: Line) -> None:
    both = node(line, MasterKeys(NEW, [OLD]))
    assert both.rewrap() == 2
    written = line.shared.record
    assert both.rewrap() == 0
    assert line.shared.record == written


def test_a_process_that_holds_the_keys_in_memory_goes_on_signing(line: Line) -> None:
    running = node(line, MasterKeys(OLD))
    running.refresh()
    node(line, MasterKeys(NEW, [OLD])).rewrap()
    running.refresh()
    assert running.signing_key("ES256", NOW) is not None


def test_without_the_key_that_wrapped_them_nothing_is_changed(line: Line) -> None:
    written = line.shared.record
    with pytest.raises(MasterKeyWrong):
        node(line, MasterKeys(NEW)).rewrap()
    assert line.shared.record == written


def test_the_store_away_nothing_is_changed(line: Line) -> None:
    written = line.shared.record
    both = node(line, MasterKeys(NEW, [OLD]))
    line.writable = False
    with pytest.raises(Unavailable):
        both.rewrap()
    assert line.shared.record == written
