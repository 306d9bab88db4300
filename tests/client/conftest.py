"""A server, a home for enrolments, and a keyring, each of its own for every test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import keyring.backend
import pytest

from authserver.client import (
    AuthorizationServer,
    DeviceSupplier,
    Enrollment,
    EnrollmentRecord,
    Introduction,
    Registration,
    enroll,
)
from tests.client.cloud import Cloud
from tests.client.fake import FakeServer


class MemoryKeyring(keyring.backend.KeyringBackend):
    """A keyring that forgets everything with the test."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as made:
        yield made


@pytest.fixture
def elsewhere() -> Iterator[Cloud]:
    """A server and an API of somebody else's."""
    with Cloud() as made:
        yield made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def server(fake: FakeServer) -> AuthorizationServer:
    return AuthorizationServer(fake.issuer)


@pytest.fixture
def record(fake: FakeServer, home: Path) -> EnrollmentRecord:
    return EnrollmentRecord(fake.issuer, home)


@pytest.fixture
def enrolled(fake: FakeServer, server: AuthorizationServer, record: EnrollmentRecord) -> Enrollment:
    return enroll(server, record, fake.code, Introduction("a laptop"))


@pytest.fixture
def registration(server: AuthorizationServer, record: EnrollmentRecord) -> Registration:
    return Registration(server, record)


@pytest.fixture
def supplier(server: AuthorizationServer, record: EnrollmentRecord) -> DeviceSupplier:
    return DeviceSupplier(server, record)


@pytest.fixture
def use_keyring() -> Iterator[Callable[[keyring.backend.KeyringBackend], None]]:
    before = keyring.get_keyring()
    yield keyring.set_keyring
    keyring.set_keyring(before)


@pytest.fixture
def memory_keyring(use_keyring: Callable[[keyring.backend.KeyringBackend], None]) -> MemoryKeyring:
    made = MemoryKeyring()
    use_keyring(made)
    return made
