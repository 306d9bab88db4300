"""X.509-SVIDs: believed of the trust domain that they name, by its bundle alone."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from authserver.certificate import ClientCertificate
from authserver.errors import CredentialRejected, Reason
from authserver.identity.authenticate import Identity
from authserver.identity.certificate_source import AuthoritySource, CertificateCallers, CertificateSource
from authserver.identity.certificates import read_certificate, verify_chain
from authserver.identity.sources.x509 import X509Table
from authserver.identity.x509_svid import SvidSource, read_svid
from authserver.model import Credential, Subject
from authserver.testing import FrozenClock
from tests import vectors
from tests.authority import SERVER, Authority, Certified, dns, uri, usage
from tests.identity.conftest import SKEW, Remembered

NOW = FrozenClock()()
DOMAIN = "example.org"
WORKLOAD = f"spiffe://{DOMAIN}/ns/media/sa/thumbnailer"
GO = "spiffe/go-spiffe/svid/x509svid/testdata"
JAVA = "spiffe/java-spiffe/java-spiffe-core/src/test/resources/testdata/x509svid"


@dataclass
class Known:
    """A bundle that is known."""

    certificates: Sequence[x509.Certificate]

    def x509_authorities(self, now: float) -> Sequence[x509.Certificate]:
        assert now == NOW
        return self.certificates


WRONG = {
    "wrong-intermediate-no-ca": Reason.CERTIFICATE_UNSUITABLE,
    "wrong-intermediate-no-key-cert-sign": Reason.CERTIFICATE_UNSUITABLE,
    "wrong-leaf-ca-true": Reason.CERTIFICATE_UNSUITABLE,
    "wrong-leaf-cert-sign": Reason.CERTIFICATE_UNSUITABLE,
    "wrong-leaf-crl-sign": Reason.CERTIFICATE_UNSUITABLE,
    "wrong-leaf-empty-id": Reason.CERTIFICATE_NAME_WRONG,
    "wrong-leaf-no-digital-signature": Reason.CERTIFICATE_UNSUITABLE,
}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority(DOMAIN, now=NOW)


def domain(name: str, *authorities: Authority) -> SvidSource:
    return SvidSource(name.partition(".")[0], name, Known([each.certificate for each in authorities]), SKEW)


def authenticate(certified: Certified, *sources: CertificateSource) -> Subject:
    certificate = ClientCertificate(certified.der, certified.presented[1:])
    identity = Identity((), Remembered(), certificates=CertificateCallers(sources))
    return identity.authenticate(Credential(certificate=certificate), NOW)


def refused(certified: Certified, *sources: CertificateSource) -> CredentialRejected:
    with pytest.raises(CredentialRejected) as refusal:
        authenticate(certified, *sources)
    return refusal.value


def test_the_workload_is_the_one_that_the_uri_names(authority: Authority) -> None:
    """R73"""
    certified = authority.issue(uri(WORKLOAD), dns("thumbnailer.media.svc"))
    subject = authenticate(certified, domain(DOMAIN, authority))
    thumbprint = ClientCertificate(certified.der).thumbprint
    assert subject.sub == f"example:{WORKLOAD}"
    assert subject.certificate_thumbprint == thumbprint
    assert subject.attributes == {
        "spiffe_id": (WORKLOAD,),
        "trust_domain": (DOMAIN,),
        "path": ("/ns/media/sa/thumbnailer",),
        "dns": ("thumbnailer.media.svc",),
        "thumbprint": (thumbprint,),
    }


def test_it_may_come_with_what_stands_between(authority: Authority) -> None:
    certified = authority.between().between().issue(uri(WORKLOAD), purposes=())
    subject = authenticate(certified, domain(DOMAIN, authority))
    assert (subject.subject, "dns" in subject.attributes) == (WORKLOAD, False)


def test_trust_domains_do_not_speak_for_each_other(authority: Authority) -> None:
    other = Authority("other.org", now=NOW)
    forged = other.issue(uri(WORKLOAD))
    ours, theirs = domain(DOMAIN, authority), domain("other.org", other)
    assert refused(forged, ours, theirs).reason is Reason.CERTIFICATE_UNTRUSTED
    assert refused(forged, theirs, ours).reason is Reason.CERTIFICATE_UNTRUSTED
    assert authenticate(other.issue(uri("spiffe://other.org/x")), ours, theirs).source == "other"


def test_an_authority_that_two_trust_domains_share_names_only_whom_each_has(authority: Authority) -> None:
    both = domain(DOMAIN, authority), domain("other.org", authority)
    assert authenticate(authority.issue(uri("spiffe://other.org/x")), *both).source == "other"
    assert authenticate(authority.issue(uri(WORKLOAD)), *both).source == "example"


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([WORKLOAD, "spiffe://example.org/other"], Reason.CERTIFICATE_NAME_WRONG),
        ([WORKLOAD, "https://example.org/"], Reason.CERTIFICATE_NAME_WRONG),
        ([WORKLOAD, "spiffe://other.org/x"], Reason.CERTIFICATE_NAME_WRONG),
        ([], Reason.CERTIFICATE_UNTRUSTED),
        (["spiffe://example.org"], Reason.SPIFFE_ID_MALFORMED),
        (["spiffe://example.org/"], Reason.SPIFFE_ID_MALFORMED),
        (["spiffe://example.org/a//b"], Reason.SPIFFE_ID_MALFORMED),
        (["spiffe://example.org/%61"], Reason.SPIFFE_ID_MALFORMED),
        (["spiffe://EXAMPLE.org/a"], Reason.CERTIFICATE_UNTRUSTED),
        (["SPIFFE://example.org/a"], Reason.CERTIFICATE_UNTRUSTED),
        (["spiffe://example.org.evil/a"], Reason.CERTIFICATE_UNTRUSTED),
        (["spiffe://example.org:443/a"], Reason.CERTIFICATE_UNTRUSTED),
        (["https://example.org/a"], Reason.CERTIFICATE_UNTRUSTED),
    ],
)
def test_another_name_or_another_spelling_of_one_is_refused(
    names: Sequence[str], reason: Reason, authority: Authority
) -> None:
    certified = authority.issue(*map(uri, names), dns("a.example.org"))
    assert refused(certified, domain(DOMAIN, authority)).reason is reason


@pytest.mark.parametrize(
    "changes",
    [{"usages": None}, {"usages": usage("key_agreement")}, {"ca": True}, {"purposes": (SERVER,)}],
    ids=str,
)
def test_a_certificate_that_is_not_for_authentication_is_no_svid(changes: Any, authority: Authority) -> None:
    certified = authority.issue(uri(WORKLOAD), **changes)
    assert refused(certified, domain(DOMAIN, authority)).reason is Reason.CERTIFICATE_UNSUITABLE


def test_what_comes_with_it_must_be_of_authorities(authority: Authority) -> None:
    certified = authority.issue(uri(WORKLOAD))
    with_another = Certified(certified.certificate, certified.key, (authority.issue(uri(WORKLOAD)).certificate,))
    assert refused(with_another, domain(DOMAIN, authority)).reason is Reason.CERTIFICATE_UNSUITABLE


def test_a_bundle_without_authorities_believes_nobody(authority: Authority) -> None:
    assert refused(authority.issue(uri(WORKLOAD)), domain(DOMAIN)).reason is Reason.CERTIFICATE_UNTRUSTED


def test_certificate_chain_checked_on_one_certificate_signature_on_another(authority: Authority) -> None:
    """SPIRE 1.15.1: whose key the caller has is the first certificate, and what follows vouches for nothing else."""
    victim, thief = authority.issue(uri(WORKLOAD)), Authority("thief", now=NOW).issue(uri(WORKLOAD))
    spliced = Certified(thief.certificate, thief.key, (victim.certificate, authority.certificate))
    assert refused(spliced, domain(DOMAIN, authority)).reason is Reason.CERTIFICATE_UNTRUSTED


def test_a_source_of_the_same_authority_in_a_file_comes_after_the_trust_domain(
    authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text(authority.pem, encoding="ascii")
    table = X509Table(type="x509", ca_file="ca.pem")
    hosts = AuthoritySource.of("hosts", table, tmp_path, SKEW)
    both = domain(DOMAIN, authority), hosts
    assert authenticate(authority.issue(uri(WORKLOAD), dns("a.example.org")), *both).source == "example"
    assert authenticate(authority.issue(dns("a.example.org")), *both).source == "hosts"


# The vectors of go-spiffe and java-spiffe


def certificates(name: str) -> Sequence[x509.Certificate]:
    """The certificates in a file that may hold a key as well."""
    return x509.load_pem_x509_certificates(vectors.path(name).read_bytes())


@pytest.mark.parametrize("folder", [GO, JAVA], ids=["go", "java"])
@pytest.mark.parametrize("name", ["good-leaf-and-intermediate", "good-leaf-only"])
def test_a_good_vector_is_an_svid(name: str, folder: str) -> None:
    assert read_svid(certificates(f"{folder}/{name}.pem"), DOMAIN).subject == "spiffe://example.org/workload-1"


@pytest.mark.parametrize("name", ["good-cert-and-key", "good-key-and-cert"])
def test_a_good_vector_with_its_key_is_an_svid(name: str) -> None:
    assert read_svid(certificates(f"{GO}/{name}.pem"), DOMAIN).subject == "spiffe://example.org/workload-1"


def test_a_good_vector_leads_to_the_authority_that_signed_it() -> None:
    leaf, signer = certificates(f"{GO}/good-leaf-and-intermediate.pem")
    der = leaf.public_bytes(Encoding.DER)
    then = leaf.not_valid_before_utc.timestamp()
    assert verify_chain([der], [signer], then) == leaf
    with pytest.raises(CredentialRejected) as refusal:
        verify_chain([der], [signer], NOW)
    assert refusal.value.reason is Reason.EXPIRED


@pytest.mark.parametrize("folder", [GO, JAVA], ids=["go", "java"])
@pytest.mark.parametrize(("name", "reason"), WRONG.items())
def test_a_wrong_vector_is_no_svid(name: str, reason: Reason, folder: str) -> None:
    with pytest.raises(CredentialRejected) as refusal:
        read_svid(certificates(f"{folder}/{name}.pem"), DOMAIN)
    assert refusal.value.reason is reason


def test_every_wrong_vector_is_tried() -> None:
    folder = vectors.path(f"{GO}/good-leaf-only.pem").parent
    assert {file.stem for file in folder.glob("wrong-*")} == WRONG.keys()


def test_a_corrupt_vector_is_no_certificate() -> None:
    der = ssl.PEM_cert_to_DER_cert(vectors.path(f"{GO}/corrupt-cert.pem").read_text(encoding="ascii"))
    with pytest.raises(CredentialRejected) as refusal:
        read_certificate(der)
    assert refusal.value.reason is Reason.CERTIFICATE_MALFORMED
    with pytest.raises(ValueError, match="PEM"):
        certificates(f"{GO}/not-pem")
