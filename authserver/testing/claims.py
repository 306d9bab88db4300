"""The claims that platforms put into their identity tokens, with values made up."""

import hashlib
import uuid
from typing import Any

_NAMES = uuid.UUID("5c1d3b4e-6f0a-4d58-9f0e-2f9a6f0f7a11")


def kubernetes_claims(namespace: str, service_account: str, audience: str) -> dict[str, Any]:
    """What the API server says of a pod that runs as this service account. The same name has the same uid."""
    pod = f"{service_account}-7c9d"
    return {
        "aud": [audience],
        "sub": f"system:serviceaccount:{namespace}:{service_account}",
        "kubernetes.io": {
            "namespace": namespace,
            "node": {"name": "node-1", "uid": _uid("node", "node-1")},
            "pod": {"name": pod, "uid": _uid("pod", namespace, pod)},
            "serviceaccount": {"name": service_account, "uid": _uid("serviceaccount", namespace, service_account)},
        },
    }


def github_claims(repository: str, audience: str) -> dict[str, Any]:
    """What GitHub says of a job of the workflow ``deploy.yml`` that a push to ``main`` started.

    The same repository or owner has the same numeric id.

    :raises ValueError: ``repository`` is not ``owner/name``.
    """
    owner, _, name = repository.partition("/")
    if not owner or not name or "/" in name:
        raise ValueError("repository must be owner/name")
    ref, sha = "refs/heads/main", hashlib.sha256(repository.encode()).hexdigest()[:40]
    workflow = f"{repository}/.github/workflows/deploy.yml@{ref}"
    return {
        "aud": audience,
        "sub": f"repo:{repository}:ref:{ref}",
        "repository": repository,
        "repository_id": _number(repository),
        "repository_owner": owner,
        "repository_owner_id": _number(owner),
        "repository_visibility": "private",
        "ref": ref,
        "ref_type": "branch",
        "ref_protected": "true",
        "base_ref": "",
        "head_ref": "",
        "sha": sha,
        "event_name": "push",
        "actor": "octocat",
        "actor_id": "583231",
        "run_id": "27476101517",
        "run_number": "12",
        "run_attempt": "1",
        "check_run_id": "81215574497",
        "runner_environment": "github-hosted",
        "workflow": "deploy",
        "workflow_ref": workflow,
        "workflow_sha": sha,
        "job_workflow_ref": workflow,
        "job_workflow_sha": sha,
    }


def gitlab_claims(project_path: str, audience: str) -> dict[str, Any]:
    """What GitLab says of a job that a push to the protected branch ``main`` started.

    The same project or namespace has the same numeric id.

    :raises ValueError: ``project_path`` is not ``namespace/project``, with groups in between or not.
    """
    namespace, _, name = project_path.rpartition("/")
    if not namespace or not name:
        raise ValueError("project_path must be namespace/project")
    return {
        "aud": audience,
        "sub": f"project_path:{project_path}:ref_type:branch:ref:main",
        "project_path": project_path,
        "project_id": _number(project_path),
        "namespace_path": namespace,
        "namespace_id": _number(namespace),
        "ref": "main",
        "ref_type": "branch",
        "ref_path": "refs/heads/main",
        "ref_protected": "true",
        "sha": hashlib.sha256(project_path.encode()).hexdigest()[:40],
        "pipeline_id": "757451528",
        "pipeline_source": "push",
        "job_id": "3659681386",
        "runner_id": 1,
        "runner_environment": "gitlab-hosted",
        "project_visibility": "private",
        "user_id": "1",
        "user_login": "somebody",
        "user_email": "somebody@example.com",
        "user_access_level": "maintainer",
    }


def google_claims(email: str, audience: str) -> dict[str, Any]:
    """What Google says of a virtual machine that runs as the service account with this address.

    The same address has the same number, and the same project, which is the part of its domain before the first dot.

    :raises ValueError: ``email`` is no address.
    """
    name, _, domain = email.partition("@")
    if not name or not domain:
        raise ValueError("email must be an address")
    number, project = _long_number(email, 21), domain.partition(".")[0]
    return {
        "aud": audience,
        "sub": number,
        "azp": number,
        "email": email,
        "email_verified": True,
        "google": {
            "compute_engine": {
                "instance_creation_timestamp": 1700000000,
                "instance_id": _long_number(f"{email}/vm-1", 19),
                "instance_name": "vm-1",
                "project_id": project,
                "project_number": int(_long_number(project, 12)),
                "zone": "europe-west1-b",
            }
        },
    }


def azure_claims(tenant_id: str, identity: str, audience: str) -> dict[str, Any]:
    """What Entra ID says of the user-assigned managed identity of this name, in a token of version 1.0.

    The same name in the same tenant has the same object and client ID.
    """
    object_id, subscription = _uid("object", tenant_id, identity), _uid("subscription", tenant_id)
    return {
        "aud": audience,
        "sub": object_id,
        "oid": object_id,
        "tid": tenant_id,
        "idp": f"https://sts.windows.net/{tenant_id}/",
        "appid": _uid("application", tenant_id, identity),
        "appidacr": "2",
        "idtyp": "app",
        "ver": "1.0",
        "xms_mirid": f"/subscriptions/{subscription}/resourcegroups/media"
        f"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{identity}",
    }


def spiffe_claims(spiffe_id: str, audience: str) -> dict[str, Any]:
    """What a SPIFFE Workload API says of the workload with this ID.

    :raises ValueError: ``spiffe_id`` does not begin with ``spiffe://``.
    """
    if not spiffe_id.startswith("spiffe://"):
        raise ValueError("spiffe_id must begin with spiffe://")
    return {"aud": [audience], "sub": spiffe_id}


def aws_claims(arn: str, audience: str) -> dict[str, Any]:
    """What STS of AWS says of the principal with this ARN (``GetWebIdentityToken``), such as a role of IAM.

    :raises ValueError: ``arn`` is not the name of a principal.
    """
    parts = arn.split(":", 5)
    if len(parts) != 6 or not parts[4]:
        raise ValueError("arn must name a principal, as arn:aws:iam::123456789012:role/name does")
    return {
        "aud": audience,
        "sub": arn,
        "https://sts.amazonaws.com/": {
            "aws_account": parts[4],
            "source_region": "eu-central-1",
            "org_id": "o-abc1234567",
            "principal_tags": {"environment": "production"},
        },
    }


def _uid(*names: str) -> str:
    return str(uuid.uuid5(_NAMES, "/".join(names)))


def _number(name: str) -> str:
    return str(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]))


def _long_number(name: str, digits: int) -> str:
    smallest = 10 ** (digits - 1)
    return str(smallest + int.from_bytes(hashlib.sha256(name.encode()).digest()) % (9 * smallest))
