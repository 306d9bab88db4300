"""Leave for one device to enrol: the code that says so, and who may be given one.

A code is ``asenroll_``, 160 random bits in base32, and their CRC-32 in base32, all in lower case: a scanner for secrets
can tell one from anything else without asking us, and a person can type it. Only its SHA-256 is ever kept.
"""

import hashlib
import re
import zlib
from base64 import b32encode
from collections.abc import Callable, Mapping
from typing import Final

from authserver.enrollment.rules import EnrollmentRules, is_text
from authserver.errors import CredentialRejected, Reason, RequestMalformed
from authserver.model import ATTRIBUTE_NAME, DEVICE_ATTRIBUTES, Invitation
from authserver.oauth import REGISTRATION_PATH
from authserver.store.ports import DeviceStore

CODE_PREFIX: Final = "asenroll_"
"""How every enrolment code begins, and nothing else that a caller could present."""

MOST_ATTRIBUTES: Final = 16
"""How many attributes an invitation may give a device."""

_RANDOM_BYTES: Final = 20
_CODE = re.compile(rf"({CODE_PREFIX}[a-z2-7]{{32}})([a-z2-7]{{7}})")


def make_code(randomness: Callable[[int], bytes]) -> str:
    """An enrolment code. ``randomness`` gives as many random bytes as it is asked for, fit for a secret."""
    body = CODE_PREFIX + _base32(randomness(_RANDOM_BYTES))
    return body + _checksum(body)


def hash_code(unverified_code: str) -> str:
    """What is kept of a code: its SHA-256 in hexadecimal. What was mistyped needs no look into the store.

    :raises CredentialRejected: ``code_malformed``: it has another form, or its checksum is wrong.
    """
    match = _CODE.fullmatch(unverified_code)
    if match is None or match[2] != _checksum(match[1]):
        raise CredentialRejected(Reason.CODE_MALFORMED)
    return hashlib.sha256(unverified_code.encode("ascii")).hexdigest()


def enrollment_url(issuer: str, code: str) -> str:
    """What a device scans: where to register, and the code in the fragment, which no client sends to any server."""
    return f"{issuer.rstrip('/')}{REGISTRATION_PATH}#{code}"


class Invitations:
    """Gives out enrolment codes. ``rules`` are those of each device source, by its name."""

    def __init__(
        self,
        devices: DeviceStore,
        rules: Mapping[str, EnrollmentRules],
        *,
        clock: Callable[[], float],
        randomness: Callable[[int], bytes],
    ) -> None:
        self._devices = devices
        self._rules = dict(rules)
        self._clock = clock
        self._randomness = randomness

    def invite(
        self,
        source: object,
        *,
        owner: object,
        lifetime: object = None,
        platform: object = None,
        attributes: object = None,
    ) -> tuple[str, Invitation]:
        """Invite one device, and give the code, which cannot be had again, with what it stands for.

        The arguments are whatever the caller sent, not checked yet. ``owner`` is whom the device is for, None for
        nobody. ``lifetime`` is in seconds, None for the source's. ``platform`` is the only one that will do, and
        ``attributes`` maps names to strings.

        :raises RequestMalformed: ``parameter_unsupported``, with the one that is wrong as the fact ``parameter``.
        :raises Unavailable: ``store_unavailable``.
        """
        name, rules = self._source(source)
        duration = _lifetime(lifetime, rules.code_lifetime)
        code, now = make_code(self._randomness), self._clock()
        invitation = Invitation(
            code_hash=hash_code(code),
            source=name,
            owner=_owner(owner, (*rules.enroll_with, *rules.identity_sources)),
            platform=_platform(platform),
            attributes=_attributes(attributes),
            created_at=now,
            expires_at=now + duration,
        )
        self._devices.invite(invitation)
        return code, invitation

    def _source(self, source: object) -> tuple[str, EnrollmentRules]:
        if not isinstance(source, str) or source not in self._rules:
            raise _unsupported("source")
        return source, self._rules[source]


def _owner(owner: object, identity_sources: tuple[str, ...]) -> str | None:
    """The owner, who must not look like one that an ID token names: rules could not tell the two apart."""
    if owner is None:
        return None
    if not is_text(owner) or owner.startswith(tuple(f"{name}:" for name in identity_sources)):
        raise _unsupported("owner")
    return owner


def _lifetime(lifetime: object, longest: int) -> int:
    if lifetime is None:
        return longest
    if not isinstance(lifetime, int) or isinstance(lifetime, bool) or not 1 <= lifetime <= longest:
        raise _unsupported("lifetime")
    return lifetime


def _platform(platform: object) -> str | None:
    if platform is not None and not is_text(platform):
        raise _unsupported("platform")
    return platform


def _attributes(attributes: object) -> Mapping[str, str]:
    if attributes is None:
        return {}
    if not isinstance(attributes, Mapping) or len(attributes) > MOST_ATTRIBUTES:
        raise _unsupported("attributes")
    if not all(_is_free(name) and is_text(value) for name, value in attributes.items()):
        raise _unsupported("attributes")
    return dict(attributes)


def _is_free(name: object) -> bool:
    """Whether an invitation may give an attribute of this name: every device has the others from elsewhere."""
    return isinstance(name, str) and ATTRIBUTE_NAME.fullmatch(name) is not None and name not in DEVICE_ATTRIBUTES


def _unsupported(parameter: str) -> RequestMalformed:
    return RequestMalformed(Reason.PARAMETER_UNSUPPORTED, parameter=parameter)


def _checksum(text: str) -> str:
    return _base32(zlib.crc32(text.encode("ascii")).to_bytes(4, "big"))


def _base32(data: bytes) -> str:
    return b32encode(data).decode("ascii").rstrip("=").lower()
