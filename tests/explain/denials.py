"""Twenty callers that are denied, each in a way of its own, and the configuration that denies them."""

from dataclasses import dataclass, field
from typing import Any, Final

from authserver.testing.claims import github_claims, kubernetes_claims

AUDIENCE: Final = "https://auth.example.com"
IMAGES: Final = "https://images.example.com"
DEPLOY: Final = "https://deploy.example.com"
REPORTS: Final = "https://reports.example.com"
PROD: Final = "https://prod.example.com"
GITHUB: Final = "https://token.actions.githubusercontent.com"
COMPANY: Final = "https://login.example.com"

UID: Final = kubernetes_claims("media", "archiver", AUDIENCE)["kubernetes.io"]["serviceaccount"]["uid"]
REPOSITORY_ID: Final = github_claims("acme/website", AUDIENCE)["repository_id"]

CONFIGURATION: Final = f"""
[server]
issuer = "https://auth.example.com"

[resources.images]
identifier = "{IMAGES}"
scopes = ["images:read", "images:write", "images:delete"]

[resources.deployments]
identifier = "{DEPLOY}"
scopes = ["deploy:staging", "deploy:production"]

[resources.reports]
identifier = "{REPORTS}"
scopes = ["reports:read", "reports:publish"]
default_scopes = ["reports:read"]

[sources.prod]
type = "kubernetes"
issuer = "{PROD}"
audience = "{AUDIENCE}"

[sources.staging]
type = "kubernetes"
issuer = "https://staging.example.com"
audience = "{AUDIENCE}"

[sources.github]
type = "github"
audience = "{AUDIENCE}"

[sources.company]
type = "oidc"
issuer = "{COMPANY}"
audience = "{AUDIENCE}"
attributes = ["sub", "groups", "employment.type", "email_verified"]

[sources.partner]
type = "oidc"
issuer = "https://partner.example.com"
audience = "{AUDIENCE}"
attributes = ["team", "tier"]

[[allow]]
name = "thumbnailer-reads"
source = "prod"
match = {{ namespace = "media", service_account = "thumbnailer" }}
resource = "{IMAGES}"
scope = ["images:read"]
lifetime = "15m"

[[allow]]
name = "archiver-deletes"
source = "prod"
match = {{ service_account_uid = "{UID}" }}
resource = "{IMAGES}"
scope = ["images:delete"]

[[allow]]
name = "gpu-node-reports"
source = "prod"
match = {{ namespace = "media", node = "gpu-1" }}
resource = "{REPORTS}"
scope = ["reports:read"]

[[allow]]
name = "auditor-publishes"
source = "prod"
match = {{ namespace = "audit", service_account = "auditor" }}
resource = "{REPORTS}"
scope = ["reports:publish"]
mode = "audit"

[[allow]]
name = "main-deploys-to-staging"
source = "github"
match = {{ repository_id = {REPOSITORY_ID}, ref = "refs/heads/main" }}
resource = "{DEPLOY}"
scope = ["deploy:staging"]

[[allow]]
name = "releases-to-production"
source = "github"
match = {{ repository_id = {REPOSITORY_ID}, environment = "production", ref = {{ glob = "refs/heads/release-*" }} }}
resource = "{DEPLOY}"
scope = ["deploy:production"]
lifetime = "10m"

[[allow]]
name = "nightly-reads"
source = "github"
match = {{ repository_id = {REPOSITORY_ID}, event_name = ["schedule", "workflow_dispatch"], ref_type = "branch" }}
resource = "{REPORTS}"
scope = ["reports:read"]

[[allow]]
name = "one-workflow-publishes"
source = "github"
match = {{ repository_id = {REPOSITORY_ID}, workflow_ref = {{ glob = "acme/website/.github/workflows/publish.*" }} }}
resource = "{REPORTS}"
scope = ["reports:publish"]

[[allow]]
name = "editors-publish"
source = "company"
match = {{ groups = ["editors", "chief-editors"], "employment.type" = "employee", email_verified = true }}
resource = "{REPORTS}"
scope = ["reports:publish"]

[[allow]]
name = "readers-read"
source = "company"
match = {{ groups = "readers" }}
resource = "{REPORTS}"
scope = ["reports:read"]

[[allow]]
name = "gold-partners-read"
source = "partner"
match = {{ team = {{ glob = "core-*" }}, tier = "gold" }}
resource = "{IMAGES}"
scope = ["images:read"]
"""


@dataclass(frozen=True)
class Denial:
    """A caller that is denied, and what has to be said of it: the nearest rule, and what keeps it from applying."""

    caller: str
    source: str
    claims: dict[str, Any] = field(repr=False)
    resource: str
    scope: tuple[str, ...]
    rule: str
    differences: tuple[str, ...]
    reason: str = "no_rule"


def pod(namespace: str, service_account: str, *, iss: str = PROD, **changes: Any) -> dict[str, Any]:
    """What the cluster says of a pod; ``changes`` replace members of what stands below ``kubernetes.io``."""
    claims = kubernetes_claims(namespace, service_account, AUDIENCE)
    return {"iss": iss, **claims, "kubernetes.io": {**claims["kubernetes.io"], **changes}}


def job(repository: str = "acme/website", **changes: Any) -> dict[str, Any]:
    """What GitHub says of a job, with claims replaced; None takes one away."""
    claims = {"iss": GITHUB, **github_claims(repository, AUDIENCE), **changes}
    if "ref" in changes:
        claims["sub"] = f"repo:{repository}:ref:{changes['ref']}"
    return {name: value for name, value in claims.items() if value is not None}


def person(sub: str, *groups: str, employment: str = "employee", verified: bool = True) -> dict[str, Any]:
    """What the company says of a person."""
    return {
        "iss": COMPANY,
        "sub": sub,
        "groups": list(groups),
        "employment": {"type": employment},
        "email_verified": verified,
    }


READ: Final = ("images:read",)
OTHER_ID: Final = github_claims("acme/wobsite", AUDIENCE)["repository_id"]
RELEASE: Final = {"environment": "production", "sub": "repo:acme/website:environment:production"}

DENIALS: Final = (
    Denial(
        "another service account", "prod", pod("media", "resizer"), IMAGES, READ, "thumbnailer-reads",
        ("service_account is 'resizer', and must be 'thumbnailer'",),
    ),
    Denial(
        "another namespace", "prod", pod("default", "thumbnailer"), IMAGES, READ, "thumbnailer-reads",
        ("namespace is 'default', and must be 'media'",),
    ),
    Denial(
        "another case of letters", "prod", pod("media", "Thumbnailer"), IMAGES, READ, "thumbnailer-reads",
        ("service_account is 'Thumbnailer', and must be 'thumbnailer'",),
    ),
    Denial(
        "both wrong, as attributes", "prod", {"namespace": "batch", "service_account": "export"}, IMAGES, READ,
        "thumbnailer-reads",
        ("namespace is 'batch', and must be 'media'", "service_account is 'export', and must be 'thumbnailer'"),
    ),
    Denial(
        "a service account that was made again", "prod",
        pod("media", "archiver", serviceaccount={"name": "archiver", "uid": "a-new-one"}), IMAGES, ("images:delete",),
        "archiver-deletes", (f"service_account_uid is 'a-new-one', and must be '{UID}'",),
    ),
    Denial(
        "a pod on another node", "prod", pod("media", "renderer"), REPORTS, (), "gpu-node-reports",
        ("node is 'node-1', and must be 'gpu-1'",),
    ),
    Denial(
        "a pod on no node", "prod", pod("media", "indexer", node=None), REPORTS, (), "gpu-node-reports",
        ("node is missing, and must be 'gpu-1'",),
    ),
    Denial(
        "the same name in another cluster", "staging", pod("media", "thumbnailer", iss="https://staging.example.com"),
        IMAGES, READ, "thumbnailer-reads", ("it is for the source 'prod', and the caller is from 'staging'",),
    ),
    Denial(
        "a rule that only observes", "prod", pod("audit", "auditor"), REPORTS, ("reports:publish",),
        "auditor-publishes", ('its mode is "audit"',),
    ),
    Denial(
        "a scope beyond the rule", "prod", pod("media", "thumbnailer"), IMAGES, ("images:read", "images:write"),
        "thumbnailer-reads", ("it does not grant images:write",), "scope_not_allowed",
    ),
    Denial(
        "a branch", "github", job(ref="refs/heads/feature"), DEPLOY, ("deploy:staging",), "main-deploys-to-staging",
        ("ref is 'refs/heads/feature', and must be 'refs/heads/main'",),
    ),
    Denial(
        "a branch below a release", "github", job(ref="refs/heads/release-2/try") | RELEASE, DEPLOY,
        ("deploy:production",), "releases-to-production",
        ("ref is 'refs/heads/release-2/try', and must be like 'refs/heads/release-*'",),
    ),
    Denial(
        "a release outside of its environment", "github", job(ref="refs/heads/release-2"), DEPLOY,
        ("deploy:production",), "releases-to-production", ("environment is missing, and must be 'production'",),
    ),
    Denial(
        "a name that somebody else has now", "github", job(repository_id=OTHER_ID), DEPLOY, ("deploy:staging",),
        "main-deploys-to-staging", (f"repository_id is '{OTHER_ID}', and must be '{REPOSITORY_ID}'",),
    ),
    Denial(
        "a stranger's pull request", "github", job(event_name="pull_request_target", actor_id="666"), DEPLOY,
        ("deploy:staging",), "main-deploys-to-staging",
        ("event_name is 'pull_request_target', which the rule does not spell out",),
    ),
    Denial(
        "an event of another kind", "github", job(event_name="release"), REPORTS, (), "nightly-reads",
        ("event_name is 'release', and must be 'schedule' or 'workflow_dispatch'",),
    ),
    Denial(
        "a tag, started by hand", "github",
        job(ref="refs/tags/v1", ref_type="tag", event_name="workflow_dispatch"), REPORTS, (), "nightly-reads",
        ("ref_type is 'tag', and must be 'branch'",),
    ),
    Denial(
        "another workflow", "github", job(), REPORTS, ("reports:publish",), "one-workflow-publishes",
        (
            "workflow_ref is 'acme/website/.github/workflows/deploy.yml@refs/heads/main', and must be "
            "like 'acme/website/.github/workflows/publish.*'",
        ),
    ),
    Denial(
        "nobody of the group", "company", person("u-1", "staff", "cyclists"), REPORTS, (), "readers-read",
        ("groups is 'staff', 'cyclists', and must be 'readers'",),
    ),
    Denial(
        "an editor on contract", "company", person("u-2", "staff", "editors", employment="contractor"), REPORTS,
        ("reports:publish",), "editors-publish", ("employment.type is 'contractor', and must be 'employee'",),
    ),
    Denial(
        "an address that nobody confirmed", "company", person("u-3", "editors", "readers", verified=False), REPORTS,
        ("reports:publish",), "editors-publish", ("email_verified is 'false', and must be 'true'",),
        "scope_not_allowed",
    ),
    Denial(
        "a partner of another tier", "partner",
        {"iss": "https://partner.example.com", "sub": "p-1", "team": "core-web", "tier": "silver"}, IMAGES, READ,
        "gold-partners-read", ("tier is 'silver', and must be 'gold'",),
    ),
    Denial(
        "a team that only looks like it", "partner", {"team": "core-web:guest", "tier": "gold"}, IMAGES, READ,
        "gold-partners-read", ("team is 'core-web:guest', and must be like 'core-*'",),
    ),
)  # fmt: skip

BYSTANDERS: Final = (
    ("prod", pod("media", "resizer", serviceaccount={"name": "resizer", "uid": "made-again"})),
    ("prod", pod("media", "renderer", node={"name": "node-2"})),
    ("prod", {"namespace": "batch", "service_account": "import"}),
    ("staging", pod("media", "uploader", iss="https://staging.example.com")),
    ("github", job("acme/blog")),
    ("github", job(event_name="schedule")),
    ("github", job(workflow_ref="acme/website/.github/workflows/test.yml@refs/heads/main")),
    ("company", person("u-4", "staff", "cyclists")),
    ("company", person("u-5", "editors", employment="contractor")),
    ("partner", {"team": "core-web", "tier": "bronze"}),
)
"""Callers beside them, so that a suggestion that is too wide is found out."""
