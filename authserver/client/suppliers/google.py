"""Google Cloud: an identity token for the service account of a container or machine, from its metadata server.

https://docs.cloud.google.com/compute/docs/instances/verifying-instance-identity,
https://docs.cloud.google.com/run/docs/container-contract. That a machine is Google's, as its firmware tells
(``/sys/class/dmi/id/product_name``), is no marker: so are the runners of many pipelines.
"""

from typing import Final
from urllib.parse import quote

from authserver.client.failures import AnswerUnusable
from authserver.client.identity_token import usable
from authserver.client.platform import NAMED, PlatformSupplier, accepted, require_address
from authserver.client.supplier import Surroundings

HOST: Final = "GCE_METADATA_HOST"
"""Google's own variable for where the metadata server is."""

METADATA_HOST: Final = "169.254.169.254"
CLOUD_RUN: Final = ("K_SERVICE", "CLOUD_RUN_JOB", "CLOUD_RUN_WORKER_POOL")
IN_CLUSTER: Final = "KUBERNETES_SERVICE_HOST"

_PATH: Final = "/computeMetadata/v1/instance/service-accounts/default/identity"
_FLAVOR: Final = ("Metadata-Flavor", "Google")
_REMEDY: Final = "Give what the program runs in a service account"


class GoogleSupplier(PlatformSupplier):
    """Asks for a token for the audience each time; the metadata server has its own cache.

    On Compute Engine and GKE ``AUTHSERVER_PLATFORM=google`` or ``GCE_METADATA_HOST`` says that it is meant.
    """

    name = "google"
    nothing = f"neither {HOST} nor {CLOUD_RUN[0]} nor another variable of Cloud Run is set, and {NAMED} is not, either"

    def __init__(self, surroundings: Surroundings, metadata_host: str = METADATA_HOST) -> None:
        super().__init__(surroundings)
        self._host = self.environ.get(HOST, metadata_host)

    def found(self) -> str | None:
        """See :class:`authserver.client.platform.PlatformSupplier`."""
        if HOST in self.environ:
            return f"{HOST} is set"
        # Cloud Run has its variables from Knative, which runs in clusters of any kind.
        variables = () if IN_CLUSTER in self.environ else CLOUD_RUN
        return next((f"this is Cloud Run: {each} is set" for each in variables if self.environ.get(each)), None)

    def check(self, now: float) -> None:
        """See :class:`authserver.client.supplier.Link`."""
        del now
        self._url()

    def identity_token(self, now: float) -> str:
        """See :class:`authserver.client.identity_token.IdentityTokenSupplier`."""
        name, value = _FLAVOR
        answer = self.http.send("GET", self._url(), headers={name: value})
        if answer.headers.get(name) != value:
            raise AnswerUnusable("what answers in the place of Google's metadata server is not one")
        token = accepted(answer, "Google's metadata server", _REMEDY).body.decode("ascii", "replace")
        return usable(token, "the answer of Google's metadata server", now)

    def _url(self) -> str:
        """:raises IdentityUnusable: the metadata server has no address."""
        audience = quote(self.audience, safe="")
        return require_address(f"http://{self._host}{_PATH}?audience={audience}&format=full", HOST)
