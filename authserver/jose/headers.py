"""What HTTP says about an answer: for how long it is fresh, and what time the server had."""

import re
from email.message import Message
from email.utils import mktime_tz, parsedate_tz

_MAX_AGE = re.compile(r'max-age="?([0-9]{1,9})"?', re.IGNORECASE)


def max_age(headers: Message) -> int | None:
    """What is left of an answer's freshness, in seconds (RFC 9111 section 4.2); None when it says nothing."""
    directives = [word.strip() for line in headers.get_all("Cache-Control", ()) for word in line.split(",")]
    if any(word.lower() in ("no-store", "no-cache") for word in directives):
        return 0
    match = next(filter(None, map(_MAX_AGE.fullmatch, directives)), None)
    if match is None:
        return None
    return max(0, int(match[1]) - _age(headers))


def _age(headers: Message) -> int:
    age = headers.get("Age", "0").strip()
    return int(age) if age.isdecimal() and len(age) < 10 else 0


def date(headers: Message) -> float | None:
    """The server's clock at the time of the answer, in seconds since the epoch, None when it did not say.

    What a cache answers counts too, by the age that it gives (RFC 9111 section 4.2.3).
    """
    parsed = parsedate_tz(headers.get("Date", ""))
    try:
        return mktime_tz(parsed) + _age(headers) if parsed else None
    except (ValueError, OverflowError):
        return None
