"""Whether a client certificate is one of an authority: path validation (RFC 5280 section 6) against given authorities.

Nothing here knows a system store. The path is built from the certificate whose key TLS has proved, and from no other:
what is read, bound and reported is always that one. In SPIRE before 1.15.1 a chain was checked for one certificate and
the signature for another.
"""

import datetime
from collections.abc import Sequence
from typing import Final, NoReturn, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store, VerificationError

from authserver.errors import CredentialRejected, Reason

LONGEST_PATH: Final = 6
"""How many authorities may stand between a caller's certificate and the one that is trusted."""

SMALLEST_RSA: Final = 2048
"""The shortest RSA key of a caller, in bits."""

UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""All that the library raises at what it cannot read; these have nothing else in common."""

_FOR_CALLERS: Final = frozenset((ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE))

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)


def verify_chain(
    presented: Sequence[bytes], authorities: Sequence[x509.Certificate], now: float, *, skew: int = 0
) -> x509.Certificate:
    """The first of the certificates that were ``presented``, in DER: believed. See :func:`verify_path`."""
    return verify_path(presented, authorities, now, skew=skew)[0]


def verify_path(
    presented: Sequence[bytes], authorities: Sequence[x509.Certificate], now: float, *, skew: int = 0
) -> tuple[x509.Certificate, ...]:
    """The path from the first of the certificates that were ``presented``, in DER, to one of ``authorities``.

    The first is the one whose key the caller has; the others may be on the way, in any order. ``now`` and ``skew``
    are in seconds. An authority never speaks for itself: a path has two certificates at least.

    :raises CredentialRejected: ``certificate_malformed``; ``certificate_untrusted``, there is no path;
        ``not_yet_valid``, ``expired`` or ``certificate_unsuitable``.
    """
    leaf, *others = map(read_certificate, presented)
    path = _path(leaf, others, authorities, now)
    _check_times(leaf, now, skew)
    check_leaf(leaf)
    return path


def read_certificate(der: bytes) -> x509.Certificate:
    """Read a certificate whole, so that nothing in it is found to be broken later.

    :raises CredentialRejected: ``certificate_malformed``.
    """
    try:
        return _whole(x509.load_der_x509_certificate(der))
    except UNREADABLE:
        raise CredentialRejected(Reason.CERTIFICATE_MALFORMED) from None


def read_authorities(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Read the certificates of authorities.

    :raises ValueError: there is none, or something that is no certificate.
    """
    try:
        return tuple(map(_whole, x509.load_pem_x509_certificates(pem)))
    except UNREADABLE:
        raise ValueError("not certificates in PEM, and nothing else") from None


def certificate_extension(certificate: x509.Certificate, kind: type[ExtensionT]) -> ExtensionT | None:
    """The extension of this kind, or None."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def names_of(
    certificate: x509.Certificate, kind: type[x509.DNSName] | type[x509.UniformResourceIdentifier]
) -> tuple[str, ...]:
    """The names of this kind among the subject alternative names, in order.

    :raises CredentialRejected: ``certificate_malformed``, one has characters that would break a line.
    """
    alternatives = certificate_extension(certificate, x509.SubjectAlternativeName)
    names = () if alternatives is None else tuple(alternatives.get_values_for_type(kind))
    if not all(name.isprintable() for name in names):
        raise CredentialRejected(Reason.CERTIFICATE_MALFORMED)
    return names


def check_leaf(leaf: x509.Certificate) -> None:
    """Check that a certificate is for callers: to sign with in TLS, and not to sign certificates with.

    :raises CredentialRejected: ``certificate_unsuitable``.
    """
    constraints = certificate_extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        _unsuitable("it is an authority's")
    usage = certificate_extension(leaf, x509.KeyUsage)
    if usage is not None and (usage.key_cert_sign or usage.crl_sign or not usage.digital_signature):
        _unsuitable("its key is not for authentication")
    purposes = certificate_extension(leaf, x509.ExtendedKeyUsage)
    if purposes is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in purposes:
        _unsuitable("it is not for clients")
    key = leaf.public_key()
    if isinstance(key, RSAPublicKey) and key.key_size < SMALLEST_RSA:
        _unsuitable("its key is too short")


def _whole(certificate: x509.Certificate) -> x509.Certificate:
    _ = certificate.extensions, certificate.subject, certificate.issuer, certificate.public_key()
    return certificate


def _path(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate], now: float
) -> tuple[x509.Certificate, ...]:
    if not authorities:
        raise CredentialRejected(Reason.CERTIFICATE_UNTRUSTED)
    verifier = (
        PolicyBuilder()
        .store(Store(list(authorities)))
        # Whose a certificate is comes first, and whether it is over second, so that the record can say which.
        .time(min(max(_instant(now), leaf.not_valid_before_utc), leaf.not_valid_after_utc))
        .max_chain_depth(LONGEST_PATH)
        .extension_policies(ca_policy=_AUTHORITY, ee_policy=_CALLER)
        .build_client_verifier()
    )
    try:
        path = verifier.verify(leaf, list(others)).chain
    except (VerificationError, ValueError):
        raise CredentialRejected(Reason.CERTIFICATE_UNTRUSTED) from None
    if len(path) < 2:
        raise CredentialRejected(Reason.CERTIFICATE_UNTRUSTED)
    return tuple(path)


def _check_times(leaf: x509.Certificate, now: float, skew: int) -> None:
    begins, ends = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
    if now + skew < begins:
        raise CredentialRejected(Reason.NOT_YET_VALID, nbf=begins, now=now, skew=skew)
    if now - skew > ends:  # RFC 5280 section 4.1.2.5: the last second counts
        raise CredentialRejected(Reason.EXPIRED, exp=ends, now=now, skew=skew)


def _unsuitable(because: str) -> NoReturn:
    raise CredentialRejected(Reason.CERTIFICATE_UNSUITABLE, because=because)


def _signs_certificates(_policy: Policy, _authority: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    # RFC 5280 section 4.2.1.3. An authority without the extension may use its key for anything.
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("the key of an authority must be for signing certificates")


def _is_of_callers(_policy: Policy, _authority: x509.Certificate, purposes: x509.ExtendedKeyUsage | None) -> None:
    # RFC 5280 does not say what the purposes of an authority mean. To OpenSSL, browsers and who runs authorities they
    # are those of all that it signs: one for servers cannot make a client.
    if purposes is not None and not _FOR_CALLERS.intersection(purposes):
        raise ValueError("an authority that has purposes must be one of clients")


def _limits_what_is_checked(_policy: Policy, _authority: x509.Certificate, limits: x509.NameConstraints | None) -> None:
    # Nothing here holds a subject against the distinguished names that an authority may give. RFC 5280 section 4.2.1.10
    # wants the extension to be critical, and then the library refuses these too; where it is not, it overlooks them.
    subtrees = [] if limits is None else [*(limits.permitted_subtrees or ()), *(limits.excluded_subtrees or ())]
    if any(isinstance(subtree, x509.DirectoryName) for subtree in subtrees):
        raise ValueError("the distinguished names that an authority may give are not checked")


def _instant(now: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(now, datetime.UTC)


# The policies of the web are for servers with public names. RFC 5280 asks less, and what it asks of the caller's own
# certificate is checked above, where the record can say what was wrong.
_AUTHORITY: Final = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)  # cA and path length are checked in any case
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs_certificates)
    .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _is_of_callers)
    .may_be_present(x509.NameConstraints, Criticality.AGNOSTIC, _limits_what_is_checked)
)
_CALLER: Final = ExtensionPolicy.permit_all()
