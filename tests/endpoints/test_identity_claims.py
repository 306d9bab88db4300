"""Every public claim set, signed by a test issuer, is exchanged; and what is pinned by its id is pinned for good."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from authserver.testing import FakeIssuer
from tests import leaks, oracle, vectors
from tests.endpoints.conftest import MakeApplication
from tests.served import exchange_form

Claims = Mapping[str, Any]
Exchange = Callable[[Claims], str | None]

KEYS: Final = "/.well-known/jwks.json"
TIMES: Final = ("exp", "iat", "nbf")


@dataclass(frozen=True)
class Platform:
    """A claim set, the rule that pins its caller, and the ``sub`` that the caller gets.

    ``renamed`` is what else the platform says of the same caller once it has another name, or runs somewhere else;
    ``resurrected`` what it says of another caller that has the name now.
    """

    kind: str
    file: str
    match: str
    sub: str
    renamed: Claims = field(default_factory=dict)
    resurrected: Claims = field(default_factory=dict)
    sub_renamed: str | None = None

    @property
    def claims(self) -> dict[str, Any]:
        """What a token has besides its times."""
        document = vectors.load(f"identity-claims/{self.file}")
        return {name: value for name, value in document.get("claims", document).items() if name not in TIMES}


def repository(spelled: str, number: int) -> dict[str, str]:
    """The claims of GitHub about a repository."""
    return {"repository": spelled, "repository_id": str(number)}


MIRID: Final = "/subscriptions/9bc0d1aa-1111-4000-8000-000000000002/resourcegroups/other/providers/Microsoft.Compute/x"
OTHER_OBJECT: Final = "acde070d-8c4c-4f0d-9d8a-162843c10444"
PINNED: Final = "repository_id = 632596897"
BY_ID: Final = "here:repo:octo-org@131804563/octo-repo@632596897:"

PLATFORMS: Final = {
    "github push": Platform(
        "github", "github/claims-push.json", f'{PINNED}, ref = "refs/heads/main"', f"{BY_ID}ref:refs/heads/main",
        renamed={**repository("octo-org/new", 632596897), "sub": "repo:octo-org/new:ref:refs/heads/main"},
        sub_renamed="here:repo:octo-org@131804563/new@632596897:ref:refs/heads/main",
        resurrected=repository("octo-org/octo-repo", 7)),
    "github tag": Platform(
        "github", "github/claims-tag.json", f'{PINNED}, ref = "refs/tags/v1"', f"{BY_ID}ref:refs/tags/v1",
        resurrected=repository("octo-org/octo-repo", 7)),
    "github environment": Platform(
        "github", "github/claims-environment.json", f'{PINNED}, environment = "production"',
        f"{BY_ID}environment:production", resurrected=repository("octo-org/octo-repo", 7)),
    "github pull request": Platform(
        "github", "github/claims-pull_request.json", f'{PINNED}, event_name = "pull_request"', f"{BY_ID}pull_request",
        resurrected=repository("octo-org/octo-repo", 7)),
    "gitlab": Platform(
        "gitlab", "gitlab/claims-job.json", "project_id = 42831435, ref_protected = true",
        "here:project_id:42831435:ref_type:branch:ref:main",
        renamed={"project_path": "moved/new", "namespace_path": "moved", "namespace_id": "9",
                 "sub": "project_path:moved/new:ref_type:branch:ref:main"},
        resurrected={"project_id": "7"}),
    "google": Platform(
        "google", "gcp/claims-gce-identity-full.json", 'subject = "112233445566778899000"',
        "here:112233445566778899000",
        renamed={"email": None, "google": None},
        resurrected={"sub": "999999999999999999999", "azp": "999999999999999999999"}),
    "azure": Platform(
        "azure", "azure/claims-managed-identity-v1.json", 'object_id = "acde070d-8c4c-4f0d-9d8a-162843c10333"',
        "here:acde070d-8c4c-4f0d-9d8a-162843c10333",
        renamed={"xms_mirid": MIRID},
        resurrected={"oid": OTHER_OBJECT, "sub": OTHER_OBJECT, "appid": OTHER_OBJECT}),
    "kubernetes": Platform(
        "kubernetes", "kubernetes/claims-projected.json",
        'service_account_uid = "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798"',
        "here:system:serviceaccount:prod:api",
        resurrected={"kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "api", "uid": "another"}}}),
    "kubernetes of another cluster": Platform(
        "kubernetes", "kubernetes/rawPSAT.json", 'service_account_uid = "92f38e83-3ad1-11e9-a956-080027259175"',
        "here:system:serviceaccount:spire:spire-agent",
        resurrected={"kubernetes.io": {"namespace": "spire", "serviceaccount": {"name": "spire-agent", "uid": "x"}}}),
}  # fmt: skip

each_platform = pytest.mark.parametrize("platform", PLATFORMS.values(), ids=PLATFORMS)

CONFIGURATION: Final = """
[sources.here]
type = "{kind}"
issuer = "{issuer}"
audience = "{audience}"
jwks = {{ file = "{jwks}" }}
algorithms = ["ES256"]

[[allow]]
name = "pinned"
source = "here"
match = {{ {match} }}
resource = "https://images.example.com"
scope = ["images:read"]
"""


@pytest.fixture
def exchange(platform: Platform, make_application: MakeApplication, cluster: FakeIssuer, tmp_path: Path) -> Exchange:
    """Exchange a token that the test issuer made, with the claims of the platform and these changes.

    The application trusts the issuer and the audience that the claim set names, and the keys of the test issuer. What
    comes back is the ``sub`` of the access token, as another library reads it, or the reason for the refusal.
    """
    (tmp_path / "jwks.json").write_text(json.dumps(cluster.jwks), encoding="utf-8")
    described = {name: platform.claims[name] for name in ("iss", "aud")}
    audience = described["aud"] if isinstance(described["aud"], str) else described["aud"][0]
    more = CONFIGURATION.format(
        kind=platform.kind,
        issuer=described["iss"],
        audience=audience,
        jwks=tmp_path / "jwks.json",
        match=platform.match,
    )
    application = make_application(more=more)

    def exchanged(changes: Claims) -> str | None:
        answer = application.post(exchange_form(leaks.handled(cluster.token({**platform.claims, **changes}))))
        if answer.status == 200:
            _, claims = oracle.read(answer.json["access_token"], application.ask("GET", KEYS).json)
            return str(claims["sub"])
        assert (answer.status, answer.json["error"]) == (400, "invalid_request")
        return application.reason

    return exchanged


@each_platform
def test_every_public_claim_set_is_exchanged_and_a_rule_that_pins_its_id_outlives_names(
    exchange: Exchange, platform: Platform
) -> None:
    assert exchange({}) == platform.sub
    assert exchange(platform.renamed) == (platform.sub_renamed or platform.sub)
    assert exchange(platform.resurrected) == "no_rule"
