"""The types of source that exist. A new one is a file beside this one and a line in this table."""

from collections.abc import Mapping
from typing import Final

from authserver.identity.source import SourceTable
from authserver.identity.sources.device import DeviceTable
from authserver.identity.sources.github import GitHubTable
from authserver.identity.sources.kubernetes import KubernetesTable
from authserver.identity.sources.oidc import OidcTable

SOURCES: Final[Mapping[str, type[SourceTable]]] = {
    "device": DeviceTable,
    "github": GitHubTable,
    "kubernetes": KubernetesTable,
    "oidc": OidcTable,
}
