"""The master key, and how it wraps every private key at rest (AES-256-GCM, NIST SP 800-38D).

Issuer, key identifier and algorithm are authenticated together with the private key, so a wrapped key that is moved
to another entry, another ring or another algorithm does not open.
"""

import binascii
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from authserver.errors import ConfigurationError, Problem
from authserver.jose.compact import base64url_decode, base64url_encode
from authserver.jose.jwk import PrivateKey
from authserver.keys.secrets import SecretMissing, describe, locate, resolve
from authserver.table import SecretReference

_OTHERS: Final = stat.S_IRWXO | stat.S_IWGRP
"""What nobody but the owner may do with a master key's file. Its group may read it: platforms hand secrets out so."""

VERSION: Final = "v1"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12  # NIST SP 800-38D section 8.2.2: 96 random bits, good for 2**32 messages under one key


class MasterKeyWrong(ConfigurationError):
    """A private key does not open with any master key that is configured, or it was tampered with."""

    def __init__(self, kid: str) -> None:
        message = f"no configured master key opens the private key {kid!r} of this issuer"
        remedy = "Restore the master key that wrapped it, list it under previous_master_keys, or restore the issuer"
        super().__init__([Problem("store", "keys.master_key", message, remedy)])


@dataclass(frozen=True, slots=True)
class LoadedMasterKey:
    """A master key, and whether others than its owner may read the file that it came from."""

    key: bytes = field(repr=False)
    readable_by_others: bool = False


class MasterKeys:
    """The master key that wraps, and the previous ones that still unwrap. Each is 32 bytes."""

    def __init__(self, current: bytes, previous: Sequence[bytes] = ()) -> None:
        self._raw = (current, *previous)
        self._all = [(_short_id(key), AESGCM(key)) for key in (current, *previous)]

    def derive(self, purpose: str) -> tuple[bytes, ...]:
        """A key of 32 bytes for another purpose from each master key, the current one first (HKDF, RFC 5869)."""
        return tuple(HKDF(SHA256(), 32, salt=None, info=purpose.encode("utf-8")).derive(key) for key in self._raw)

    def wrap(self, private: PrivateKey, *, issuer: str, kid: str, algorithm: str) -> str:
        """The private key (PKCS #8 DER, RFC 5958) under the current master key, as text to store."""
        short_id, cipher = self._all[0]
        nonce = secrets.token_bytes(NONCE_BYTES)
        plain = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        sealed = cipher.encrypt(nonce, plain, _context(issuer, kid, algorithm))
        return f"{VERSION}.{short_id}.{base64url_encode(nonce + sealed)}"

    def is_current(self, wrapped: str) -> bool:
        """Whether it is the current master key, by its identifier, that wrapped this."""
        return wrapped.split(".")[1:2] == [self._all[0][0]]

    def unwrap(self, wrapped: str, *, issuer: str, kid: str, algorithm: str) -> PrivateKey:
        """The private key that :meth:`wrap` stored.

        :raises MasterKeyWrong: no master key opens it as this key of this issuer.
        """
        try:
            version, short_id, sealed = wrapped.split(".")
            raw = base64url_decode(sealed)
        except ValueError as error:
            raise MasterKeyWrong(kid) from error
        if version != VERSION:
            raise MasterKeyWrong(kid)
        for cipher in self._with_id(short_id):
            try:
                plain = cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _context(issuer, kid, algorithm))
            except (InvalidTag, ValueError):  # ValueError: too short to be a nonce and a tag
                continue
            return _private_key(plain, kid)
        raise MasterKeyWrong(kid)

    def _with_id(self, short_id: str) -> Iterator[AESGCM]:
        return (cipher for known, cipher in self._all if known == short_id)


def load_master_key(reference: SecretReference, *, config: Path, where: str, create: bool) -> LoadedMasterKey:
    """The master key that the configuration file ``config`` refers to at ``where``.

    It is stored as base64, standard or url-safe, of exactly 32 bytes. With ``create`` a file that does not exist is
    made, with mode 0600 and never over another; pass it only for a store that is empty. Of several processes that do
    so at once one makes it, and all get the same key.

    :raises ConfigurationError: it is missing (and ``create`` is false), unreadable, or not such a key.
    """
    path = locate(reference, config)
    try:
        text = resolve(reference, config=config, where=where)
    except SecretMissing:
        if path is None or not create:
            raise
        _create(path, config, where)
        text = resolve(reference, config=config, where=where)
    others = path is not None and bool(path.stat().st_mode & (_OTHERS))
    return LoadedMasterKey(_decode(text, reference, config, where), others)


def _context(issuer: str, kid: str, algorithm: str) -> bytes:
    # JSON quotes its strings, so no two triples have the same encoding.
    return json.dumps([VERSION, issuer, kid, algorithm]).encode("ascii")


def _short_id(key: bytes) -> str:
    """Tells master keys apart. 32 bits of a hash of 256 random bits say nothing about them."""
    return hashlib.sha256(b"authserver master key\0" + key).hexdigest()[:8]


def _private_key(plain: bytes, kid: str) -> PrivateKey:
    # Only who has a master key can have written it, so it is what some authserver made. To prove once more that the
    # numbers of an RSA key fit together would take 33 ms for each key, at each start of each worker.
    key = load_der_private_key(plain, password=None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise MasterKeyWrong(kid)
    return key


def _decode(text: bytes, reference: SecretReference, config: Path, where: str) -> bytes:
    standard = text.strip().translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        key = binascii.a2b_base64(standard + b"=" * (-len(standard) % 4), strict_mode=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        message = f"{describe(reference, config)} does not hold the base64 of exactly {KEY_BYTES} bytes"
        raise ConfigurationError([Problem(str(config), where, message, "Make one with: openssl rand -base64 32")])
    return key


def _create(path: Path, config: Path, where: str) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(path, base64url_encode(secrets.token_bytes(KEY_BYTES)).encode("ascii") + b"\n")
    except OSError as error:
        message = f"the file {path} does not exist and cannot be made ({error.strerror})"
        remedy = "Make the directory writable, or put a key there yourself"
        raise ConfigurationError([Problem(str(config), where, message, remedy)]) from error


def _write_new(path: Path, content: bytes) -> None:
    """Make the file whole or not at all, and never over another.

    It is written under a name of its own and then linked to its place, which fails if somebody else was first: so
    nobody ever reads half a key.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 (a descriptor, not a path)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        _link(draft, path)
    finally:
        draft.unlink()


def _link(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
