"""The types of source that exist. A new one is a file beside this one and a line in this table."""

from collections.abc import Mapping
from typing import Final

from authserver.identity.source import SourceTable
from authserver.identity.sources.aws import AwsTable
from authserver.identity.sources.azure import AzureTable
from authserver.identity.sources.device import DeviceTable
from authserver.identity.sources.github import GitHubTable
from authserver.identity.sources.gitlab import GitLabTable
from authserver.identity.sources.google import GoogleTable
from authserver.identity.sources.kubernetes import KubernetesTable
from authserver.identity.sources.oidc import OidcTable
from authserver.identity.sources.spiffe import SpiffeTable
from authserver.identity.sources.x509 import X509Table

SOURCES: Final[Mapping[str, type[SourceTable]]] = {
    "aws": AwsTable,
    "azure": AzureTable,
    "device": DeviceTable,
    "github": GitHubTable,
    "gitlab": GitLabTable,
    "google": GoogleTable,
    "kubernetes": KubernetesTable,
    "oidc": OidcTable,
    "spiffe": SpiffeTable,
    "x509": X509Table,
}
