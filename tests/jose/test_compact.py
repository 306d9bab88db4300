"""The strict parse: one spelling for each token, and nothing that two readers could read differently."""

import base64
import contextlib
import json
import json.encoder
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws

from authserver.errors import CredentialRejected, Reason
from authserver.jose.compact import (
    MAX_BYTES,
    MAX_DEPTH,
    base64url_decode,
    base64url_encode,
    json_object,
    json_writer,
    parse,
    split,
)
from tests import oracle

HEADER = b'{"alg":"ES256"}'
CLAIMS = b'{"iss":"https://issuer.test"}'


def segment(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def compact(header: bytes = HEADER, claims: bytes = CLAIMS, signature: bytes = b"signature") -> str:
    return ".".join(map(segment, (header, claims, signature)))


def refused(token: str) -> Reason:
    with pytest.raises(CredentialRejected) as caught:
        parse(token)
    return caught.value.reason


def test_a_token_is_taken_apart_and_nothing_in_it_is_believed() -> None:
    token = parse(compact())
    assert token.unverified_header == {"alg": "ES256"}
    assert token.unverified_claims == {"iss": "https://issuer.test"}
    assert token.signing_input == compact().rpartition(".")[0].encode()
    assert token.signature == b"signature"


def test_the_representation_of_a_token_shows_neither_signature_nor_signing_input() -> None:
    for taken in (parse(compact()), split(compact())):
        assert "signature" not in repr(taken)
        assert "signing_input" not in repr(taken)
        assert repr(taken).startswith(f"{type(taken).__name__}(")


def test_what_joserfc_writes_is_read_the_same() -> None:
    key = oracle.make_key()
    token = oracle.sign(key, {"iss": "https://issuer.test", "name": "J\u00f6rg \U0001f511"})
    theirs = jws.extract_compact(token.encode())
    ours = parse(token)
    assert ours.unverified_header == theirs.headers()
    assert ours.unverified_claims == json.loads(theirs.payload)
    assert ours.signature == base64.urlsafe_b64decode(token.rpartition(".")[2] + "==")


HEAD, BODY, TAIL = compact().split(".")


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "....",
        " ",
        f"{HEAD}.{BODY}",
        f"{HEAD}.{BODY}.",
        f".{BODY}.{TAIL}",
        f"{HEAD}..{TAIL}",
        f"{HEAD}.{BODY}.{TAIL}.",
        f".{HEAD}.{BODY}.{TAIL}",
        f"{HEAD}.{BODY}.{TAIL}.{TAIL}",
        f"{HEAD}.{BODY}.{TAIL}.{TAIL}.{TAIL}",  # five parts are a JWE
        f" {HEAD}.{BODY}.{TAIL}",
        f"{HEAD}.{BODY}.{TAIL} ",
        f"{HEAD}.{BODY}.{TAIL}\n",
        f"{HEAD}.\n{BODY}.{TAIL}",
        f"{HEAD}=.{BODY}.{TAIL}",
        f"{HEAD}.{BODY}==.{TAIL}",
        f"{HEAD}.{BODY}.{TAIL}=",
        f"{HEAD}.{BODY}.{TAIL}+",
        f"{HEAD}.{BODY}.{TAIL}/",
        f"{HEAD}.{BODY}.{TAIL}%3D",
        f"{HEAD}.{BODY}.{TAIL}\x00",
        f"{HEAD}.{BODY}.\u017f{TAIL}",
        f"{HEAD}.{BODY}.\ud800",
        f"Bearer {HEAD}.{BODY}.{TAIL}",
        json.dumps({"payload": BODY, "protected": HEAD, "signature": TAIL}),
        json.dumps({"payload": BODY, "signatures": [{"protected": HEAD, "signature": TAIL}]}),
    ],
)
def test_what_is_not_three_segments_of_base64url_is_refused(token: str) -> None:
    """R95; RFC 7515 sections 2 and 7.1"""
    assert refused(token) is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"7",
        b"{",
        b"{}{}",
        b"{} x",
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e400}',
        b'{"a":-1e400}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":01}',
        b'{"a":"\x01"}',
        b'{"a":"\xff"}',
        b'{"a":"\xc0\xaf"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud800"}',
        b'{"\\udc00":1}',
        b'{"a":{"b":["\\ud83d"]}}',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":[{"b":1,"b":2}]}',
    ],
)
def test_a_segment_that_is_not_strictly_one_json_object_is_refused(raw: bytes) -> None:
    """R59; RFC 8725 section 2.4"""
    assert refused(compact(header=raw)) is Reason.TOKEN_MALFORMED
    assert refused(compact(claims=raw)) is Reason.TOKEN_MALFORMED
    with pytest.raises(ValueError, match=r"."):
        json_object(raw)


def test_a_surrogate_pair_is_one_character_and_fine() -> None:
    assert json_object(b'{"a":"\\ud83d\\udd11"}') == {"a": "\U0001f511"}


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_is_bounded_exactly(opening: bytes, closing: bytes) -> None:
    """R95"""

    def nested(depth: int) -> bytes:
        return b'{"a":' + opening * (depth - 1) + b"1" + closing * (depth - 1) + b"}"

    assert json_object(nested(MAX_DEPTH))
    with pytest.raises(ValueError, match="deep"):
        json_object(nested(MAX_DEPTH + 1))
    assert refused(compact(claims=nested(1500))) is Reason.TOKEN_MALFORMED


def test_brackets_in_a_string_are_not_nesting() -> None:
    text = '[{"\\' * 50
    assert json_object(json.dumps({"a": text, "b": [1]}).encode()) == {"a": text, "b": [1]}


def test_many_shallow_values_are_not_nesting() -> None:
    assert json_object(b'{"a":[' + b",".join([b"[]"] * 100) + b"]}")


def test_the_size_is_bounded_exactly() -> None:
    """R95: nothing larger is even looked at, so a hostile one costs nothing."""
    room = MAX_BYTES - len(compact(signature=b""))
    whole = compact(signature=b"s" * (room * 3 // 4))
    assert len(whole) <= MAX_BYTES
    parse(whole)
    assert refused("x" * (MAX_BYTES + 1)) is Reason.TOKEN_TOO_LARGE
    assert refused("." * 10_000_000) is Reason.TOKEN_TOO_LARGE
    assert refused("x" * MAX_BYTES) is Reason.TOKEN_MALFORMED


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.mark.parametrize("spelled", ["AAAA", "AAA", "AA"])
def test_no_character_but_those_of_the_alphabet_is_decoded_anywhere(spelled: str) -> None:
    for place in range(len(spelled)):
        for character in map(chr, range(0x180)):
            text = spelled[:place] + character + spelled[place + 1 :]
            if character not in ALPHABET:
                with pytest.raises(ValueError, match=r"."):
                    base64url_decode(text)
            elif place < len(spelled) - 1:
                assert base64url_encode(base64url_decode(text)) == text


@pytest.mark.parametrize(
    ("token", "part"),
    [
        (compact().replace(".", "+."), "serialization"),
        (f"{HEAD}.{BODY}=.{TAIL}", "serialization"),
        (f"{HEAD}.{BODY}.", "serialization"),
        (f"{HEAD}x.{BODY}.{TAIL}", "segment"),
        (compact(header=b"[]"), "segment"),
        (f"{HEAD}..{TAIL}", "claims"),
        (compact(claims=b"[]"), "claims"),
    ],
)
def test_the_operator_learns_what_of_a_token_is_malformed(token: str, part: str) -> None:
    with pytest.raises(CredentialRejected) as caught:
        parse(token)
    assert caught.value.facts == {"part": part}


def test_a_header_that_was_read_before_is_the_same_and_cannot_be_changed() -> None:
    first, second = parse(compact(claims=b'{"a":1}')), parse(compact(claims=b'{"a":2}'))
    assert first.unverified_header == second.unverified_header == {"alg": "ES256"}
    with pytest.raises(TypeError):
        first.unverified_header["alg"] = "none"  # type: ignore[index]


def test_a_header_too_long_to_be_kept_is_read_all_the_same() -> None:
    long = {"alg": "ES256", "x5c": ["x" * 2000]}
    for _ in range(2):
        assert parse(compact(header=json.dumps(long).encode())).unverified_header == long


@pytest.mark.parametrize("raw", [b"a", b"ab", b"abc", b"\x00", b"\xff\xff"])
def test_the_same_bytes_have_exactly_one_spelling(raw: bytes) -> None:
    """RFC 7515 section 2: re-encoded spellings are refused, so they are never another token."""
    spelled = base64url_encode(raw)
    accepted = []
    for character in ALPHABET:
        try:
            accepted.append(base64url_decode(spelled[:-1] + character))
        except ValueError:
            continue
    assert accepted.count(raw) == 1
    assert len(accepted) == len(set(accepted))


@pytest.mark.parametrize("text", ["=", "YQ==", "YQ=", "Y", "YWJjZ", "YQ\n", "+w", "/w", "Y Q", "\u0100"])
def test_base64url_in_any_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        base64url_decode(text)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_base64url_is_what_the_standard_library_writes_without_padding(raw: bytes) -> None:
    assert base64url_encode(raw) == segment(raw)
    assert base64url_decode(segment(raw)) == raw


def raises_only_what_it_says(token: str) -> None:
    with contextlib.suppress(CredentialRejected):
        parse(token)


@settings(deadline=None)
@given(st.text(max_size=300))
def test_arbitrary_text_raises_nothing_but_a_refusal(text: str) -> None:
    raises_only_what_it_says(text)


@settings(deadline=None)
@given(st.lists(st.text(ALPHABET + ".=", max_size=60), max_size=6).map(".".join))
def test_text_that_looks_like_a_token_raises_nothing_but_a_refusal(text: str) -> None:
    raises_only_what_it_says(text)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80))
def test_arbitrary_segments_raise_nothing_but_a_refusal(header: bytes, claims: bytes, signature: bytes) -> None:
    raises_only_what_it_says(compact(header, claims, signature))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4),
    max_leaves=10,
)


@settings(deadline=None)
@given(JSON, JSON)
def test_arbitrary_json_raises_nothing_but_a_refusal(header: object, claims: object) -> None:
    raises_only_what_it_says(compact(json.dumps(header).encode(), json.dumps(claims).encode()))


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_a_payload_is_read_as_the_standard_library_reads_it(claims: dict[str, object]) -> None:
    raw = json.dumps(claims).encode()
    try:
        ours = parse(compact(claims=raw)).unverified_claims
    except CredentialRejected:
        return
    assert json.dumps(ours) == json.dumps(json.loads(raw))


def test_splitting_does_not_read_the_payload() -> None:
    jws = split(compact(claims=b"not json"))
    assert jws.unverified_payload == b"not json"
    assert split(compact(claims=b"")).unverified_payload == b""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda members: st.lists(members) | st.dictionaries(st.text(), members),
)


@given(JSON, st.booleans())
def test_json_is_written_as_the_library_writes_it(value: Any, ensure_ascii: bool) -> None:
    wanted = json.dumps(value, separators=(",", ":"), ensure_ascii=ensure_ascii)
    assert json_writer(ensure_ascii=ensure_ascii)(value) == wanted


@pytest.mark.parametrize("accelerated", [True, False])
def test_json_is_written_with_and_without_an_encoder_in_c(monkeypatch: pytest.MonkeyPatch, accelerated: bool) -> None:
    if not accelerated:
        monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    write = json_writer(ensure_ascii=False, allow_nan=False, default=sorted)
    assert write({"zoë": {2, 1}, "also": ("a", None, True, 1.5)}) == '{"zoë":[1,2],"also":["a",null,true,1.5]}'
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write({"number": number})
