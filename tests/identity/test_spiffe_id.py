"""SPIFFE IDs: one spelling each (SPIFFE-ID sections 2.1 to 2.4)."""

import pytest

from authserver.identity.spiffe_id import MAX_LENGTH, SpiffeId
from tests import vectors

GOOD = {
    "spiffe://example.org": ("example.org", ""),
    "spiffe://example.org/a": ("example.org", "/a"),
    "spiffe://example.org/ns/Media/sa/thumb_nailer-1.2": ("example.org", "/ns/Media/sa/thumb_nailer-1.2"),
    "spiffe://trust_domain-1/...": ("trust_domain-1", "/..."),
    "spiffe://10.0.0.1/a": ("10.0.0.1", "/a"),
    f"spiffe://{'d' * 255}/a": ("d" * 255, "/a"),
    f"spiffe://d/{'p' * (MAX_LENGTH - 11)}": ("d", "/" + "p" * (MAX_LENGTH - 11)),
}
BAD = {
    "empty": "",
    "a capital letter in the trust domain": "spiffe://Example.org/a",
    "a capital letter in the scheme": "SPIFFE://example.org/a",
    "another scheme": "https://example.org/a",
    "a scheme and nothing else": "spiffe://",
    "one slash": "spiffe:/example.org/a",
    "no trust domain": "spiffe:///a",
    "a port": "spiffe://example.org:443/a",
    "an empty port": "spiffe://example.org:/a",
    "a user": "spiffe://user@example.org/a",
    "a user and a password": "spiffe://user:password@example.org/a",
    "an IPv6 address": "spiffe://[::1]/a",
    "a percent-encoding in the trust domain": "spiffe://example%2eorg/a",
    "a percent-encoding in the path": "spiffe://example.org/a%2fb",
    "an encoded capital letter": "spiffe://example.org/%41",
    "a trailing slash": "spiffe://example.org/a/",
    "a slash and nothing else": "spiffe://example.org/",
    "an empty segment": "spiffe://example.org/a//b",
    "an empty first segment": "spiffe://example.org//a",
    "this segment": "spiffe://example.org/a/./b",
    "the segment above": "spiffe://example.org/a/../b",
    "the segment above, last": "spiffe://example.org/a/..",
    "a query": "spiffe://example.org/a?b",
    "a query without a path": "spiffe://example.org?b",
    "a fragment": "spiffe://example.org/a#b",
    "white space": "spiffe://example.org/a b",
    "white space before": " spiffe://example.org/a",
    "a line break after": "spiffe://example.org/a\n",
    "a line break after the trust domain": "spiffe://example.org\n/a",
    "a letter that is not ASCII": "spiffe://example.org/\u00e4",
    "a letter that looks like another": "spiffe://ex\u0430mple.org/a",
    "a colon in the path": "spiffe://example.org/a:b",
    "a backslash": "spiffe://example.org\\a",
    "NUL": "spiffe://example.org/a\0",
    "a trust domain that is too long": f"spiffe://{'d' * 256}/a",
    "too long": f"spiffe://d/{'p' * (MAX_LENGTH - 10)}",
}


@pytest.mark.parametrize("text", GOOD, ids=range(len(GOOD)))
def test_a_spiffe_id_is_its_trust_domain_and_its_path(text: str) -> None:
    spiffe_id = SpiffeId.parse(text)
    assert (spiffe_id.trust_domain, spiffe_id.path) == GOOD[text]
    assert str(spiffe_id) == text


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_is_spelled_in_another_way_is_refused_and_not_repeated(text: str) -> None:
    """R97"""
    with pytest.raises(ValueError, match=r"^not ") as refused:
        SpiffeId.parse(text)
    assert not text or text not in str(refused.value)


def test_the_public_identifiers_are_read() -> None:
    file = vectors.path("spiffe/java-spiffe/java-spiffe-core/src/test/resources/testdata/spiffeid/spiffeIds.txt")
    identifiers = file.read_text("utf-8").split()
    assert [str(SpiffeId.parse(each)) for each in identifiers] == identifiers != []
