"""Who may call, put together from the configuration."""

from collections.abc import Mapping, Sequence

from authserver.identity.authenticate import Identity
from authserver.identity.aws.sts import Forward
from authserver.identity.certificate_source import CertificateCallers, CertificateSource
from authserver.identity.devices import DeviceCallers
from authserver.identity.source import JwtSource
from authserver.jose.verify import Keys
from authserver.server.signed_requests import build_signed_requests
from authserver.settings import Settings
from authserver.store.ports import DeviceReader, Store


def build_identity(
    settings: Settings,
    key_sets: Mapping[str, Keys],
    certificates: Sequence[CertificateSource],
    store: Store,
    forward: Forward,
) -> Identity:
    """Everybody who can be recognized. ``forward`` sends the requests that callers signed to AWS."""
    return Identity(
        build_sources(settings, key_sets).values(),
        store,
        build_devices(settings, store),
        build_signed_requests(settings, forward),
        CertificateCallers(certificates),
    )


def build_sources(settings: Settings, keys: Mapping[str, Keys]) -> dict[str, JwtSource]:
    """Every source of identity tokens, by its name."""
    skew = settings.server.clock_skew
    return {name: JwtSource(name, table, keys[name], skew) for name, table in settings.jwt_sources.items()}


def build_devices(settings: Settings, devices: DeviceReader) -> DeviceCallers:
    """Who enrolled at a device source."""
    server = settings.server
    return DeviceCallers(server.issuer, settings.device_sources, devices, skew=server.clock_skew)
