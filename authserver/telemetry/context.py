"""Which request is being served, for everything that is written down meanwhile, and W3C Trace Context."""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final, NamedTuple

NO_REQUEST: Final[Mapping[str, str]] = MappingProxyType({})

current: Final[ContextVar[Mapping[str, str]]] = ContextVar("request", default=NO_REQUEST)
"""What every line says that is written while a request is served. A thread that no request owns has nothing to say."""

# W3C Trace Context section 3.2.2: lower-case hexadecimal digits, version ff forbidden. Version 00 ends after the flags;
# a later one may go on after another dash (section 3.2.4).
_TRACEPARENT: Final = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})-(?P<trace_id>(?!0{32})[0-9a-f]{32})-(?P<span_id>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<more>-[\x21-\x7e]*)?"
)
_LONGEST_TRACEPARENT: Final = 256
_SAMPLED: Final = 0x01


class TraceParent(NamedTuple):
    """The caller's span, as the caller names it: identifiers of 32 and 16 hexadecimal digits."""

    trace_id: str
    span_id: str
    sampled: bool


def fields() -> Mapping[str, str]:
    """What is known of the request being served: ``request_id``, and in a trace ``trace_id`` and ``span_id``."""
    return current.get()


def request_fields(request_id: str, trace: TraceParent | None) -> Mapping[str, str]:
    """What :func:`fields` answers while this request is served."""
    if trace is None:
        return {"request_id": request_id}
    return {"request_id": request_id, "trace_id": trace.trace_id, "span_id": trace.span_id}


def parse_traceparent(header: str | None) -> TraceParent | None:
    """Read a ``traceparent`` header strictly; one that is absent, malformed or sent twice gives None."""
    if header is None or len(header) > _LONGEST_TRACEPARENT:
        return None
    found = _TRACEPARENT.fullmatch(header)
    if found is None or (found["version"] == "00" and found["more"] is not None):
        return None
    return TraceParent(found["trace_id"], found["span_id"], bool(int(found["flags"], 16) & _SAMPLED))
