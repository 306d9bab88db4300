"""A certificate authority for tests: certificates of callers and servers, and revocation lists."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH
DAY: Final = 86400
_USAGES: Final = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)

Name = x509.DNSName | x509.UniformResourceIdentifier | x509.IPAddress
Key = Any


def usage(*names: str) -> x509.KeyUsage:
    """A key usage with these bits."""
    return x509.KeyUsage(**{name: name in names for name in _USAGES})


def dns(name: str) -> Name:
    return x509.DNSName(name)


def uri(name: str) -> Name:
    return x509.UniformResourceIdentifier(name)


_FOR_TLS: Final = usage("digital_signature")


@dataclass(frozen=True)
class Certified:
    """A certificate, its private key, and what goes with it to whoever is shown it."""

    certificate: x509.Certificate
    key: Key
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def presented(self) -> tuple[bytes, ...]:
        return (self.der, *(each.public_bytes(serialization.Encoding.DER) for each in self.chain))

    @property
    def pem(self) -> str:
        every = (self.certificate, *self.chain)
        return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in every).decode("ascii")

    def write(self, folder: Path, name: str) -> tuple[str, str]:
        """Write the certificate with its chain, and the key; their paths."""
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        cert.write_text(self.pem, encoding="ascii")
        private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        key.write_bytes(self.key.private_bytes(serialization.Encoding.PEM, *private))
        key.chmod(0o600)
        return str(cert), str(key)


class Authority:
    """Signs. ``now`` is in seconds since the epoch; what it signs is valid for a day around that."""

    def __init__(
        self, name: str = "authority", *, now: float, signer: "Authority | None" = None, **changes: Any
    ) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key: Key = ec.generate_private_key(ec.SECP256R1())
        self.now = now
        self._chain: tuple[x509.Certificate, ...] = ()
        extensions = [(x509.BasicConstraints(True, None), True), (usage("key_cert_sign", "crl_sign"), True)]
        self.certificate = (signer or self)._sign(self.name, self.key, changes.pop("extensions", extensions), **changes)
        if signer is not None:
            self._chain = (self.certificate, *signer._chain)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    def between(self, name: str = "between", **changes: Any) -> Self:
        """An authority that this one vouches for."""
        return type(self)(name, now=self.now, signer=self, **changes)

    def issue(
        self,
        *names: Name,
        common_name: str = "",
        purposes: Sequence[x509.ObjectIdentifier] = (CLIENT,),
        usages: x509.KeyUsage | None = _FOR_TLS,
        ca: bool | None = False,
        key: Key = None,
        **changes: Any,
    ) -> Certified:
        """A certificate for ``names``; an extension that is None or empty is left out."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
        key = key or ec.generate_private_key(ec.SECP256R1())
        extensions: list[tuple[x509.ExtensionType, bool]] = []
        if ca is not None:
            extensions.append((x509.BasicConstraints(ca, None), True))
        if usages is not None:
            extensions.append((usages, True))
        if purposes:
            extensions.append((x509.ExtendedKeyUsage(purposes), False))
        if names:
            extensions.append((x509.SubjectAlternativeName(names), not common_name))
        return Certified(self._sign(subject, key, extensions, **changes), key, self._chain)

    def revoke(
        self,
        *revoked: "Certified | Authority",
        begins: float = -DAY,
        ends: float | None = DAY,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
        key: Key = None,
    ) -> str:
        """A revocation list in PEM. Its times are seconds from now."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(self._at(begins))
        builder = builder.next_update(self._at(DAY if ends is None else ends))
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(each.certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(self._at(begins)).build())
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        crl = builder.sign(key or self.key, hashes.SHA256())
        return crl.public_bytes(serialization.Encoding.PEM).decode("ascii")

    def _sign(
        self,
        subject: x509.Name,
        key: Key,
        extensions: Sequence[tuple[x509.ExtensionType, bool]],
        *,
        begins: float = -DAY,
        ends: float = DAY,
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(self._at(begins)).not_valid_after(self._at(ends))
        for extension, critical in (*extensions, *self._identifiers(key)):
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())

    def _identifiers(self, key: Key) -> Sequence[tuple[x509.ExtensionType, bool]]:
        """What RFC 5280 section 4.2.1 wants in every certificate, and Python 3.13 in those of servers."""
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        return (own, False), (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)

    def _at(self, seconds: float) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(int(self.now + seconds), datetime.UTC)
