"""Log lines, and what must never be in one."""

import io
import json
import logging
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserver.enrollment.invitation import make_code
from authserver.telemetry import REDACTED, audit_writer, json_formatter
from authserver.telemetry.logging import redact
from authserver.testing import FakeIssuer

PEM = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----"  # cut short: opens nothing


def logged(message: str, *arguments: object, exception: bool = False, **extra: object) -> dict[str, Any]:
    """One record through the formatter, read back."""
    try:
        raise ValueError("no good")
    except ValueError as error:
        info = (type(error), error, error.__traceback__) if exception else None
    record = logging.getLogger("authserver").makeRecord(
        "authserver", logging.WARNING, "file.py", 1, message, arguments, info, extra=extra
    )
    line: dict[str, Any] = json.loads(json_formatter().format(record))
    return line


def audited(event: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """One event through the audit writer, read back and raw."""
    stream = io.BytesIO()
    audit_writer(stream)(event)
    raw = stream.getvalue().decode()
    assert raw.count("\n") == 1
    return json.loads(raw), raw


def test_a_line_has_its_level_logger_time_and_facts() -> None:
    line = logged("hello %s", "world", reason="store_unavailable")
    assert line["event"] == "hello world"
    assert line["level"] == "warning"
    assert line["logger"] == "authserver"
    assert line["reason"] == "store_unavailable"
    assert line["timestamp"].endswith("Z")


def test_an_exception_is_one_line_with_its_traceback() -> None:
    line = logged("failed", exception=True)
    assert "ValueError: no good" in line["exception"]


@pytest.mark.parametrize(
    "make", ["token", "cut token", "pem", "cut pem", "header", "dpop header", "code", "mistyped code"]
)
def test_whatever_looks_like_a_credential_is_redacted_at_any_depth(make: str) -> None:
    with FakeIssuer() as issuer:
        token = issuer.identity_token("https://auth.example.com")
    secret = {
        "token": token,
        "cut token": token[: len(token) // 2],
        "pem": PEM,
        "cut pem": PEM[:45],
        "header": "Bearer abcdefghijklmnopqrstuvwxyz",
        "dpop header": "DPoP abcdefghijklmnopqrstuvwxyz",
        "code": make_code(lambda size: bytes(size)),
        "mistyped code": "ASEnroll_0OIL8ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    }[make]
    kept = secret.split()[-1][:20] if make.endswith("header") else secret[10:40]
    event, raw = audited({"facts": {"deep": [f"before {secret} after", {"x": secret}]}, "plain": secret})
    assert kept not in raw
    assert REDACTED in event["plain"]
    line = logged(f"got {secret}", extra_fact=secret)
    assert kept not in json.dumps(line)


def test_a_value_is_redacted_by_its_name_too() -> None:
    event, _ = audited({"subject_token": "opaque", "facts": {"client_secret": "hush", "count": 1}})
    assert event == {"subject_token": REDACTED, "facts": {"client_secret": REDACTED, "count": 1}}


def test_ordinary_words_are_left_alone() -> None:
    fine = {"reason": "no_rule", "sub": "cluster:system:serviceaccount:a:b", "kid": "eyJkid", "jti": "eyJ.a", "n": 1}
    assert audited(dict(fine))[0] == fine


PIECES = st.sampled_from(
    [
        *(
            "eyJ",
            "eyj",
            "eyJhbGciOiJFUzI1NiJ9.e30",
            ".",
            "-----BEGIN PRIVATE KEY-----",
            "-----BEGIN EC PRIVATE KEY-----",
        ),
        *(
            "-----END PRIVATE KEY-----",
            "Bearer",
            "DPOP",
            "ba\u017fic",
            "bearer\t",
            "basic\u00a0",
            "\u212aey",
            " ",
            "  ",
        ),
        *(
            "abcdefghijklmnopqrstuvwxyz",
            "asenroll_",
            "ASENROLL_",
            "a\u017fenroll_",
            "\n",
            '"',
            "\\",
            "\x7f",
            '"d":',
            "{",
        ),
    ]
)
TEXTS = st.lists(PIECES, max_size=6).map("".join)
NAMES = st.sampled_from(["sub", "facts", "d", "password", "access_token", "D", "kid", '"d":'])
VALUES = st.recursive(
    TEXTS | st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_what_is_written_is_what_redacting_every_value_gives(event: dict[str, Any]) -> None:
    """The writer looks for traces of credentials in the whole line first, and must miss none."""
    assert audited(dict(event))[0] == redact(None, "", dict(event))


def test_what_is_no_json_is_written_in_words_of_its_own() -> None:
    mapped = MappingProxyType({"sub": "x", "d": "hush"})
    assert audited({"facts": mapped})[0] == {"facts": {"sub": "x", "d": REDACTED}}
    assert audited({"kind": frozenset()})[0] == {"kind": "frozenset()"}
    assert audited({"scope": ("a", "b")})[0] == {"scope": ["a", "b"]}


def test_a_line_cannot_be_forged_by_a_line_break() -> None:
    _, raw = audited({"unverified_issuer": 'x\n{"event":"decision"}\r\u2028\x1b[0m'})
    assert raw.count("\n") == 1
    assert raw.isascii()
    assert "\x1b" not in raw


def test_a_stream_that_cannot_be_written_is_an_oserror() -> None:
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(28, "No space left on device")

    closed = io.BytesIO()
    closed.close()
    for stream in (Full(), closed):
        with pytest.raises(OSError, match=r"No space|closed"):
            audit_writer(stream)({"event": "decision"})
