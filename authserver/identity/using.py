"""What a request uses up."""

from authserver.errors import CredentialRejected, Reason
from authserver.model import Subject, Use


def still_usable(subject: Subject, now: float) -> Use | None:
    """What is used up when the credential of ``subject`` is; None if it may be used again.

    :raises CredentialRejected: ``expired``: it was still good when it was verified. Nothing is remembered that is over,
        so a second use would not be noticed.
    """
    use = subject.use
    if use is not None and now >= use.expires_at:
        raise CredentialRejected(Reason.EXPIRED, exp=use.expires_at, now=now, skew=0)
    return use
