"""Keys in the keyring of the operating system, and what it looks like when there is none that can be used."""

import subprocess
import sys
from collections.abc import Callable

import keyring.backends.fail
import keyring.backends.null
import keyring.errors
import pytest
from keyring.backend import KeyringBackend

from authserver.client.failures import EnrollmentUnusable
from authserver.client.key_places import KeyringKeys
from tests.client.conftest import MemoryKeyring

UseKeyring = Callable[[KeyringBackend], None]


class Locked(MemoryKeyring):
    """A keyring that its owner has not unlocked."""

    def get_password(self, *_: str) -> str | None:
        raise keyring.errors.KeyringLocked("no")


class Forgetful(MemoryKeyring):
    """A keyring that takes everything and keeps nothing."""

    def set_password(self, *_: str) -> None:
        pass


@pytest.mark.usefixtures("memory_keyring")
def test_a_key_is_kept_found_and_forgotten() -> None:
    keys = KeyringKeys("https://auth.example.com")
    keys.store("name", b"pem")
    assert keys.load("name") == b"pem"
    assert KeyringKeys("https://other.example.com").load("name") is None
    keys.forget("name")
    keys.forget("name")
    assert keys.load("name") is None


@pytest.mark.parametrize(
    "backend",
    [keyring.backends.fail.Keyring, keyring.backends.null.Keyring],
    ids=["none", "the one that keeps nothing"],
)
def test_a_machine_without_a_keyring_says_so(backend: type[KeyringBackend], use_keyring: UseKeyring) -> None:
    use_keyring(backend())
    with pytest.raises(EnrollmentUnusable, match="no keyring of the operating system"):
        KeyringKeys("https://auth.example.com").store("name", b"pem")


def test_a_locked_keyring_says_so(use_keyring: UseKeyring) -> None:
    use_keyring(Locked())
    keys = KeyringKeys("https://auth.example.com")
    attempts: list[Callable[[], object]] = [
        lambda: keys.store("name", b"pem"),
        lambda: keys.load("name"),
        lambda: keys.forget("name"),
    ]
    for attempt in attempts:
        with pytest.raises(EnrollmentUnusable, match="KeyringLocked"):
            attempt()


def test_a_keyring_that_keeps_nothing_is_noticed_before_the_server_is_told(use_keyring: UseKeyring) -> None:
    use_keyring(Forgetful())
    with pytest.raises(EnrollmentUnusable, match="does not keep"):
        KeyringKeys("https://auth.example.com").store("name", b"pem")


def test_without_the_package_the_remedy_is_named() -> None:
    program = (
        "import sys\nsys.modules['keyring'] = None\n"
        "from authserver.client.key_places import KeyringKeys\n"
        "KeyringKeys('https://auth.example.com').load('x')"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert 'the extra "keyring"' in finished.stderr
