"""Everyone who may be known by a client certificate, put together from the configuration."""

from collections.abc import Iterator, Mapping

from authserver.identity.certificate_source import AuthoritySource, CertificateSource
from authserver.identity.spiffe_bundle import TrustBundle
from authserver.identity.x509_svid import SvidSource
from authserver.settings import Settings


def build_certificate_sources(settings: Settings, key_sets: Mapping[str, object]) -> tuple[CertificateSource, ...]:
    """Every source of client certificates. ``key_sets`` has the trust bundles, by the names of their sources.

    Trust domains come first: a certificate that one of them vouches for is for nobody else to believe.
    """
    return (*_trust_domains(settings, key_sets), *_authorities(settings))


def _trust_domains(settings: Settings, key_sets: Mapping[str, object]) -> Iterator[CertificateSource]:
    for name, table in settings.spiffe_sources.items():
        bundle = key_sets[name]
        if isinstance(bundle, TrustBundle):
            yield SvidSource(name, table.trust_domain, bundle, settings.server.clock_skew)


def _authorities(settings: Settings) -> Iterator[CertificateSource]:
    for name, table in settings.authority_sources.items():
        yield AuthoritySource.of(name, table, settings.base, settings.server.clock_skew)
