"""What is kept on disk: who may look, what damage looks like, and that no link leads anywhere else."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from authserver.client import Enrollment, EnrollmentRecord, Registration
from authserver.client.failures import EnrollmentUnusable, NotEnrolled
from authserver.client.home import default_home, issuer_directory
from authserver.client.private_directory import MAX_BYTES, PrivateDirectory

DOCUMENT = "enrollment.json"


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[PrivateDirectory]:
    made = PrivateDirectory(tmp_path / "private")
    with made.locked():
        yield made


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_no_umask_opens_what_is_made(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        directory = PrivateDirectory(tmp_path / "private")
        with directory.locked():
            directory.create("key", b"secret")
            directory.replace("document", b"{}")
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in directory.path.iterdir()}
    assert (modes["key"], modes["document"]) == (0o600, 0o600)
    assert stat.S_IMODE(directory.path.stat().st_mode) & 0o077 == 0


def test_a_file_is_never_made_over_another(directory: PrivateDirectory) -> None:
    directory.create("key", b"first")
    with pytest.raises(EnrollmentUnusable, match="key: File exists"):
        directory.create("key", b"second")
    assert directory.read("key") == b"first"


def test_what_a_crash_left_half_written_is_in_nobodys_way(directory: PrivateDirectory) -> None:
    (directory.path / ".draft").write_bytes(b"hal")
    directory.create("key", b"whole")
    directory.replace("document", b"{}")
    assert sorted(file.name for file in directory.path.iterdir()) == ["document", "key", "lock"]


def test_a_symbolic_link_is_not_followed(directory: PrivateDirectory, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"somebody else's")
    elsewhere.chmod(0o600)
    for name in ("key", ".draft"):
        (directory.path / name).symlink_to(elsewhere)
    with pytest.raises(EnrollmentUnusable, match="symbolic links"):
        directory.read("key")
    with pytest.raises(EnrollmentUnusable, match="File exists"):
        directory.create("key", b"secret")
    directory.replace("key", b"secret")
    assert elsewhere.read_bytes() == b"somebody else's"
    assert directory.read("key") == b"secret"


def test_a_directory_behind_a_symbolic_link_is_not_used(directory: PrivateDirectory, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(directory.path)
    with pytest.raises(EnrollmentUnusable, match="link"):
        PrivateDirectory(tmp_path / "link").read("key")
    (tmp_path / "file").touch()
    with pytest.raises(EnrollmentUnusable, match="must be a directory"):
        PrivateDirectory(tmp_path / "file").read("key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_file_that_others_can_get_at_is_refused_with_the_remedy(mode: int, directory: PrivateDirectory) -> None:
    directory.create("key", b"secret")
    (directory.path / "key").chmod(mode)
    with pytest.raises(EnrollmentUnusable, match="chmod go= "):
        directory.read("key")


def test_a_directory_that_others_can_get_at_is_refused(directory: PrivateDirectory) -> None:
    directory.create("key", b"secret")
    directory.path.chmod(0o755)
    attempts: list[Callable[[], object]] = [
        lambda: directory.read("key"),
        lambda: directory.replace("key", b""),
        lambda: enter(directory),
    ]
    for attempt in attempts:
        with pytest.raises(EnrollmentUnusable, match="open to others"):
            attempt()


def enter(directory: PrivateDirectory) -> None:
    with directory.locked():
        raise AssertionError("not reached")


def test_what_belongs_to_another_user_is_refused(directory: PrivateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(EnrollmentUnusable, match="belongs to another user"):
        directory.read("key")


def test_what_is_no_ordinary_file_is_refused(directory: PrivateDirectory) -> None:
    os.mkfifo(directory.path / "key", 0o600)
    with pytest.raises(EnrollmentUnusable, match="not an ordinary file"):
        directory.read("key")


def test_a_file_without_end_is_refused(directory: PrivateDirectory) -> None:
    directory.replace("key", b"x" * (MAX_BYTES + 1))
    with pytest.raises(EnrollmentUnusable, match="too long"):
        directory.read("key")


def test_what_is_not_there_is_none_and_may_be_removed(directory: PrivateDirectory, tmp_path: Path) -> None:
    assert directory.read("key") is None
    assert PrivateDirectory(tmp_path / "nowhere").read("key") is None
    directory.remove("key")


def test_a_lock_holds_between_processes_and_ends_with_them(directory: PrivateDirectory) -> None:
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from authserver.client.private_directory import PrivateDirectory\n"
        "with PrivateDirectory(Path(sys.argv[1])).locked(): print('in')"
    )
    command = [sys.executable, "-c", program, str(directory.path)]
    while_held = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "EnrollmentBusy" in while_held.stderr
    other = PrivateDirectory(directory.path.parent / "other")
    after = subprocess.run([*command[:-1], str(other.path)], capture_output=True, text=True, check=False)
    assert after.stdout == "in\n"
    with other.locked():
        pass


def damaged(change: Callable[[dict[str, object]], object]) -> Callable[[bytes], bytes]:
    def damage(content: bytes) -> bytes:
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    return damage


KEY = {"thumbprint": "A" * 43, "algorithm": "ES256", "place": "file"}

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda content: content[: len(content) // 2],
    "not JSON": lambda _: b"\x00" * 100,
    "a list": lambda _: b"[]",
    "another version": damaged(lambda document: document.update(version=2)),
    "another issuer": damaged(lambda document: document.update(issuer="https://other.example")),
    "no key": damaged(lambda document: document.update(key=None)),
    "no next": damaged(lambda document: document.pop("next")),
    "a client_id that is no text": damaged(lambda document: document.update(client_id=7)),
    "a path for a thumbprint": damaged(lambda document: document.update(key={**KEY, "thumbprint": "../../x"})),
    "an algorithm of the future": damaged(lambda document: document.update(key={**KEY, "algorithm": "ML-DSA-44"})),
    "a place that is not known": damaged(lambda document: document.update(key={**KEY, "place": "tpm"})),
    "a member too many": damaged(lambda document: document.update(key={**KEY, "more": 1})),
}


@pytest.mark.usefixtures("enrolled")
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_document_is_named_with_the_remedy(damage: str, record: EnrollmentRecord) -> None:
    file = record.path / DOCUMENT
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    with pytest.raises(EnrollmentUnusable, match=r"enrollment\.json is damaged\. Have the device revoked"):
        record.read()


PEMS: dict[str, bytes] = {"empty": b"", "half": b"-----BEGIN PRIVATE KEY-----\nMIGH"}


@pytest.mark.parametrize("content", PEMS)
def test_a_damaged_key_is_named_with_the_remedy(content: str, enrolled: Enrollment, record: EnrollmentRecord) -> None:
    key_file(enrolled, record).write_bytes(PEMS[content])
    with pytest.raises(EnrollmentUnusable, match="is damaged"):
        record.load(enrolled.key)


OPENSSL: dict[str, list[str]] = {
    "another key": ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "another curve": ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "another kind": ["genpkey", "-algorithm", "ED25519"],
    "encrypted": ["genpkey", "-algorithm", "ED25519", "-aes256", "-pass", "pass:1234"],
}


@pytest.mark.parametrize("kind", OPENSSL)
def test_another_key_in_the_place_of_the_one_that_is_named_is_not_used(
    kind: str, enrolled: Enrollment, record: EnrollmentRecord
) -> None:
    made = subprocess.run(["openssl", *OPENSSL[kind]], check=True, capture_output=True)
    key_file(enrolled, record).write_bytes(made.stdout)
    with pytest.raises(EnrollmentUnusable, match="is damaged"):
        record.load(enrolled.key)


def test_a_key_that_is_gone_is_named_with_the_remedy(
    enrolled: Enrollment, record: EnrollmentRecord, registration: Registration
) -> None:
    key_file(enrolled, record).unlink()
    with pytest.raises(EnrollmentUnusable, match=r"is gone\. Have the device revoked"):
        registration.read()


def test_a_machine_that_is_not_enrolled_says_so(registration: Registration) -> None:
    for attempt in (registration.current, registration.read, registration.rekey, registration.remove):
        with pytest.raises(NotEnrolled, match="not enrolled"):
            attempt()


def key_file(known: Enrollment, record: EnrollmentRecord) -> Path:
    return record.path / f"key-{known.key.thumbprint}.pem"


@pytest.mark.parametrize(
    ("environ", "platform", "home"),
    [
        ({"AUTHSERVER_HOME": "/srv/x", "XDG_CONFIG_HOME": "/xdg"}, "linux", "/srv/x"),
        ({"XDG_CONFIG_HOME": "/xdg"}, "linux", "/xdg/authserver"),
        ({"XDG_CONFIG_HOME": "not/absolute"}, "linux", "~/.config/authserver"),
        ({}, "linux", "~/.config/authserver"),
        ({}, "darwin", "~/Library/Application Support/authserver"),
    ],
)
def test_the_home_is_where_the_platform_keeps_such_things(environ: dict[str, str], platform: str, home: str) -> None:
    assert default_home(environ, platform) == Path(home).expanduser()


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    for platform in ("linux", "darwin"):
        with pytest.raises(EnrollmentUnusable, match="AUTHSERVER_HOME"):
            default_home({}, platform)
    assert default_home({"XDG_CONFIG_HOME": "/xdg"}, "linux") == Path("/xdg/authserver")


def test_every_issuer_has_a_directory_of_its_own_whatever_its_name() -> None:
    issuers = ["https://a.example", "https://a.example/", "https://a.example/x", "https://A.example", "https://../..//"]
    directories = {issuer_directory(Path("/home"), issuer) for issuer in issuers}
    assert len(directories) == len(issuers)
    assert {directory.parent for directory in directories} == {Path("/home/enrollments")}
