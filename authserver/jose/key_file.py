"""A key set in a file, read as if it had been fetched, so that it is kept, renewed and bounded in the same way."""

from pathlib import Path
from typing import Final

from authserver.jose.compact import json_object
from authserver.jose.fetch import MAX_BYTES, Cause, Fetched, unreachable

MAX_AGE: Final = 60
"""Seconds that a file's keys are fresh: a file is cheap to read again, and a key taken out of it should die soon."""


def read_key_file(path: Path) -> Fetched:
    """Read the JWK set in the file at ``path``.

    :raises Unavailable: ``issuer_unreachable``; it cannot be read, is too large, or is not one JSON object.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError:
        raise unreachable(Cause.FILE_UNREADABLE) from None
    if len(raw) > MAX_BYTES:
        raise unreachable(Cause.TOO_LARGE)
    try:
        return Fetched(json_object(raw), max_age=MAX_AGE)
    except ValueError:
        raise unreachable(Cause.ANSWER_MALFORMED) from None
