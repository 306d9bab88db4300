"""The form parser, against the standard library's, which is not used because it is slow."""

from urllib.parse import parse_qsl

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authserver.endpoints.http import Request
from authserver.endpoints.params import FORM, MAX_FIELDS, read_form
from authserver.errors import Reason, RequestMalformed

# What form parsers stumble over, whole and in halves.
PIECES = st.sampled_from(
    [
        *("a", "b", "scope", "resource", "audience", "urn:x", "https://x.example/%7Eb", "=", "&", "+", "%", ";", " "),
        *("%3A", "%3a", "%2F", "%253A", "%%3A", "%2%3A5", "%26", "%3D", "%2B", "%25", "%20", "%00", "%0", "%zz"),
        *("%u0041", "%C3%A9", "%c3", "%ff", "%ED%A0%80", "\0", "\n", "\xe9"),
    ]
)


def form(body: bytes) -> Request:
    """A request with this form."""
    return Request("POST", "an-id", "192.0.2.1", headers={"content-type": (FORM,)}, body=body)


def as_the_library_reads_it(body: bytes) -> dict[str, tuple[str, ...]] | Reason:
    """Every parameter that has a value, or why the form is refused."""
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        return Reason.FORM_MALFORMED
    if any("\0" in text for pair in pairs for text in pair):
        return Reason.FORM_MALFORMED
    names = [name for name, _ in pairs]
    if any(names.count(name) > 1 and name not in ("resource", "audience") for name in names):
        return Reason.PARAMETER_REPEATED
    found = {name: tuple(value for other, value in pairs if other == name and value) for name in names}
    return {name: values for name, values in found.items() if values}


@given(st.lists(PIECES, max_size=20).map(lambda pieces: "".join(pieces).encode("latin-1")))
@example(b"&".join(b"resource=x" for _ in range(MAX_FIELDS)))
@example(b"&".join(b"resource=x" for _ in range(MAX_FIELDS + 1)))
@example(b"&" * MAX_FIELDS)
def test_a_form_is_read_as_the_standard_library_reads_it(body: bytes) -> None:
    expected = as_the_library_reads_it(body)
    if isinstance(expected, Reason):
        with pytest.raises(RequestMalformed) as refused:
            read_form(form(body))
        assert refused.value.reason is expected
    else:
        read = read_form(form(body))
        names = {name for name, _ in parse_qsl(body.decode("ascii"), keep_blank_values=True)}
        assert {name: read.all(name) for name in names if name in read} == expected
        assert all(read.one(name) == values[0] for name, values in expected.items())
