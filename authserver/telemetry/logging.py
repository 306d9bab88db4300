"""Log lines as JSON, each with the request it belongs to, and with everything that looks like a credential taken out.

Redaction is the second line of defence. The first is that no code hands a token, an assertion or a key to a logger.
"""

import json
import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, BinaryIO, Final

import structlog

from authserver.enrollment.invitation import CODE_PREFIX
from authserver.jose.compact import json_writer
from authserver.telemetry import context

REDACTED: Final = "[redacted]"

_SECRET = re.compile(
    # A compact JWS or JWE: its first segment is the base64url of a JSON object.
    # Possessive and anchored at a boundary, or a long run without a dot would be looked at once for each character.
    r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{6,}+\.[A-Za-z0-9_-]*+\.?[A-Za-z0-9_.-]*+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?i:\b(?:bearer|dpop|basic)\s+)[A-Za-z0-9._~+/=-]{16,}"
    rf"|(?i:{CODE_PREFIX}[a-z0-9]{{16,}}+)",
    re.DOTALL,
)
_SECRET_NAMES: Final = frozenset(
    (
        "access_token",
        "assertion",
        "authorization",
        "client_assertion",
        "client_secret",
        "d",
        "password",
        "subject_token",
    )
)

# Whatever is redacted leaves one of these in its line: a backslash where JSON spells any of it otherwise than it is, as
# white space other than a space, and every letter beyond ASCII.
_TRACES: Final = ("\\", "eyJ", *(f'"{name}":' for name in sorted(_SECRET_NAMES)))
_TRACES_WITH_SPACE: Final = ("private key-----", "bearer ", "dpop ", "basic ")

EventDict = MutableMapping[str, Any]


def redact(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """A structlog processor that replaces whatever looks like a credential, at any depth."""
    return {name: REDACTED if name in _SECRET_NAMES else _redacted(value) for name, value in event.items()}


def correlate(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """A structlog processor that adds which request a line belongs to, and its place in a trace."""
    return {**event, **context.fields()}


def audit_writer(stream: BinaryIO) -> Callable[[Mapping[str, Any]], object]:
    """A function that writes one audit event as a line of JSON, whole and at once.

    It raises OSError when the line could not be written whole. ``stream`` must not buffer: a line that was refused
    must not come out later, when there is room again.
    """

    def write(event: Mapping[str, Any]) -> None:
        line = _line({**event, **context.fields()}).encode("ascii") + b"\n"
        try:
            written = stream.write(line)
        except ValueError as error:  # what a closed stream raises
            raise OSError("the audit stream is closed") from error
        if written != len(line):
            raise OSError("the audit line was cut short")

    return write


def configure_logging(level: int = logging.INFO) -> None:
    """Send the standard library's log records, the server's own and everybody else's, to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(json_formatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)


def json_formatter() -> logging.Formatter:
    """A formatter that turns any log record into one redacted line of JSON."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            correlate,
            structlog.stdlib.ExtraAdder(),
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer(serializer=_json),
        ],
    )


def _line(event: EventDict) -> str:
    """The event in JSON, redacted. To look at the line for traces first takes a tenth of redacting every value."""
    line = _encode(event)
    return _encode(redact(None, "", event)) if _has_traces(line) else line


def _has_traces(line: str) -> bool:
    for trace in _TRACES:
        if trace in line:
            return True
    lowered = line.lower()
    return CODE_PREFIX.lower() in lowered or (" " in line and any(trace in lowered for trace in _TRACES_WITH_SPACE))


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else repr(value)


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return _SECRET.sub(REDACTED, value)
    if isinstance(value, Mapping):
        return redact(None, "", dict(value))
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # a named one says itself what may be seen of it
        return _SECRET.sub(REDACTED, repr(value))
    if isinstance(value, list | tuple):
        return [_redacted(member) for member in value]
    return value


def _json(value: Any, **options: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True, **options)


_encode: Final = json_writer(ensure_ascii=True, default=_plain)
