"""Kubernetes service accounts, by projected token.

Claims as the API server writes them: https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

from authserver.errors import CredentialRejected, Reason
from authserver.identity.source import OBJECT, Identified, JwtSourceTable, attributes_at, claim_at
from authserver.jose.verify import VerifiedClaims

_CLAIM: Final = "kubernetes.io"
_PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "namespace": (_CLAIM, "namespace"),
    "service_account": (_CLAIM, "serviceaccount", "name"),
    "service_account_uid": (_CLAIM, "serviceaccount", "uid"),
    "pod": (_CLAIM, "pod", "name"),
    "pod_uid": (_CLAIM, "pod", "uid"),
    "node": (_CLAIM, "node", "name"),
}
_IDENTIFYING: Final = frozenset(("namespace", "service_account", "service_account_uid"))


class KubernetesTable(JwtSourceTable):
    """A cluster whose service accounts are callers. The subject is ``system:serviceaccount:<namespace>:<name>``."""

    default_algorithms: ClassVar[tuple[str, ...]] = ("RS256", "ES256", "ES384", "ES512")
    # Nothing is recyclable: who may make a service account anew under its old name decides in the cluster anyway, and
    # a name that outlives its uid is what manifests rely on.
    one_workload: ClassVar[tuple[frozenset[str], ...]] = (
        frozenset(("namespace", "service_account")),
        frozenset(("service_account_uid",)),
        frozenset(("pod_uid",)),
    )

    type: Literal["kubernetes"]

    @property
    def attribute_names(self) -> frozenset[str]:
        """What a projected token says of the service account and of the pod that holds it."""
        return frozenset(_PATHS)

    @property
    def identifying(self) -> frozenset[str]:
        """The service account, by its name and by the number that another one of this name would not have."""
        return _IDENTIFYING

    def identify(self, verified: VerifiedClaims) -> Identified:
        """See :meth:`JwtSourceTable.identify`."""
        return Identified(_subject(verified), attributes_at(verified.claims, _PATHS))


def _subject(verified: VerifiedClaims) -> str:
    # A token made from a Secret has neither this claim nor an end; a projected one always has both.
    if not isinstance(verified.claims.get(_CLAIM), OBJECT):
        raise CredentialRejected(Reason.LEGACY_SERVICE_ACCOUNT_TOKEN)
    namespace = _name(verified.claims, "namespace")
    service_account = _name(verified.claims, "service_account")
    subject, sent = f"system:serviceaccount:{namespace}:{service_account}", verified.text("sub")
    if sent != subject:
        raise CredentialRejected(Reason.SUBJECT_MISMATCH, sub=sent, claims=subject)
    return subject


def _name(claims: Mapping[str, Any], attribute: str) -> str:
    name = claim_at(claims, _PATHS[attribute])
    if not isinstance(name, str) or not name or ":" in name:
        raise CredentialRejected(Reason.CLAIM_MALFORMED, claim=".".join(_PATHS[attribute]))
    return name
