"""Client certificates: believed of their authority alone, while it says so, and for what they are made for."""

import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from authserver.certificate import ClientCertificate
from authserver.errors import CredentialRejected, Reason, Unavailable
from authserver.identity.authenticate import Identity
from authserver.identity.certificate_source import AuthoritySource, CertificateCallers
from authserver.identity.certificates import verify_chain, verify_path
from authserver.identity.sources.x509 import X509Table
from authserver.identity.watched_file import LARGEST, WatchedFile
from authserver.model import Credential, Subject
from authserver.testing import FrozenClock
from tests.authority import CLIENT, DAY, SERVER, Authority, Certified, dns, uri, usage
from tests.identity.conftest import SKEW, Remembered

NOW = FrozenClock()()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(now=NOW)


@pytest.fixture(scope="module")
def stranger() -> Authority:
    """Another authority that calls itself by the same name."""
    return Authority(now=NOW)


def refused(presented: Sequence[bytes], *trusted: Authority, now: float = NOW, skew: int = 0) -> Reason:
    with pytest.raises(CredentialRejected) as refusal:
        verify_chain(presented, [each.certificate for each in trusted], now, skew=skew)
    return refusal.value.reason


# The path


def test_a_certificate_is_believed_that_an_authority_signed(authority: Authority) -> None:
    certified = authority.issue(dns("backup.example.com"))
    assert verify_chain(certified.presented, [authority.certificate], NOW) == certified.certificate


def test_what_stands_between_is_believed_in_any_order_and_with_something_else_among_it(
    authority: Authority, stranger: Authority
) -> None:
    inner = authority.between().between("inner")
    certified = inner.issue(dns("backup.example.com"))
    leaf, *others = certified.presented
    noise = stranger.issue(dns("noise.example.com")).der
    path = verify_path([leaf, noise, *reversed(others)], [authority.certificate], NOW)
    assert path == (certified.certificate, *certified.chain, authority.certificate)
    assert verify_chain([leaf], [inner.certificate], NOW) == certified.certificate
    assert refused([leaf], authority) is Reason.CERTIFICATE_UNTRUSTED


def test_nobody_else_is_believed(authority: Authority, stranger: Authority) -> None:
    certified = stranger.issue(dns("backup.example.com"))
    assert refused(certified.presented, authority) is Reason.CERTIFICATE_UNTRUSTED
    assert refused(certified.presented) is Reason.CERTIFICATE_UNTRUSTED
    assert refused(authority.issue(dns("a.example.com")).presented, stranger) is Reason.CERTIFICATE_UNTRUSTED


def test_certificate_chain_checked_on_one_certificate_signature_on_another(
    authority: Authority, stranger: Authority
) -> None:
    """SPIRE 1.15.1: the certificate whose key the caller has is the one that must lead to the authority."""
    victim, thief = authority.issue(dns("victim.example.com")), stranger.issue(dns("victim.example.com"))
    assert refused([thief.der, *victim.presented], authority) is Reason.CERTIFICATE_UNTRUSTED
    assert refused([thief.der, victim.der, authority.between().certificate.public_bytes(Encoding.DER)], authority) is (
        Reason.CERTIFICATE_UNTRUSTED
    )


def test_the_system_store_vouches_for_nobody(
    stranger: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """R73"""
    (tmp_path / "system.pem").write_text(stranger.pem, encoding="ascii")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    assert refused(stranger.issue(dns("a.example.com")).presented) is Reason.CERTIFICATE_UNTRUSTED


def test_an_authority_does_not_speak_for_itself(authority: Authority) -> None:
    assert refused([authority.certificate.public_bytes(Encoding.DER)], authority) is Reason.CERTIFICATE_UNTRUSTED


@pytest.mark.parametrize(
    "extensions",
    [
        [],
        [(x509.BasicConstraints(False, None), True), (usage("key_cert_sign"), True)],
        [(x509.BasicConstraints(True, None), True), (usage("digital_signature"), True)],
    ],
    ids=["nothing", "no authority", "a key for something else"],
)
def test_who_is_no_authority_cannot_vouch(authority: Authority, extensions: Any) -> None:
    between = authority.between(extensions=extensions)
    assert refused(between.issue(dns("a.example.com")).presented, authority) is Reason.CERTIFICATE_UNTRUSTED


def test_an_authority_that_may_sign_no_other_does_not(authority: Authority) -> None:
    last = authority.between(extensions=[(x509.BasicConstraints(True, 0), True)])
    verify_chain(last.issue(dns("a.example.com")).presented, [authority.certificate], NOW)
    assert refused(last.between("x").issue(dns("a.example.com")).presented, authority) is Reason.CERTIFICATE_UNTRUSTED


def test_an_authority_that_may_name_only_some_names_no_other(authority: Authority) -> None:
    constraints = x509.NameConstraints([x509.DNSName("example.com")], None)
    narrow = authority.between(extensions=[(x509.BasicConstraints(True, None), True), (constraints, True)])
    verify_chain(narrow.issue(dns("a.example.com")).presented, [authority.certificate], NOW)
    assert refused(narrow.issue(dns("a.example.org")).presented, authority) is Reason.CERTIFICATE_UNTRUSTED


@pytest.mark.parametrize("critical", [True, False])
@pytest.mark.parametrize("permitted", [True, False])
def test_a_limit_on_distinguished_names_is_not_overlooked(
    permitted: bool, critical: bool, authority: Authority
) -> None:
    """Nobody checks it, so an authority that has it vouches for nobody; OpenSSL would check it."""
    subtree = [x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")]))]
    limits = x509.NameConstraints(subtree if permitted else None, None if permitted else subtree)
    narrow = authority.between(extensions=[(x509.BasicConstraints(True, None), True), (limits, critical)])
    for name in ("a", "b"):
        assert refused(narrow.issue(common_name=name).presented, authority) is Reason.CERTIFICATE_UNTRUSTED


def test_an_authority_of_servers_vouches_for_no_client(authority: Authority) -> None:
    """As OpenSSL has it, so that it makes no difference who speaks TLS."""
    for purposes, vouches in (
        ([SERVER], False),
        ([CLIENT, SERVER], True),
        ([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE], True),
    ):
        extensions = [(x509.BasicConstraints(True, None), True), (x509.ExtendedKeyUsage(purposes), False)]
        certified = authority.between(extensions=extensions).issue(dns("a.example.com"))
        if vouches:
            verify_chain(certified.presented, [authority.certificate], NOW)
        else:
            assert refused(certified.presented, authority) is Reason.CERTIFICATE_UNTRUSTED


def test_an_extension_that_is_critical_and_unknown_is_not_overlooked(authority: Authority) -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    odd = authority.between(extensions=[(x509.BasicConstraints(True, None), True), (unknown, True)])
    assert refused(odd.issue(dns("a.example.com")).presented, authority) is Reason.CERTIFICATE_UNTRUSTED


def test_a_path_that_is_over_leads_nowhere(authority: Authority) -> None:
    over = authority.between(begins=-3 * DAY, ends=-2 * DAY)
    assert refused(over.issue(dns("a.example.com")).presented, authority) is Reason.CERTIFICATE_UNTRUSTED


@pytest.mark.parametrize("der", [b"", b"\x30\x00", b"-----BEGIN CERTIFICATE-----", b"\x30\x82\xff\xff" + b"a" * 50])
def test_what_is_no_certificate_is_refused(der: bytes, authority: Authority) -> None:
    good = authority.issue(dns("a.example.com")).der
    assert refused([der], authority) is Reason.CERTIFICATE_MALFORMED
    assert refused([good, der], authority) is Reason.CERTIFICATE_MALFORMED
    assert refused([good[:-1]], authority) is Reason.CERTIFICATE_MALFORMED


def odd_certificates(authority: Authority) -> tuple[bytes, bytes]:
    """One of a version that does not exist, and one whose name is of a kind that nobody uses (``ediPartyName``)."""
    good = authority.issue(dns("a.example.com")).der
    name = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes.fromhex("3002a500"))
    odd = authority._sign(x509.Name([]), authority.key, [(name, False)])
    return good.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020105"), 1), odd.public_bytes(Encoding.DER)


def test_what_the_library_has_exceptions_of_its_own_for_is_refused_too(authority: Authority, tmp_path: Path) -> None:
    """Whoever writes a certificate of his own must not find a way to end in an error of ours."""
    good = authority.issue(dns("a.example.com"))
    for der in odd_certificates(authority):
        assert refused([der], authority) is Reason.CERTIFICATE_MALFORMED
        assert refused([good.der, der], authority) is Reason.CERTIFICATE_MALFORMED
        world = World(tmp_path, authority)
        world.write("ca.pem", authority.pem + ssl.DER_cert_to_PEM_cert(der))
        assert world.away(good).reason is Reason.AUTHORITIES_UNAVAILABLE


# When, and for what


def test_the_edges_of_both_times_are_exact(authority: Authority) -> None:
    certified = authority.issue(dns("a.example.com"), begins=0, ends=100)
    start = int(NOW)
    for now, skew, reason in (
        (start - 1, 0, Reason.NOT_YET_VALID),
        (start - SKEW, SKEW, None),
        (start - SKEW - 1, SKEW, Reason.NOT_YET_VALID),
        (start + 100, 0, None),
        (start + 101, 0, Reason.EXPIRED),
        (start + 100 + SKEW, SKEW, None),
        (start + 101 + SKEW, SKEW, Reason.EXPIRED),
    ):
        if reason is None:
            verify_chain(certified.presented, [authority.certificate], now, skew=skew)
        else:
            assert refused(certified.presented, authority, now=now, skew=skew) is reason


@pytest.mark.parametrize(
    "changes",
    [
        {"ca": True},
        {"usages": usage("key_cert_sign")},
        {"usages": usage("digital_signature", "key_cert_sign")},
        {"usages": usage("digital_signature", "crl_sign")},
        {"usages": usage("key_encipherment")},
        {"purposes": (SERVER,)},
    ],
    ids=str,
)
def test_a_certificate_that_is_made_for_something_else_is_refused(changes: Any, authority: Authority) -> None:
    certified = authority.issue(dns("a.example.com"), **changes)
    assert refused(certified.presented, authority) is Reason.CERTIFICATE_UNSUITABLE


def test_a_key_that_is_too_short_is_refused(authority: Authority) -> None:
    for bits, reason in ((1024, Reason.CERTIFICATE_UNSUITABLE), (2048, None)):
        certified = authority.issue(dns("a.example.com"), key=rsa.generate_private_key(65537, bits))
        if reason is None:
            verify_chain(certified.presented, [authority.certificate], NOW)
        else:
            assert refused(certified.presented, authority) is reason


# A source


class World:
    """A source of type ``x509``, with its files."""

    def __init__(self, folder: Path, authority: Authority, **settings: Any) -> None:
        self.folder = folder
        self.authority = authority
        folder.mkdir(parents=True, exist_ok=True)
        self.write("ca.pem", authority.pem)
        described = {"type": "x509", "ca_file": "ca.pem", **settings}
        self.source = AuthoritySource.of("hosts", X509Table.model_validate(described), folder, SKEW)
        self.identity = Identity((), Remembered(), certificates=CertificateCallers([self.source]))

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="ascii")

    def authenticate(self, certified: Certified, client_id: str | None = None) -> Subject:
        certificate = ClientCertificate(certified.der, certified.presented[1:])
        return self.identity.authenticate(Credential(unverified_client_id=client_id, certificate=certificate), NOW)

    def refused(self, certified: Certified, client_id: str | None = None) -> CredentialRejected:
        with pytest.raises(CredentialRejected) as refusal:
            self.authenticate(certified, client_id)
        return refusal.value

    def away(self, certified: Certified) -> Unavailable:
        with pytest.raises(Unavailable) as unavailable:
            self.authenticate(certified)
        return unavailable.value


def test_the_subject_is_the_one_dns_name(authority: Authority, tmp_path: Path) -> None:
    """RFC 8705 section 2.1.2"""
    world = World(tmp_path, authority)
    certified = authority.issue(dns("backup.example.com"), common_name="backup")
    subject = world.authenticate(certified)
    thumbprint = ClientCertificate(certified.der).thumbprint
    assert (subject.sub, subject.client_id) == ("hosts:backup.example.com", "hosts:backup.example.com")
    assert subject.certificate_thumbprint == thumbprint
    assert subject.single_use_until is None
    assert subject.attributes == {
        "dns": ("backup.example.com",),
        "subject_dn": ("CN=backup",),
        "thumbprint": (thumbprint,),
    }
    assert world.authenticate(certified).credential_id == subject.credential_id


def test_the_subject_is_what_the_source_says_names_it(authority: Authority, tmp_path: Path) -> None:
    certified = authority.issue(
        dns("a.example.com"), dns("b.example.com"), uri("spiffe://example.org/backup"), common_name="backup"
    )
    by_id = World(tmp_path / "id", authority, subject="spiffe_id").authenticate(certified)
    assert by_id.subject == "spiffe://example.org/backup"
    assert by_id.attributes["trust_domain"] == ("example.org",)
    assert by_id.attributes["path"] == ("/backup",)
    assert by_id.attributes["dns"] == ("a.example.com", "b.example.com")
    assert World(tmp_path / "dn", authority, subject="subject_dn").authenticate(certified).subject == "CN=backup"
    two = World(tmp_path / "dns", authority).refused(certified)
    assert (two.reason, two.facts) == (Reason.CERTIFICATE_NAME_WRONG, {"attribute": "dns", "names": 2})


@pytest.mark.parametrize("subject", ["dns", "spiffe_id", "subject_dn"])
def test_a_certificate_without_the_name_is_refused(subject: str, authority: Authority, tmp_path: Path) -> None:
    other = [] if subject != "dns" else [uri("https://example.com/")]
    nameless = authority.issue(*other or [dns("a.example.com")], common_name="a" if subject == "dns" else "")
    refusal = World(tmp_path, authority, subject=subject).refused(nameless)
    assert refusal.reason is Reason.CERTIFICATE_NAME_WRONG
    assert refusal.source == "hosts"


def test_two_spiffe_ids_or_a_misspelled_one_are_refused(authority: Authority, tmp_path: Path) -> None:
    world = World(tmp_path, authority)
    two = authority.issue(dns("a.example.com"), uri("spiffe://example.org/a"), uri("spiffe://example.org/b"))
    assert world.refused(two).reason is Reason.CERTIFICATE_NAME_WRONG
    odd = authority.issue(dns("a.example.com"), uri("spiffe://Example.org/a"))
    assert world.refused(odd).reason is Reason.SPIFFE_ID_MALFORMED


def test_a_name_that_would_break_a_log_line_is_refused(authority: Authority, tmp_path: Path) -> None:
    world = World(tmp_path, authority, subject="subject_dn")
    assert world.refused(authority.issue(common_name="two\nlines")).reason is Reason.CERTIFICATE_MALFORMED
    world = World(tmp_path, authority)
    broken = authority.issue(dns("a.example.com\n"))
    assert world.refused(broken).reason is Reason.CERTIFICATE_MALFORMED


def test_a_certificate_must_say_that_it_is_for_clients(authority: Authority, tmp_path: Path) -> None:
    world = World(tmp_path, authority)
    for purposes in ((), (SERVER,)):
        refusal = world.refused(authority.issue(dns("a.example.com"), purposes=purposes))
        assert refusal.reason is Reason.CERTIFICATE_UNSUITABLE
    world.authenticate(authority.issue(dns("a.example.com"), purposes=(SERVER, CLIENT)))


def test_a_client_id_that_is_not_the_one_we_issue_is_refused(authority: Authority, tmp_path: Path) -> None:
    """R40; RFC 8705 section 2"""
    world = World(tmp_path, authority)
    certified = authority.issue(dns("a.example.com"))
    assert world.authenticate(certified, "hosts:a.example.com").subject == "a.example.com"
    assert world.refused(certified, "a.example.com").reason is Reason.CLIENT_ID_MISMATCH


def test_each_source_believes_its_own_authority_alone(
    authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    ours, theirs = World(tmp_path / "ours", authority), World(tmp_path / "theirs", stranger)
    callers = CertificateCallers(
        [ours.source, AuthoritySource("others", theirs.source.table, theirs.source.trusted, None, SKEW)]
    )
    certified = stranger.issue(dns("a.example.com"))
    certificate = ClientCertificate(certified.der)
    assert callers.authenticate(certificate, NOW).sub == "others:a.example.com"
    assert ours.refused(certified).reason is Reason.CERTIFICATE_UNTRUSTED
    assert ours.refused(certified).source is None
    with pytest.raises(CredentialRejected):
        Identity((), Remembered()).authenticate(Credential(certificate=certificate), NOW)


def test_a_source_whose_authorities_are_away_takes_nothing_from_others(
    authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    away, there = World(tmp_path / "away", authority), World(tmp_path / "there", stranger)
    table, trusted = there.source.table, there.source.trusted
    callers = CertificateCallers([away.source, AuthoritySource("others", table, trusted, None, SKEW)])
    (tmp_path / "away" / "ca.pem").unlink()
    certificate = ClientCertificate(stranger.issue(dns("a.example.com")).der)
    assert callers.authenticate(certificate, NOW).sub == "others:a.example.com"
    with pytest.raises(Unavailable) as unavailable:
        callers.authenticate(ClientCertificate(authority.issue(dns("a.example.com")).der), NOW)
    assert (unavailable.value.reason, unavailable.value.source) == (Reason.AUTHORITIES_UNAVAILABLE, "hosts")


def test_more_certificates_than_anybody_needs_are_refused(authority: Authority, tmp_path: Path) -> None:
    certified = authority.issue(dns("a.example.com"))
    many = Certified(certified.certificate, certified.key, (authority.certificate,) * 10)
    assert World(tmp_path, authority).refused(many).reason is Reason.CERTIFICATE_MALFORMED


def test_authorities_are_read_again_when_their_file_changes(
    authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    world = World(tmp_path, authority)
    certified = stranger.issue(dns("a.example.com"))
    assert world.refused(certified).reason is Reason.CERTIFICATE_UNTRUSTED
    world.write("ca.pem", authority.pem + stranger.pem)
    world.authenticate(certified)
    world.write("ca.pem", "nothing")
    assert world.away(certified).reason is Reason.AUTHORITIES_UNAVAILABLE
    (tmp_path / "ca.pem").unlink()
    away = world.away(certified)
    assert (away.reason, away.source) == (Reason.AUTHORITIES_UNAVAILABLE, "hosts")


# Revocation


def test_a_revoked_certificate_is_refused_from_when_the_list_says_so(authority: Authority, tmp_path: Path) -> None:
    world = World(tmp_path, authority, crl_file="crl.pem")
    good, bad = authority.issue(dns("good.example.com")), authority.issue(dns("bad.example.com"))
    world.write("crl.pem", authority.revoke())
    world.authenticate(bad)
    world.write("crl.pem", authority.revoke(bad))
    world.authenticate(good)
    refusal = world.refused(bad)
    assert refusal.reason is Reason.CERTIFICATE_REVOKED
    assert refusal.facts == {"serial": f"{bad.certificate.serial_number:x}"}


def test_an_authority_in_between_can_be_revoked_and_needs_a_list_too(authority: Authority, tmp_path: Path) -> None:
    world = World(tmp_path, authority, crl_file="crl.pem")
    between = authority.between()
    certified = between.issue(dns("a.example.com"))
    world.write("crl.pem", authority.revoke())
    assert world.away(certified).facts["because"] == "there is none of this authority"
    world.write("crl.pem", authority.revoke() + between.revoke())
    world.authenticate(certified)
    world.write("crl.pem", authority.revoke(between) + between.revoke())
    assert world.refused(certified).reason is Reason.CERTIFICATE_REVOKED


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"ends": -SKEW}, "it is over, or not valid yet"),
        ({"begins": SKEW + 1}, "it is over, or not valid yet"),
        ({"extensions": [(x509.DeltaCRLIndicator(1), True)]}, "its file holds something else"),
        ({"extensions": [(x509.DeltaCRLIndicator(1), False)]}, "its file holds something else"),
        (
            {"extensions": [(x509.IssuingDistributionPoint(None, None, True, False, None, False, False), True)]},
            "its file holds something else",
        ),
    ],
    ids=["stale", "of tomorrow", "a delta", "a delta in passing", "of some"],
)
def test_a_list_that_does_not_tell_of_all_at_this_time_lets_nobody_in(
    changes: Any, because: str, authority: Authority, tmp_path: Path
) -> None:
    world = World(tmp_path, authority, crl_file="crl.pem")
    world.write("crl.pem", authority.revoke(**changes))
    away = world.away(authority.issue(dns("a.example.com")))
    assert (away.reason, away.facts["because"]) == (Reason.REVOCATION_LIST_UNAVAILABLE, because)
    assert away.source == "hosts"


def test_the_edges_of_a_list_are_exact(authority: Authority, tmp_path: Path) -> None:
    world = World(tmp_path, authority, crl_file="crl.pem")
    certified = authority.issue(dns("a.example.com"))
    for begins, ends in ((-DAY, 1 - SKEW), (SKEW, DAY)):
        world.write("crl.pem", authority.revoke(begins=begins, ends=ends))
        world.authenticate(certified)


def test_a_list_counts_only_if_the_authority_signed_it(
    authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    world = World(tmp_path, authority, crl_file="crl.pem")
    certified = authority.issue(dns("a.example.com"))
    world.write("crl.pem", stranger.revoke())
    assert world.away(certified).facts["because"] == "there is none of this authority"
    signer = authority.between(extensions=[(x509.BasicConstraints(True, None), True), (usage("key_cert_sign"), True)])
    world.write("crl.pem", authority.revoke() + signer.revoke())
    assert world.away(signer.issue(dns("a.example.com"))).facts["because"] == "there is none of this authority"


def test_without_the_list_that_it_names_a_source_lets_nobody_in(authority: Authority, tmp_path: Path) -> None:
    world = World(tmp_path, authority, crl_file="crl.pem")
    certified = authority.issue(dns("a.example.com"))
    assert world.away(certified).facts["because"] == "its file cannot be read"
    world.write("crl.pem", authority.pem)
    assert world.away(certified).facts["because"] == "its file holds something else"


def test_a_list_with_an_extension_that_cannot_be_read_lets_nobody_in(authority: Authority, tmp_path: Path) -> None:
    world = World(tmp_path, authority, crl_file="crl.pem")
    odd = x509.UnrecognizedExtension(ExtensionOID.ISSUER_ALTERNATIVE_NAME, bytes.fromhex("3002a500"))
    world.write("crl.pem", authority.revoke(extensions=[(odd, False)]))
    assert world.away(authority.issue(dns("a.example.com"))).facts["because"] == "its file holds something else"


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"a" * (LARGEST + 1))
    with pytest.raises(ValueError, match="too long"):
        WatchedFile(tmp_path / "long", len).current()
