"""An enrolment as this machine remembers it: which key is whose, at which issuer.

Whatever names a key is written before the key is kept, and a key is forgotten before its name is. So there is never
a key that nothing names, wherever a crash falls.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from authserver.client.device_key import ALGORITHMS, from_pem, to_pem
from authserver.client.failures import EnrollmentUnusable
from authserver.client.home import default_home, issuer_directory
from authserver.client.key_places import FILE, KEYRING, KeyFiles, KeyPlace, KeyringKeys
from authserver.client.private_directory import PrivateDirectory
from authserver.jose.compact import json_object
from authserver.jose.jwk import SigningKey

_DOCUMENT: Final = "enrollment.json"
_VERSION: Final = 1
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")  # it becomes part of a file's name


@dataclass(frozen=True, slots=True)
class KeptKey:
    """A key by its thumbprint (RFC 7638), and where it is kept: ``file`` or ``keyring``."""

    thumbprint: str
    algorithm: str
    place: str

    def __post_init__(self) -> None:
        """Refuse what this version does not know.

        :raises ValueError: it does not.
        """
        named = _THUMBPRINT.fullmatch(str(self.thumbprint))
        if not named or self.algorithm not in ALGORITHMS or self.place not in (FILE, KEYRING):
            raise ValueError("not a key of this version")


@dataclass(frozen=True, slots=True)
class Draft:
    """An enrolment that was begun. Whether the server has accepted ``key`` is not known."""

    issuer: str
    key: KeptKey


@dataclass(frozen=True, slots=True)
class Enrollment:
    """This machine is ``client_id`` at ``issuer``.

    ``next`` is the key of a re-key that was begun and not finished, and ``retired`` one that is yet to be forgotten.
    """

    issuer: str
    client_id: str
    name: str
    registration_uri: str
    key: KeptKey
    next: KeptKey | None = None
    retired: KeptKey | None = None


class EnrollmentRecord:
    """What is kept about one issuer, in the directory ``home``."""

    def __init__(self, issuer: str, home: Path | None = None) -> None:
        self.issuer = issuer
        self._directory = PrivateDirectory(issuer_directory(home or default_home(), issuer))

    @property
    def path(self) -> Path:
        """The directory that everything about this issuer is in."""
        return self._directory.path

    def exists(self) -> bool:
        """Whether there is anything to read. Says nothing about whether it can be used."""
        try:
            (self.path / _DOCUMENT).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True  # and reading it says what is wrong
        return True

    def read(self) -> Draft | Enrollment | None:
        """What is known.

        :raises EnrollmentUnusable: it cannot be read, or is damaged.
        """
        content = self._directory.read(_DOCUMENT)
        if content is None:
            return None
        try:
            return _parsed(json_object(content), self.issuer)
        except (ValueError, TypeError, KeyError):
            raise EnrollmentUnusable(f"{self.path / _DOCUMENT} is damaged. {self._remedy()}") from None

    def write(self, known: Draft | Enrollment) -> None:
        """Remember, durably.

        :raises EnrollmentUnusable: it cannot be written.
        """
        document = json.dumps({"version": _VERSION, **asdict(known)}, indent=2)
        self._directory.replace(_DOCUMENT, document.encode("utf-8") + b"\n")

    def clear(self) -> None:
        """Remember nothing any more. The keys must have been forgotten."""
        self._directory.remove(_DOCUMENT)

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Be the only process that changes this record.

        :raises EnrollmentBusy: another one is at it.
        """
        with self._directory.locked():
            yield

    def keep(self, key: SigningKey, kept: KeptKey) -> None:
        """Keep a private key, durably.

        :raises EnrollmentUnusable: it cannot be kept.
        """
        self._place(kept).store(kept.thumbprint, to_pem(key))

    def load(self, kept: KeptKey) -> SigningKey | None:
        """A private key; None if it was not kept, or is forgotten.

        :raises EnrollmentUnusable: it cannot be read, or is not the one that is named.
        """
        pem = self._place(kept).load(kept.thumbprint)
        if pem is None:
            return None
        try:
            key = from_pem(pem)
        except ValueError:
            key = None
        if key is None or (key.kid, key.algorithm) != (kept.thumbprint, kept.algorithm):
            raise EnrollmentUnusable(f"the key of {self.path} is damaged. {self._remedy()}")
        return key

    def require(self, kept: KeptKey) -> SigningKey:
        """A private key that must be there.

        :raises EnrollmentUnusable: it is not.
        """
        key = self.load(kept)
        if key is None:
            raise EnrollmentUnusable(f"the key of {self.path} is gone. {self._remedy()}")
        return key

    def forget(self, kept: KeptKey | None) -> None:
        """Remove a private key, if there is one.

        :raises EnrollmentUnusable: it cannot be removed.
        """
        if kept is not None:
            self._place(kept).forget(kept.thumbprint)

    def _place(self, kept: KeptKey) -> KeyPlace:
        return KeyringKeys(self.issuer) if kept.place == KEYRING else KeyFiles(self._directory)

    def _remedy(self) -> str:
        return f"Have the device revoked at the server, delete {self.path}, and enrol again"


def _parsed(document: Mapping[str, Any], issuer: str) -> Draft | Enrollment:
    """:raises ValueError: or KeyError or TypeError, where it is not what :meth:`EnrollmentRecord.write` wrote."""
    if document["version"] != _VERSION or document["issuer"] != issuer:
        raise ValueError("of another version, or of another issuer")
    key = KeptKey(**document["key"])
    if "client_id" not in document:
        return Draft(issuer, key)
    client_id, name, uri = (document[name] for name in ("client_id", "name", "registration_uri"))
    if not (isinstance(client_id, str) and isinstance(name, str) and isinstance(uri, str)):
        raise ValueError("not texts")
    return Enrollment(issuer, client_id, name, uri, key, _kept(document["next"]), _kept(document["retired"]))


def _kept(members: Mapping[str, Any] | None) -> KeptKey | None:
    return None if members is None else KeptKey(**members)
