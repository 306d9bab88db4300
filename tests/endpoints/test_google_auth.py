"""google-auth's external accounts at our token endpoint, with moto's STS and its signature checks in the place of AWS.

https://google-auth.readthedocs.io/en/stable/reference/google.auth.aws.html
"""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
from werkzeug.serving import make_server

from authserver.client import AuthorizationServer
from authserver.client.supplier import Surroundings
from authserver.client.suppliers.aws import AwsSupplier
from authserver.hosting.flask import create_app
from authserver.identity.aws.request import UnverifiedSignedRequest
from authserver.jose.fetch import Answer, Endpoint, Fetcher
from authserver.server import build, prepare
from authserver.settings import load
from authserver.testing import FakeIssuer
from tests import oracle
from tests.identity.aws.signed import HOST
from tests.served import AUDIENCE, IMAGES, ask, write_configuration

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

ACCOUNT = "123456789012"
ACCOUNTS = f"""
[sources.aws]
type = "aws"
audience = "{IMAGES}"
signed_requests = {{ accounts = ["{ACCOUNT}"], hosts = ["{HOST}"], unsigned_audience = UNSIGNED }}

[sources.tokens]
type = "aws"
issuer = "CLUSTER"
audience = "{AUDIENCE}/aws"
algorithms = ["ES256"]

[[allow]]
name = "deployer-reads-images"
source = "aws"
match = {{ role_id = "ROLE_ID" }}
resource = "{IMAGES}"
scope = ["images:read"]

[[allow]]
name = "deployer-reads-images-too"
source = "tokens"
match = {{ account = "{ACCOUNT}", role = "deployer" }}
resource = "{IMAGES}"
scope = ["images:read"]
"""


@dataclass
class Moto:
    """AWS, and a role's temporary credentials for it."""

    url: str
    role_id: str
    credentials: dict[str, str]

    def forward(self, request: UnverifiedSignedRequest) -> Answer:
        url = request.url.replace(f"https://{request.host}", self.url)
        headers = {**request.headers, "Host": request.host, "Accept": "text/xml"}
        return Fetcher(insecure_allow_http=True).post_headers(Endpoint(url), headers)


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    """moto, which checks every signature."""
    import boto3  # type: ignore[import-untyped]
    from moto.iam.access_control import IAMRequestBase
    from moto.server import ThreadedMotoServer

    read = IAMRequestBase._create_aws_request

    def read_as_sent(self: Any) -> Any:
        # moto 5.2 takes the query for the body where there is none, and so no signature over such a request is right.
        self._data = {} if not self._body else self._data
        return read(self)

    patched = pytest.MonkeyPatch()
    patched.setattr(IAMRequestBase, "_create_aws_request", read_as_sent)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    options: Any = {
        "endpoint_url": url,
        "region_name": "eu-central-1",
        "aws_access_key_id": "setup",
        "aws_secret_access_key": "setup",
    }
    iam, sts = boto3.client("iam", **options), boto3.client("sts", **options)
    role = iam.create_role(RoleName="deployer", AssumeRolePolicyDocument="{}", Path="/ci/")["Role"]
    assumed = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="i-0123456789abcdef0")["Credentials"]
    reset(url, "0")
    try:
        yield Moto(
            url,
            role["RoleId"],
            {
                "AWS_ACCESS_KEY_ID": assumed["AccessKeyId"],
                "AWS_SECRET_ACCESS_KEY": assumed["SecretAccessKey"],
                "AWS_SESSION_TOKEN": assumed["SessionToken"],
                "AWS_REGION": "eu-central-1",
            },
        )
    finally:
        reset(url, "inf")
        server.stop()
        patched.undo()


def reset(url: str, actions: str) -> None:
    """Have moto check signatures after so many requests."""
    answer = urllib3.request("POST", f"{url}/moto-api/reset-auth", body=actions.encode())
    assert answer.status == 200


@pytest.fixture
def served(
    tmp_path: Path, moto: Moto, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Any]:
    """Our server, over HTTP: its address, and an issuer of AWS's tokens."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    for name, value in moto.credentials.items():
        monkeypatch.setenv(name, value)
    with FakeIssuer() as cluster:
        more = ACCOUNTS.replace("ROLE_ID", moto.role_id).replace("CLUSTER", cluster.issuer)
        more = more.replace("UNSIGNED", getattr(request, "param", "false"))
        configuration = write_configuration(tmp_path, cluster=cluster.issuer, issuer=AUDIENCE, more=more)
        settings = load(configuration)
        with (tmp_path / "audit.log").open("wb", buffering=0) as audit:
            service = build(
                settings,
                master_keys=prepare(settings),
                clock=time.time,
                audit_stream=audit,
                forward=moto.forward,
            )
            web = make_server("127.0.0.1", 0, create_app(service), threaded=True)
            threading.Thread(target=web.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{web.server_port}", cluster
            web.shutdown()
            web.server_close()
            service.close()


SIGNED = "urn:ietf:params:aws:token-type:aws4_request"
SOURCE = {
    "environment_id": "aws1",
    "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
}


def account(kind: Any, url: str, token_type: str, source: Any, **more: Any) -> Any:
    return kind(
        audience=IMAGES,
        subject_token_type=token_type,
        token_url=f"{url}/token",
        credential_source=source,
        scopes=["images:read"],
        **more,
    )


def refreshed(credentials: Any, url: str) -> Any:
    """The claims of the token that these credentials get."""
    from google.auth.transport.urllib3 import Request

    with urllib3.PoolManager() as http:
        credentials.refresh(Request(http))  # type: ignore[no-untyped-call]
        keys = http.request("GET", f"{url}/.well-known/jwks.json").json()
    _, claims = oracle.read(credentials.token, keys)
    assert credentials.valid
    return claims


@pytest.mark.parametrize("served", ["true"], indirect=True)
def test_its_aws_source_gets_a_token_where_the_operator_lets_the_audience_be_unsigned(served: Any) -> None:
    from google.auth import aws

    url, _ = served
    claims = refreshed(account(aws.Credentials, url, SIGNED, SOURCE), url)
    assert claims["sub"] == f"aws:arn:aws:sts::{ACCOUNT}:assumed-role/deployer"
    assert claims["aud"] == IMAGES


def test_its_aws_source_as_it_comes_is_refused_because_it_does_not_sign_the_audience(
    served: Any, tmp_path: Path
) -> None:
    """CVE-2026-71861: what names us is among the headers that it sends and not among those that it signs."""
    from google.auth import aws, exceptions

    url, _ = served
    with pytest.raises(exceptions.OAuthError, match="invalid_request"):
        refreshed(account(aws.Credentials, url, SIGNED, SOURCE), url)
    assert '"signed_header_missing"' in (tmp_path / "audit.log").read_text("utf-8")


def test_its_aws_source_gets_a_token_once_it_signs_the_audience(served: Any) -> None:
    """As the how-to page has it; the library for Go does so by itself."""
    url, _ = served
    assert refreshed(account(signing_its_audience(), url, SIGNED, SOURCE), url)["aud"] == IMAGES


def test_our_own_client_gets_a_token(served: Any) -> None:
    """What it signs is right for STS as somebody else wrote it, session token and all."""
    url, _ = served
    environ = {**os.environ, "AUTHSERVER_PLATFORM": "aws", "AUTHSERVER_AWS_PROOF": "signed-request"}
    supplier = AwsSupplier(Surroundings(AuthorizationServer(url), IMAGES, environ))
    offer = supplier.offer(time.time())
    form = {"grant_type": offer.grant.value, **offer.parameters, "resource": IMAGES, "scope": "images:read"}
    assert [ask("POST", f"{url}/token", form=form).status for _ in range(2)] == [200, 400]


def test_its_file_source_gets_a_token(served: Any, tmp_path: Path) -> None:
    from google.auth import identity_pool

    url, cluster = served
    file = tmp_path / "token"
    file.write_text(cluster.aws_token(f"arn:aws:iam::{ACCOUNT}:role/ci/deployer", f"{AUDIENCE}/aws"), "utf-8")
    credentials = account(identity_pool.Credentials, url, "urn:ietf:params:oauth:token-type:jwt", {"file": str(file)})
    assert refreshed(credentials, url)["sub"] == f"tokens:arn:aws:sts::{ACCOUNT}:assumed-role/deployer"


def test_credentials_that_aws_does_not_know_get_nothing(
    served: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from google.auth import exceptions

    url, _ = served
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(exceptions.OAuthError, match="invalid_request"):
        refreshed(account(signing_its_audience(), url, SIGNED, SOURCE), url)
    assert '"sts_refused"' in (tmp_path / "audit.log").read_text("utf-8")


def signing_its_audience() -> Any:
    """The class of docs/how-to/exchange-from-aws.md, by that page's own text."""
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "exchange-from-aws.md").read_text("utf-8")
    block = next(each for each in page.split("```python\n")[1:] if "google.auth" in each).partition("```")[0]
    names: dict[str, Any] = {}
    exec(block.partition("\ncredentials = ")[0], names)
    return names["SignedAudience"]
