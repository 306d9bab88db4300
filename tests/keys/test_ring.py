"""The ring as a value, and its document in the store."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from authserver.keys.ring import Ring, RingUnreadable, decode, encode
from authserver.keys.rotate import KeyRing
from authserver.keys.wrapping import MasterKeys
from tests.keys.fixtures import ISSUER, NOW, PLAN
from tests.keys.memory import Line, SharedRing

Members = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> str:
    shared = SharedRing()
    KeyRing(Line(shared), PLAN, ISSUER, MasterKeys(bytes(32)), lambda: NOW).refresh()
    assert shared.record is not None
    return shared.record.document


def test_a_ring_is_read_back_as_it_was_written(document: str) -> None:
    ring = decode(document)
    assert len(ring.entries) == 2
    assert encode(ring) == document
    with_revoked = ring.withdraw(ring.entries[0].kid)
    assert decode(encode(with_revoked)) == with_revoked


def test_an_empty_ring_is_read_back_too() -> None:
    assert decode(encode(Ring())) == Ring()


def test_what_is_secret_does_not_show_in_a_representation(document: str) -> None:
    ring = decode(document)
    assert ring.entries[0].wrapped_private is not None
    assert ring.entries[0].wrapped_private not in repr(ring)


def test_a_ring_of_a_newer_release_is_refused_with_a_remedy(document: str) -> None:
    newer = json.dumps({**json.loads(document), "format": 2})
    with pytest.raises(RingUnreadable, match=r"format is not known.*Run the release that wrote it"):
        decode(newer)


def entry_with(**changes: object) -> Callable[[Members], object]:
    return lambda members: members["entries"][0].update(changes)


def jwk_with(**changes: object) -> Callable[[Members], object]:
    return lambda members: members["entries"][0]["public_jwk"].update(changes)


DAMAGE: dict[str, Callable[[Members], object]] = {
    "a member too many": lambda members: members.update(extra=1),
    "a member missing": lambda members: members.pop("served"),
    "served is a number": lambda members: members.update(served=1),
    "revoked is not a list": lambda members: members.update(revoked="all"),
    "a revoked key that is no string": lambda members: members.update(revoked=[1]),
    "entries are no list": lambda members: members.update(entries={}),
    "an entry that is no object": lambda members: members.update(entries=["key"]),
    "an entry twice": lambda members: members["entries"].append(members["entries"][0]),
    "a revoked key came back": lambda members: members.update(revoked=[members["entries"][0]["kid"]]),
    "an entry with a member too many": entry_with(extra=1),
    "an entry without its algorithm": lambda members: members["entries"][0].pop("algorithm"),
    "a key of another algorithm": entry_with(algorithm="RS256"),
    "an identifier that is not the thumbprint": entry_with(kid="a-name"),
    "a time that is a string": entry_with(activates_at="soon"),
    "an end before the beginning": entry_with(retires_at=0),
    "a removal before the end": entry_with(removed_at=NOW),
    "a wrapped key that is a number": entry_with(wrapped_private=5),
    "a private key among the public ones": jwk_with(d="AAAA"),
    "another public key": jwk_with(x="A" * 43),
    "a key of an unknown type": jwk_with(kty="oct"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_ring_is_refused(document: str, damage: Callable[[Members], object]) -> None:
    members = json.loads(document)
    damage(members)
    with pytest.raises(RingUnreadable, match="damaged"):
        decode(json.dumps(members))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"format":1,"format":1}', '{"format":NaN}', "\ud800"])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(RingUnreadable):
        decode(text)
