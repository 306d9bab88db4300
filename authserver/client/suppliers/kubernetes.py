"""Kubernetes: the token that the kubelet projects into the pod and replaces before it expires.

https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#serviceaccount-token-volume-projection
"""

from pathlib import Path
from typing import Final

from authserver.client.failures import IdentityUnusable
from authserver.client.identity_token import IdentityTokenSupplier, is_there, read_usable
from authserver.client.supplier import Surroundings
from authserver.oauth import TokenType

HOST: Final = "KUBERNETES_SERVICE_HOST"
FILE: Final = "AUTHSERVER_KUBERNETES_TOKEN_FILE"
PROJECTED: Final = "/var/run/identity/token"
"""Where the documentation has the token projected. The default token of a pod is for the API server, never for us."""


class KubernetesSupplier(IdentityTokenSupplier):
    """Shows the projected token of the pod, which is read anew each time.

    Programs of many kinds run in pods, runners of pipelines among them. So a pod into which nothing is projected is
    no mistake, unless ``AUTHSERVER_KUBERNETES_TOKEN_FILE`` names the file.
    """

    name = "kubernetes"
    token_type = TokenType.JWT

    def __init__(self, surroundings: Surroundings, projected: str = PROJECTED) -> None:
        self._in_pod = bool(surroundings.environ.get(HOST))
        self._named = surroundings.environ.get(FILE)
        self._path = projected if self._named is None else self._named

    @property
    def marker(self) -> str:
        """See :class:`authserver.client.supplier.Link`."""
        return f"the pod has {self._path}" if self._named is None else f"{FILE} names {self._path}"

    def absence(self) -> str | None:
        """See :class:`authserver.client.supplier.Link`."""
        if self._named is not None:
            return None
        if not self._in_pod:
            return f"{HOST} is not set"
        return None if is_there(self._path) else f"this is a pod, but no token is projected to {self._path}"

    def check(self, now: float) -> None:
        """See :class:`authserver.client.supplier.Link`."""
        self.identity_token(now)

    def identity_token(self, now: float) -> str:
        """See :class:`authserver.client.identity_token.IdentityTokenSupplier`."""
        if not self._path:
            raise IdentityUnusable(f"{FILE} is empty. Name a file in it, or unset it")
        return read_usable(Path(self._path), now)
