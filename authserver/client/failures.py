"""What can go wrong for a caller. The texts are for the person at the keyboard, and never hold a code, token or key."""

import re
from typing import Final, Self

from authserver.errors import AuthServerError

LONGEST_TEXT: Final = 300
"""How many characters of a server's words are repeated."""

_UNPRINTABLE = re.compile(r"[^ -~]")


class CallFailed(AuthServerError):
    """Base of what the client raises."""


class NoAnswer(CallFailed):
    """The server cannot be reached, is away, or asks to be left alone for now.

    ``retry_after`` is in seconds, None where the server did not say.
    """

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AnswerUnusable(CallFailed):
    """What answered does not speak the protocol, or speaks for somebody else."""


class CallRefused(CallFailed):
    """The server said no. ``code`` is the error code of the RFC, and ``request_id`` is for the server's operator.

    What the server wrote must have gone through :func:`printable`.
    """

    def __init__(self, status: int, code: str, description: str = "", request_id: str = "") -> None:
        said = ": ".join(filter(None, (code, description))) or f"HTTP status {status}"
        super().__init__(f"{said} (request {request_id})" if request_id else said)
        self.status = status
        self.code = code
        self.description = description
        self.request_id = request_id

    def with_hint(self, hint: str) -> Self:
        """The same refusal, with what it probably means where it was said."""
        return type(self)(self.status, self.code, " ".join(filter(None, (self.description, hint))), self.request_id)


class EnrollmentUnusable(CallFailed):
    """What is kept on this machine cannot be used, or cannot be kept. The message says where and what to do."""


class EnrollmentBusy(EnrollmentUnusable):
    """Another process is changing the enrolment at this moment."""


class NotEnrolled(CallFailed):
    """This machine is not enrolled at that issuer."""


class EnrolledAlready(CallFailed):
    """This machine is enrolled at that issuer, and has one enrolment for each."""


class NoIdentity(CallFailed):
    """Nothing here vouches for this program: no link of the chain has its marker."""


class IdentityUnusable(CallFailed):
    """What was found to vouch for this program is broken. The message says what it is, and what to do."""


def printable(text: object) -> str:
    """What a server said, fit to be shown on a terminal: printable ASCII, and not too long."""
    return _UNPRINTABLE.sub("?", text[:LONGEST_TEXT]) if isinstance(text, str) else ""


def for_another_caller(failure: CallFailed) -> CallFailed:
    """The same failure once more: one exception that several threads raise would mix up their traces."""
    same = type(failure).__new__(type(failure), *failure.args)
    same.__dict__.update(failure.__dict__)
    same.__cause__ = failure.__cause__
    return same


def without_traces(failure: CallFailed) -> CallFailed:
    """The failure, holding on to no variable of the functions it came through: there were credentials in them."""
    error: BaseException | None = failure
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
    return failure
