"""A refusal as the caller sees its body, for those who want to write it in their own way."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

_log = logging.getLogger("authserver.resource")

_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a caller may know of why it was refused.

    ``error`` is a code of RFC 6750 or RFC 9449 and None where there were no credentials; ``scope`` is what would be
    enough, where asking for it would help. ``request_id`` is what the caller sent as ``X-Request-ID``, unverified: it
    must be escaped like anything else that a stranger wrote.
    """

    status: int
    error: str | None
    description: str
    scope: tuple[str, ...] = ()
    request_id: str | None = None


Render: TypeAlias = Callable[[Refusal], tuple[str, bytes]]
"""Makes the content type and the body of a refusal. Status and headers are not its business."""


def as_json(refusal: Refusal) -> tuple[str, bytes]:
    """The body as RFC 6749 section 5.2 has it; an empty object where there were no credentials."""
    members = {"error": refusal.error, "error_description": refusal.description} if refusal.error else {}
    return _JSON, json.dumps(members).encode("ascii")


def body_of(refusal: Refusal, render: Render) -> tuple[str, bytes]:
    """What ``render`` makes of a refusal; if it fails, that is logged, and the refusal is sent as JSON all the same."""
    try:
        media_type, body = render(refusal)
        if not media_type.isascii() or not media_type.isprintable():
            raise ValueError("not a content type")
        return media_type, bytes(body)
    except Exception:
        _log.exception("a refusal could not be rendered")
        return as_json(refusal)
