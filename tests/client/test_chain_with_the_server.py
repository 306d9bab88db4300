"""The chain and its two commands against the real server: a pod, a job of GitHub, and an enrolled machine."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask import Flask

from authserver.cli.commands import authserver
from authserver.resource.flask import ResourceServer
from authserver.testing import FakeIssuer
from authserver.testing.claims import azure_claims, gitlab_claims, google_claims
from tests import leaks, oracle
from tests.client.metadata import MetadataService, Said
from tests.client.runner import Runner
from tests.devices import PHONES
from tests.house.tree import ROOT
from tests.resource import live
from tests.served import AUDIENCE, IMAGES, Server, ask, serving

pytestmark = pytest.mark.slow

ASKED = ("token", "--resource", IMAGES, "--scope", "images:read")
GITHUB = "https://github.auth.example.com"
TENANT = "9bc0d1aa-0000-4000-8000-000000000001"
EMAIL = "thumbnailer@media.iam.gserviceaccount.com"
AZURE, GOOGLE, GITLAB = f"https://sts.windows.net/{TENANT}/", "https://accounts.google.com", "https://gitlab.com"
PLATFORMS = """
[sources.azure]
type = "azure"
issuer = "{azure}"
audience = "https://auth.example.com"
jwks = {{ url = "{keys}" }}
algorithms = ["ES256"]

[sources.google]
type = "google"
audience = "https://auth.example.com"
jwks = {{ url = "{keys}" }}
algorithms = ["ES256"]

[sources.gitlab]
type = "gitlab"
audience = "https://auth.example.com"
jwks = {{ url = "{keys}" }}
algorithms = ["ES256"]

[[allow]]
name = "an-azure-identity"
source = "azure"
match = {{ object_id = "{object_id}" }}
resource = "https://images.example.com"
scope = ["images:read"]

[[allow]]
name = "a-google-account"
source = "google"
match = {{ subject = "{subject}" }}
resource = "https://images.example.com"
scope = ["images:read"]

[[allow]]
name = "a-gitlab-project"
source = "gitlab"
match = {{ project_id = "{project_id}", ref_protected = true }}
resource = "https://images.example.com"
scope = ["images:read"]
"""
OBJECT_ID = azure_claims(TENANT, "thumbnailer", AUDIENCE)["oid"]
SUBJECT = google_claims(EMAIL, AUDIENCE)["sub"]
PROJECT_ID = gitlab_claims("media/tools", AUDIENCE)["project_id"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[FakeIssuer]:
    with FakeIssuer() as issuer:
        yield issuer


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, cluster: FakeIssuer) -> Iterator[Server]:
    pinned = {"object_id": OBJECT_ID, "subject": SUBJECT, "project_id": PROJECT_ID}
    platforms = PLATFORMS.format(keys=cluster.jwks_url, azure=AZURE, **pinned)
    more = PHONES.format(phones="max_per_owner = 5") + platforms
    with serving(tmp_path_factory.mktemp("server"), cluster=cluster.issuer, more=more) as server:
        yield server


@pytest.fixture
def environ(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "AUTHSERVER_HOME": str(home)}


def run(environ: dict[str, str], *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "authserver", *words],
        env=environ,
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        start_new_session=True,
    )


def caller(served: Server, done: subprocess.CompletedProcess[str]) -> str:
    """The ``sub`` of the token that was printed, as another library reads it."""
    assert done.returncode == 0, leaks.find(done.stderr) or done.stderr
    token = leaks.handled(done.stdout.strip())
    _, claims = oracle.read(token, ask("GET", f"{served.url}/.well-known/jwks.json").json)
    return str(claims["sub"])


def test_a_pod_gets_a_token(served: Server, cluster: FakeIssuer, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "token").write_text(leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE)), "ascii")
    environ["AUTHSERVER_KUBERNETES_TOKEN_FILE"] = str(tmp_path / "token")
    asked = ("token", "--issuer", served.url, "--resource", IMAGES)
    assert caller(served, run(environ, *asked, "--scope", "images:read")) == (
        "cluster:system:serviceaccount:media:thumbnailer"
    )
    refused = run(environ, *asked, "--scope", "images:write")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "invalid_scope" in refused.stderr


def test_a_job_of_github_gets_a_token_for_the_audience_of_its_source(
    served: Server, cluster: FakeIssuer, environ: dict[str, str]
) -> None:
    with Runner(
        lambda audience: leaks.handled(cluster.github_token("acme/website", audience, repository_id=1))
    ) as runner:
        asked = ("token", "--issuer", served.url, "--resource", IMAGES, "--scope", "images:write")
        done = run({**environ, **runner.environ}, *asked, "--audience", GITHUB)
        assert caller(served, done).startswith("github:repo:")
        assert run({**environ, **runner.environ}, *asked).returncode == 1


def test_a_container_at_google_gets_a_token(served: Server, cluster: FakeIssuer, environ: dict[str, str]) -> None:
    token = leaks.handled(cluster.google_token(EMAIL, AUDIENCE, iss=GOOGLE))
    with MetadataService() as service:
        service.said = Said(token.encode(), headers={"Metadata-Flavor": "Google"})
        mine = {**environ, "K_SERVICE": "thumbnailer", "GCE_METADATA_HOST": service.host}
        done = run(mine, *ASKED, "--issuer", served.url, "--audience", AUDIENCE)
        assert service.asked[0].query["audience"] == AUDIENCE
    assert caller(served, done) == f"google:{SUBJECT}"


def test_a_container_at_azure_gets_a_token(served: Server, cluster: FakeIssuer, environ: dict[str, str]) -> None:
    token = leaks.handled(cluster.azure_token(TENANT, "thumbnailer", AUDIENCE, iss=AZURE))
    with MetadataService() as service:
        service.said = Said(json.dumps({"access_token": token}).encode())
        mine = {**environ, "IDENTITY_ENDPOINT": f"http://{service.host}/msi/token", "IDENTITY_HEADER": "a-secret"}
        done = run(mine, *ASKED, "--issuer", served.url, "--audience", AUDIENCE)
    assert caller(served, done) == f"azure:{OBJECT_ID}"


def test_a_job_of_gitlab_gets_a_token(served: Server, cluster: FakeIssuer, environ: dict[str, str]) -> None:
    token = leaks.handled(cluster.gitlab_token("media/tools", AUDIENCE, iss=GITLAB))
    mine = {**environ, "GITLAB_CI": "true", "CI": "true", "K_SERVICE": "runner", "AUTHSERVER_ID_TOKEN": token}
    done = run(mine, *ASKED, "--issuer", served.url)
    assert caller(served, done) == f"gitlab:project_id:{PROJECT_ID}:ref_type:branch:ref:main"


CALLS = """
import os, pathlib, urllib.request
token = pathlib.Path(os.environ["AUTHSERVER_TOKEN_FILE"]).read_text()
request = urllib.request.Request(os.environ["API"], headers={"Authorization": f"Bearer {token}"})
print(urllib.request.urlopen(request).read().decode())
"""


def test_a_command_calls_an_api_with_the_token_in_its_file(
    served: Server, cluster: FakeIssuer, environ: dict[str, str]
) -> None:
    identity = leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))
    app = Flask("images")
    with live.serving(app) as port:
        url = f"http://127.0.0.1:{port}"
        images = ResourceServer(issuer=served.url, audience=IMAGES, url=url)

        @app.get("/images")
        @images.requires("images:read")
        def show() -> dict[str, str]:
            return {"caller": images.token.subject}

        asked = ("exec", "--issuer", served.url, "--resource", IMAGES, "--scope", "images:read", "--")
        mine = {**environ, "AUTHSERVER_IDENTITY_TOKEN": identity, "API": f"{url}/images"}
        done = run(mine, *asked, sys.executable, "-c", CALLS)
    assert done.returncode == 0, leaks.find(done.stderr) or done.stderr
    assert json.loads(done.stdout) == {"caller": "cluster:system:serviceaccount:media:thumbnailer"}


def test_an_enrolled_machine_gets_a_bound_token_and_none_in_a_file(served: Server, environ: dict[str, str]) -> None:
    """R68"""
    invite = ["devices", "invite", "--source", "phones", "--owner", "alice", "--json"]
    invited = CliRunner().invoke(authserver, [*invite, "--config", str(served.configuration)])
    code = leaks.handled(json.loads(invited.stdout)["code"])
    assert run(environ, "enroll", "--issuer", served.url, typed=code).returncode == 0
    asked = ("--issuer", served.url, "--resource", IMAGES, "--scope", "images:read")
    assert caller(served, run(environ, "token", *asked, "--bound")) == "phones:owner/alice"
    for words in (("token", *asked), ("exec", *asked, "--", "true")):
        refused = run(environ, *words)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "bound to the key of this machine" in refused.stderr
    explained = json.loads(run(environ, "token", "--issuer", served.url, "--explain", "--json").stdout)
    assert [link["link"] for link in explained["links"] if link["state"] == "used"] == ["device"]
