"""The page about static secrets, followed against a real OpenBao and a real server, both on loopback."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
import urllib3

from authserver.testing import FakeIssuer
from tests import leaks
from tests.live.test_rotation import keys
from tests.recipes.following import follow, need, part, placed
from tests.served import AUDIENCE, IMAGES, Server, ask, free_port, serving

pytestmark = pytest.mark.recipes

PAGE: Final = "fetch-a-static-secret.md"
OPENBAO: Final = "https://openbao.example.com"
API_KEY: Final = "not-a-real-key-of-a-cdn"
WITHDRAWN: Final = "When a key was withdrawn"


@dataclass(frozen=True)
class Recipe:
    """What the page is about: this server, OpenBao, and the places that stand for those of the page."""

    server: Server
    address: str
    folder: Path
    places: Mapping[str, str]
    root_token: str = field(repr=False)

    def administer(self, *headings: str, **places: str) -> None:
        """Follow these parts of the page as OpenBao's administrator."""
        address = f"export BAO_ADDR={self.address}"
        script = "\n".join([address, *(part(PAGE, heading) for heading in headings)])
        follow(script, self.folder, {**self.places, **places}, BAO_TOKEN=self.root_token)

    def token(self, identity: str, resource: str = OPENBAO, scope: str | None = None) -> str:
        """The access token that this server gives to a workload."""
        answer = self.server.token(leaks.handled(identity), resource=resource, scope=scope)
        assert answer.status == 200
        return str(answer.json["access_token"])

    def refusal(self, token: str) -> str | None:
        """Why OpenBao does not let the holder of a token in; None if it does."""
        body = json.dumps({"role": "thumbnailer", "jwt": token})
        answer = ask("POST", f"{self.address}/v1/auth/jwt/login", body=body)
        if answer.status == 200:
            leaks.handled(answer.json["auth"]["client_token"])
            return None
        assert answer.status == 400
        return str(answer.json["errors"])


@pytest.fixture
def cluster() -> Iterator[FakeIssuer]:
    """The issuer of identities."""
    with FakeIssuer() as issuer:
        yield issuer


@pytest.fixture
def identity(cluster: FakeIssuer) -> str:
    """The identity token of the workload that the page is about."""
    return leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))


@pytest.fixture
def recipe(tmp_path: Path, cluster: FakeIssuer, identity: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recipe]:
    """The first part of the page is done, and both servers run."""
    beside_python = str(Path(sys.executable).parent)  # where pip puts bao, in an environment that is not activated too
    monkeypatch.setenv("PATH", beside_python + os.pathsep + os.environ["PATH"])
    need("bao", "curl", "jq")
    (tmp_path / "identity").write_text(identity, encoding="ascii")
    (tmp_path / "legacy-cdn-api-key").write_text(leaks.handled(API_KEY), encoding="ascii")
    policy = placed(part(PAGE, "1.", "toml"), {"prod-cluster": "cluster"})
    root_token = leaks.handled(secrets.token_urlsafe(32))
    running = serving(tmp_path / "server", cluster=cluster.issuer, more=policy)
    with openbao(tmp_path, root_token) as address, running as server:
        places = {
            f"{OPENBAO}:8200": address,
            "https://auth.example.com": server.url,
            "prod-cluster": "cluster",
            "/var/run/identity/token": str(tmp_path / "identity"),
        }
        yield Recipe(server, address, tmp_path, places, root_token)


@contextlib.contextmanager
def openbao(folder: Path, root_token: str) -> Iterator[str]:
    """A development server of OpenBao, in memory and on loopback alone; its address."""
    bao = shutil.which("bao") or "bao"
    listener = f"127.0.0.1:{free_port()}"
    command = [bao, "server", "-dev", "-dev-no-store-token", f"-dev-listen-address={listener}"]
    variables = {"PATH": os.environ["PATH"], "HOME": str(folder), "BAO_DEV_ROOT_TOKEN_ID": root_token}
    with (folder / "openbao.log").open("wb") as output:
        process = subprocess.Popen(command, env=variables, cwd=folder, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + 60
        while not unsealed(f"http://{listener}"):
            assert process.poll() is None, "OpenBao ended"
            assert time.monotonic() < deadline, "OpenBao does not answer"
            time.sleep(0.1)
        yield f"http://{listener}"
    finally:
        process.terminate()
        process.wait(30)


def unsealed(address: str) -> bool:
    """Whether OpenBao can be used."""
    with contextlib.suppress(urllib3.exceptions.HTTPError):
        return ask("GET", f"{address}/v1/sys/health").status == 200
    return False


def test_following_the_page_a_workload_gets_its_secret(recipe: Recipe) -> None:
    recipe.administer("2.", "3.")
    fetching = part(PAGE, "4.")
    same = 'cmp "$work/api_key" legacy-cdn-api-key'
    again = (
        f"""curl -sS -o /dev/null -w '%{{http_code}}' {OPENBAO}:8200/v1/kv/data/media/legacy-cdn -H "@$work/header" """
    )
    assert follow(f"{fetching}\n{same}\n{again}", recipe.folder, recipe.places) == "403"


def test_keys_from_the_address_of_the_key_set_do_as_well(recipe: Recipe, identity: str) -> None:
    key_set = f"jwks_url={recipe.server.url}/.well-known/jwks.json"
    recipe.administer("2.", "3.", **{"oidc_discovery_url=https://auth.example.com": key_set})
    refusal = recipe.refusal(recipe.token(identity))
    assert refusal is None


def test_openbao_believes_our_tokens_for_it_and_no_others(recipe: Recipe, identity: str) -> None:
    recipe.administer("2.", "3.")
    for_openbao = recipe.refusal(recipe.token(identity))
    assert for_openbao is None
    for_us = recipe.refusal(identity)
    assert for_us is not None
    assert "failed to verify id token signature" in for_us
    for_images = recipe.refusal(recipe.token(identity, IMAGES, "images:read"))
    assert for_images is not None
    assert "invalid audience (aud) claim" in for_images


def test_a_token_of_another_workload_opens_nothing(recipe: Recipe, identity: str) -> None:
    recipe.administer("2.", "3.", **{"bound_subject=prod-cluster": "bound_subject=another-cluster"})
    refusal = recipe.refusal(recipe.token(identity))
    assert refusal is not None
    assert "invalid subject (sub) claim" in refusal


def test_a_withdrawn_key_is_believed_until_openbao_is_configured_again(recipe: Recipe, identity: str) -> None:
    """If this fails because OpenBao has learned to drop keys by itself, rejoice, and change the page."""
    recipe.administer("2.", "3.")
    token = recipe.token(identity)
    at_first = recipe.refusal(token)
    withdraw_active_keys(recipe.server)
    later = recipe.refusal(token)
    assert (at_first, later) == (None, None)
    recipe.administer(WITHDRAWN)
    at_last = recipe.refusal(token)
    assert at_last is not None
    assert "failed to verify id token signature" in at_last


def withdraw_active_keys(server: Server) -> None:
    """Revoke the keys that sign, and return when none of them is published any more."""
    withdrawn = {entry["kid"] for entry in keys(server, "list") if entry["state"] == "active"}
    for kid in withdrawn:
        command = [sys.executable, "-m", "authserver", "keys", "revoke", "--now", "--config", str(server.configuration)]
        subprocess.run([*command, "--", kid], check=True, timeout=60, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while withdrawn & {key["kid"] for key in ask("GET", f"{server.url}/.well-known/jwks.json").json["keys"]}:
        assert time.monotonic() < deadline, "a withdrawn key is still published"
        time.sleep(0.1)
