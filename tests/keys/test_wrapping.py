"""Private keys at rest, and the master key that wraps them."""

import base64
import hmac
import multiprocessing
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authserver.errors import ConfigurationError
from authserver.jose import jwk
from authserver.jose.compact import base64url_encode
from authserver.keys.secrets import SecretMissing
from authserver.keys.wrapping import MasterKeys, MasterKeyWrong, load_master_key
from authserver.table import SecretReference
from tests.keys.processes import load_at_once

SPAWN = multiprocessing.get_context("spawn")
ENTRY = {"issuer": "https://issuer.test", "kid": "a-key", "algorithm": "ES256"}
OLD, NEW = bytes(range(32)), bytes(range(32, 64))


def same(one: jwk.PrivateKey, other: jwk.PrivateKey) -> bool:
    return jwk.export_public(one.public_key()) == jwk.export_public(other.public_key())


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_a_wrapped_key_opens_again(algorithm: str) -> None:
    private = jwk.generate(algorithm)
    keys = MasterKeys(OLD)
    assert same(keys.unwrap(keys.wrap(private, **ENTRY), **ENTRY), private)


def test_the_same_key_is_never_wrapped_the_same_way_twice() -> None:
    private, keys = jwk.generate("ES256"), MasterKeys(OLD)
    assert keys.wrap(private, **ENTRY) != keys.wrap(private, **ENTRY)


def test_a_previous_master_key_still_opens_and_the_current_one_wraps() -> None:
    private = jwk.generate("ES256")
    both = MasterKeys(NEW, [OLD])
    assert same(both.unwrap(MasterKeys(OLD).wrap(private, **ENTRY), **ENTRY), private)
    assert same(MasterKeys(NEW).unwrap(both.wrap(private, **ENTRY), **ENTRY), private)


def test_a_key_for_another_purpose_comes_from_each_master_key_and_says_nothing_of_it() -> None:
    """RFC 5869: the same everywhere, another for each purpose, and the current one first."""
    one, other = os.urandom(32), os.urandom(32)
    derived = MasterKeys(one, [other]).derive("nonces of https://auth.test")
    assert derived == MasterKeys(one, [other]).derive("nonces of https://auth.test")
    assert derived[::-1] == MasterKeys(other, [one]).derive("nonces of https://auth.test")
    assert [len(key) for key in derived] == [32, 32]
    assert not {one, other, *MasterKeys(one).derive("something else")} & set(derived)
    assert derived[0] == hkdf_of_one_block(one, b"nonces of https://auth.test")


def hkdf_of_one_block(key: bytes, info: bytes) -> bytes:
    """RFC 5869 sections 2.2 and 2.3, for 32 bytes and without a salt."""
    extracted = hmac.digest(bytes(32), key, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def test_another_master_key_does_not_open_and_the_error_names_the_key_and_a_remedy() -> None:
    wrapped = MasterKeys(OLD).wrap(jwk.generate("ES256"), **ENTRY)
    with pytest.raises(MasterKeyWrong, match=r"keys\.master_key.*'a-key'.*previous_master_keys") as wrong:
        MasterKeys(NEW).unwrap(wrapped, **ENTRY)
    assert wrapped not in str(wrong.value)


@pytest.mark.parametrize("changed", ["issuer", "kid", "algorithm"])
def test_a_wrapped_key_that_was_moved_elsewhere_does_not_open(changed: str) -> None:
    keys = MasterKeys(OLD)
    wrapped = keys.wrap(jwk.generate("ES256"), **ENTRY)
    with pytest.raises(MasterKeyWrong):
        keys.unwrap(wrapped, **{**ENTRY, changed: "other"})


def test_the_parts_of_the_context_cannot_run_into_each_other() -> None:
    keys = MasterKeys(OLD)
    wrapped = keys.wrap(jwk.generate("ES256"), issuer='a","b', kid="c", algorithm="ES256")
    with pytest.raises(MasterKeyWrong):
        keys.unwrap(wrapped, issuer="a", kid='b","c', algorithm="ES256")


def test_one_changed_character_anywhere_is_noticed() -> None:
    keys = MasterKeys(OLD)
    wrapped = keys.wrap(jwk.generate("ES256"), **ENTRY)
    for position in range(0, len(wrapped), 7):
        other = "A" if wrapped[position] != "A" else "B"
        with pytest.raises(MasterKeyWrong):
            keys.unwrap(wrapped[:position] + other + wrapped[position + 1 :], **ENTRY)


@pytest.mark.parametrize("text", ["", "v1", "v1..", "v1.x.!", "v2.{id}.AAAA", "v1.{id}.AAAA", "v1.{id}."])
def test_what_was_never_wrapped_does_not_open(text: str) -> None:
    keys = MasterKeys(OLD)
    short_id = keys.wrap(jwk.generate("ES256"), **ENTRY).split(".")[1]
    with pytest.raises(MasterKeyWrong):
        keys.unwrap(text.format(id=short_id), **ENTRY)


def test_a_key_that_cannot_sign_does_not_open() -> None:
    keys = MasterKeys(OLD)
    short_id = keys.wrap(jwk.generate("ES256"), **ENTRY).split(".")[1]
    plain = x25519.X25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    context = b'["v1", "https://issuer.test", "a-key", "ES256"]'
    sealed = AESGCM(OLD).encrypt(bytes(12), plain, context)
    with pytest.raises(MasterKeyWrong):
        keys.unwrap(f"v1.{short_id}.{base64url_encode(bytes(12) + sealed)}", **ENTRY)


# The file or variable that holds it


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config" / "authserver.toml"


REFERENCE = SecretReference(file="../keys/master.key")


def load(config: Path, *, create: bool = False) -> tuple[bytes, bool]:
    loaded = load_master_key(REFERENCE, config=config, where="keys.master_key", create=create)
    return loaded.key, loaded.readable_by_others


def put(config: Path, content: bytes, mode: int = 0o600) -> Path:
    path = config.parent.parent / "keys" / "master.key"
    path.parent.mkdir(exist_ok=True)
    config.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
def test_a_master_key_is_base64_of_either_alphabet(
    config: Path, encode: Callable[[bytes], bytes], ending: bytes
) -> None:
    key = bytes([0xFB, 0xFF]) * 16
    put(config, encode(key) + ending)
    assert load(config) == (key, False)
    put(config, encode(key).rstrip(b"=") + ending)
    assert load(config) == (key, False)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660])
def test_a_file_that_others_may_read_says_so(config: Path, mode: int) -> None:
    put(config, base64.b64encode(OLD), mode)
    assert load(config) == (OLD, True)


@pytest.mark.parametrize(
    "content",
    [b"", b" \n", base64.b64encode(OLD[:31]), base64.b64encode(OLD * 2), b"not base64 at all!", OLD, b"x" * 70000],
)
def test_anything_but_the_base64_of_32_bytes_is_refused_and_not_quoted(config: Path, content: bytes) -> None:
    put(config, content)
    with pytest.raises(
        ConfigurationError, match=r"authserver\.toml: keys\.master_key: the file .*master\.key"
    ) as wrong:
        load(config)
    assert not content.strip() or content.decode("latin-1") not in str(wrong.value)


def test_a_missing_file_is_an_error_unless_it_may_be_created(config: Path) -> None:
    config.parent.mkdir()
    with pytest.raises(SecretMissing, match="does not exist"):
        load(config)
    assert not (config.parent.parent / "keys").exists()


def test_a_file_that_may_be_created_is_readable_by_its_owner_alone_and_stays(config: Path) -> None:
    config.parent.mkdir()
    before = os.umask(0)
    try:
        key, others = load(config, create=True)
    finally:
        os.umask(before)
    path = config.parent.parent / "keys" / "master.key"
    assert (len(key), others) == (32, False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]
    assert load(config, create=True) == (key, False)


def test_a_wrong_file_is_never_overwritten(config: Path) -> None:
    path = put(config, b"somebody's notes")
    with pytest.raises(ConfigurationError):
        load(config, create=True)
    assert path.read_bytes() == b"somebody's notes"


def test_processes_that_create_it_at_once_end_with_the_same_key(config: Path) -> None:
    config.parent.mkdir()
    together, (mine, theirs) = SPAWN.Barrier(4), SPAWN.Pipe()
    started = [SPAWN.Process(target=load_at_once, args=(config, REFERENCE.file, together, theirs)) for _ in range(4)]
    for process in started:
        process.start()
    keys = set()
    for _ in started:
        assert mine.poll(60)
        keys.add(mine.recv())
    for process in started:
        process.join(60)
    assert len(keys) == 1


def test_a_directory_that_cannot_be_made_is_a_clear_error(config: Path) -> None:
    (config.parent.parent / "keys").touch()
    with pytest.raises(ConfigurationError, match="keys"):
        load(config, create=True)


def test_a_master_key_may_be_in_the_environment_and_is_never_created_there(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = SecretReference(env="THE_MASTER_KEY")
    monkeypatch.delenv("THE_MASTER_KEY", raising=False)
    with pytest.raises(SecretMissing, match="THE_MASTER_KEY is not set"):
        load_master_key(reference, config=config, where="keys.master_key", create=True)
    monkeypatch.setenv("THE_MASTER_KEY", base64.b64encode(OLD).decode())
    loaded = load_master_key(reference, config=config, where="keys.master_key", create=False)
    assert loaded.key == OLD
    assert not loaded.readable_by_others
    assert repr(OLD) not in repr(loaded)
