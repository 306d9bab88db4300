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


def _uid(*names: str) -> str:
    return str(uuid.uuid5(_NAMES, "/".join(names)))


def _number(name: str) -> str:
    return str(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]))
