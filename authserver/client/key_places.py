"""Where a device's private key is kept: in a file of the user's, or in the keyring of the operating system."""

from typing import TYPE_CHECKING, Final, Protocol

from authserver.client.failures import EnrollmentUnusable
from authserver.client.private_directory import PrivateDirectory

if TYPE_CHECKING:
    from types import ModuleType

FILE: Final = "file"
KEYRING: Final = "keyring"

_SERVICE: Final = "authserver"


class KeyPlace(Protocol):
    """Keeps private keys by name. Each method raises :class:`EnrollmentUnusable` when it cannot."""

    def store(self, name: str, pem: bytes) -> None:
        """Keep a key, durably, and never in the place of another."""
        ...  # a protocol has no body

    def load(self, name: str) -> bytes | None:
        """A key that was kept; None if there is none."""
        ...  # a protocol has no body

    def forget(self, name: str) -> None:
        """Remove a key. One that is not there is no mistake."""
        ...  # a protocol has no body


class KeyFiles:
    """A file for each key, mode 0600: whoever is this user, or root, or reads the disk or a backup, has the key."""

    def __init__(self, directory: PrivateDirectory) -> None:
        self._directory = directory

    def store(self, name: str, pem: bytes) -> None:
        """See :class:`KeyPlace`."""
        self._directory.create(_file_name(name), pem)

    def load(self, name: str) -> bytes | None:
        """See :class:`KeyPlace`."""
        return self._directory.read(_file_name(name))

    def forget(self, name: str) -> None:
        """See :class:`KeyPlace`."""
        self._directory.remove(_file_name(name))


class KeyringKeys:
    """An entry in the operating system's keyring for each key of ``issuer``.

    It is encrypted at rest and closed while the user is logged out. Programs that run as the user can still ask for
    it, on Linux without a question, and the key passes through this process's memory to sign.
    """

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer

    def store(self, name: str, pem: bytes) -> None:
        """See :class:`KeyPlace`."""
        keyring, text = _keyring(), pem.decode("ascii")
        try:
            keyring.set_password(_SERVICE, self._user(name), text)
            kept = keyring.get_password(_SERVICE, self._user(name)) == text
        except keyring.errors.KeyringError as error:
            raise _failed(error) from error
        if not kept:
            raise EnrollmentUnusable("the keyring does not keep what is put into it")

    def load(self, name: str) -> bytes | None:
        """See :class:`KeyPlace`."""
        keyring = _keyring()
        try:
            text = keyring.get_password(_SERVICE, self._user(name))
        except keyring.errors.KeyringError as error:
            raise _failed(error) from error
        return None if text is None else text.encode("utf-8", "replace")

    def forget(self, name: str) -> None:
        """See :class:`KeyPlace`."""
        keyring = _keyring()
        try:
            if keyring.get_password(_SERVICE, self._user(name)) is not None:
                keyring.delete_password(_SERVICE, self._user(name))
        except keyring.errors.KeyringError as error:
            raise _failed(error) from error

    def _user(self, name: str) -> str:
        return f"{self._issuer} {name}"


def _keyring() -> "ModuleType":
    try:
        import keyring
        import keyring.errors
    except ModuleNotFoundError as error:
        raise EnrollmentUnusable(
            'the keyring needs one more package: install authserver with the extra "keyring"'
        ) from error
    # A back end below 1 is one that its makers do not recommend: a plain file, or nothing at all.
    if keyring.get_keyring().priority < 1:
        raise EnrollmentUnusable("there is no keyring of the operating system here; leave out --keyring to use a file")
    return keyring


def _failed(error: Exception) -> EnrollmentUnusable:
    return EnrollmentUnusable(f"the keyring refuses ({type(error).__name__}); is it unlocked?")


def _file_name(name: str) -> str:
    return f"key-{name}.pem"
