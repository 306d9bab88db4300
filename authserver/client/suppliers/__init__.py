"""Everything that can vouch for a program, one file each. They do not know each other.

A new one is a file beside this one and a line in this table, which is the order of the chain.
"""

from collections.abc import Callable
from typing import Final

from authserver.client.supplier import Link, Surroundings
from authserver.client.suppliers.az import AzSupplier
from authserver.client.suppliers.device import DeviceSupplier
from authserver.client.suppliers.environment import EnvironmentSupplier
from authserver.client.suppliers.gcloud import GcloudSupplier
from authserver.client.suppliers.github import GitHubSupplier
from authserver.client.suppliers.gitlab import GitLabSupplier
from authserver.client.suppliers.kubernetes import KubernetesSupplier

SUPPLIERS: Final[tuple[Callable[[Surroundings], Link], ...]] = (
    EnvironmentSupplier,
    KubernetesSupplier,
    GitHubSupplier,
    GitLabSupplier,
    DeviceSupplier.around,
    AzSupplier,
    GcloudSupplier,
)
