"""Everything that can vouch for a program, one file each. They do not know each other.

A new one is a file beside this one and a line in this table, which is the order of the chain.
"""

from collections.abc import Callable
from typing import Final

from authserver.client.supplier import Link, Surroundings
from authserver.client.suppliers.aws import AwsSupplier
from authserver.client.suppliers.az import AzSupplier
from authserver.client.suppliers.azure import AzureSupplier
from authserver.client.suppliers.device import DeviceSupplier
from authserver.client.suppliers.environment import EnvironmentSupplier
from authserver.client.suppliers.gcloud import GcloudSupplier
from authserver.client.suppliers.github import GitHubSupplier
from authserver.client.suppliers.gitlab import GitLabSupplier
from authserver.client.suppliers.google import GoogleSupplier
from authserver.client.suppliers.kubernetes import KubernetesSupplier
from authserver.client.suppliers.spiffe import SpiffeSupplier
from authserver.client.suppliers.x509 import X509Supplier

SUPPLIERS: Final[tuple[Callable[[Surroundings], Link], ...]] = (
    EnvironmentSupplier,
    KubernetesSupplier,
    GitHubSupplier,
    GitLabSupplier,
    AwsSupplier,
    AzureSupplier,
    GoogleSupplier,
    SpiffeSupplier,
    X509Supplier,
    DeviceSupplier.around,
    AzSupplier,
    GcloudSupplier,
)
