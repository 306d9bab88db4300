"""What a platform vouches for of a device: the form of an attestation, and which format reads it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from authserver.errors import MetadataRefused, Reason

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


@dataclass(frozen=True, slots=True)
class Statement:
    """An attestation as a device sent it: the name of its format and everything beside it. None of it is believed."""

    format: str
    unverified_members: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Attested:
    """What a platform vouches for.

    ``attestation`` is what rules match. What is not None beside it is believed instead of the device's own word.
    """

    attestation: str
    platform: str | None = None
    model: str | None = None
    app_id: str | None = None


UNATTESTED: Final = Attested("none")
"""What is known of a device that brings no attestation."""


class Format(Protocol):
    """One format of attestation."""

    def attest(self, unverified_members: Mapping[str, Any], *, thumbprint: str, now: float) -> Attested:
        """What the platform vouches for, of the device whose key has this thumbprint (RFC 7638).

        ``unverified_members`` are those of the statement without its ``format``. ``now`` is in seconds since the epoch.

        :raises MetadataRefused: the statement is not believed, or is about another key.
        """
        ...  # a protocol has no body


def read_statement(member: object) -> Statement | None:
    """Read the member ``attestation``: an object whose ``format`` says how to read the rest. None stands for none.

    :raises MetadataRefused: ``metadata_malformed``.
    """
    if member is None:
        return None
    name = member.get("format") if isinstance(member, Mapping) else None
    if not isinstance(member, Mapping) or not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise MetadataRefused(Reason.METADATA_MALFORMED, member="attestation")
    return Statement(name, {key: value for key, value in member.items() if key != "format"})


def attest(statement: Statement | None, formats: Mapping[str, Format], *, thumbprint: str, now: float) -> Attested:
    """What is known of a device with this key.

    :raises MetadataRefused: ``attestation_unsupported``, or whatever the format says.
    """
    if statement is None:
        return UNATTESTED
    reader = formats.get(statement.format)
    if reader is None:
        raise _unsupported(statement)
    return reader.attest(statement.unverified_members, thumbprint=thumbprint, now=now)


def refuse_statement(statement: Statement | None) -> None:
    """Check that there is no attestation, where none is read.

    :raises MetadataRefused: ``attestation_unsupported``.
    """
    if statement is not None:
        raise _unsupported(statement)


def _unsupported(statement: Statement) -> MetadataRefused:
    # What is offered as a reason to be believed is never ignored: the device would think that it was.
    return MetadataRefused(Reason.ATTESTATION_UNSUPPORTED, unverified_format=statement.format)
