"""What other systems read of this server and its tokens: each page says it in a table, and here ours has all of it.

The pages are followed as far as this server goes. Whether the other side believes the token, no test here can say; for
OpenBao :mod:`tests.recipes.test_openbao` does.
"""

import io
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from werkzeug.test import Client

from authserver.hosting.flask import create_app
from authserver.jose.compact import parse
from authserver.jose.fetch import MAX_BYTES
from authserver.server import build, prepare
from authserver.settings import load
from authserver.testing import FakeIssuer, FrozenClock
from tests import oracle
from tests.endpoints.conftest import Application
from tests.house.tree import ROOT
from tests.served import AUDIENCE, exchange_form, write_configuration

PAGES: Final = ROOT / "docs" / "how-to" / "trust-our-tokens-elsewhere"
NAMES: Final = sorted(page.stem for page in PAGES.glob("*.md") if page.name != "README.md")
CALLER: Final = "cluster:system:serviceaccount:media:thumbnailer"


@dataclass(frozen=True)
class Needed:
    """A row of a page's table: where something is read, its names, and what is said of it."""

    where: str
    names: tuple[str, ...]
    must_be: str


@dataclass(frozen=True)
class Seen:
    """What the other side gets to see of this server, and a token that was made by the page's own rule."""

    metadata: dict[str, Any]
    keys: list[dict[str, Any]]
    resource: dict[str, Any]
    token: str = field(repr=False)

    @property
    def header(self) -> dict[str, Any]:
        return dict(parse(self.token).unverified_header)

    @property
    def claims(self) -> dict[str, Any]:
        return dict(parse(self.token).unverified_claims)


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text("utf-8")


def needs(name: str) -> list[Needed]:
    rows = re.findall(r"^\| (metadata|key|header|claim) \| (.+?) \| (.+?) \|$", page(name), re.MULTILINE)
    return [Needed(where, tuple(re.findall(r"`([^`]+)`", names)), said) for where, names, said in rows]


def configuration(name: str) -> str:
    (block,) = re.findall(r"```toml\n(.+?)```", page(name), re.DOTALL)
    return str(block)


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Seen]]:
    """What each other side sees of one server that has the configuration of every page."""
    clock = FrozenClock()
    with FakeIssuer(clock=clock) as cluster:
        more = "\n".join(map(configuration, NAMES)).replace('"prod-cluster"', '"cluster"')
        folder = tmp_path_factory.mktemp("server")
        settings = load(write_configuration(folder, cluster=cluster.issuer, issuer=AUDIENCE, more=more))
        service = build(settings, master_keys=prepare(settings, clock=clock), clock=clock, audit_stream=io.BytesIO())
        application = Application(service, Client(create_app(service)), clock, io.BytesIO(), AUDIENCE)
        identity = cluster.kubernetes_token("media", "thumbnailer", AUDIENCE)
        yield {name: asked(application, identity, tomllib.loads(configuration(name))) for name in NAMES}
        service.close()


@pytest.fixture
def seen(name: str, shown: Mapping[str, Seen]) -> Seen:
    return shown[name]


def asked(application: Application, identity: str, tables: Mapping[str, Any]) -> Seen:
    """Have the caller that the page's rule names get its token for the page's resource."""
    (resource,), (rule,) = tables["resources"].values(), tables["allow"]
    target = {"resource": None, "audience": resource["identifier"], "scope": " ".join(rule["scope"])}
    answer = application.post(exchange_form(identity, **target))
    assert answer.status == 200
    metadata = fetched(application, "/.well-known/openid-configuration")
    keys = fetched(application, metadata["jwks_uri"].removeprefix(AUDIENCE))["keys"]
    return Seen(metadata, keys, resource, str(answer.json["access_token"]))


def fetched(application: Application, path: str) -> Any:
    answer = application.ask("GET", path)
    assert answer.status == 200
    assert len(answer.body) < MAX_BYTES
    return answer.json


def test_the_list_of_pages_and_the_pages_are_the_same() -> None:
    listed = re.findall(r"\| \[[^]]+\]\(([a-z-]+)\.md\) \|", page("README"))
    assert sorted(listed) == NAMES


def test_the_documents_the_keys_and_the_token_have_what_the_page_says(name: str, seen: Seen) -> None:
    rows = needs(name)
    assert {row.where for row in rows} == {"metadata", "key", "header", "claim"}
    there = {"metadata": [seen.metadata], "key": seen.keys, "header": [seen.header], "claim": [seen.claims]}
    missing = [
        f"{row.where} {each}" for row in rows for each in row.names for found in there[row.where] if each not in found
    ]
    assert missing == []


def test_the_token_is_signed_with_an_algorithm_that_the_other_side_takes(name: str, seen: Seen) -> None:
    (row,) = [row for row in needs(name) if row.where == "header" and row.names == ("alg",)]
    taken = re.findall(r"`([REP]S\d+)`", row.must_be.partition(";")[0])
    assert seen.header["alg"] in taken
    assert seen.header["alg"] == seen.resource["algorithm"]
    assert seen.header["alg"] in seen.metadata["id_token_signing_alg_values_supported"]
    assert seen.header["kid"] in [key["kid"] for key in seen.keys if key["alg"] == seen.header["alg"]]


def test_another_library_verifies_the_token_with_nothing_but_what_is_published(seen: Seen) -> None:
    """R56, R57"""
    assert oracle.read(seen.token, {"keys": seen.keys}) == (seen.header, seen.claims)
    assert seen.claims["iss"] == seen.metadata["issuer"] == AUDIENCE
    assert seen.header["typ"] == "at+jwt"


def test_audience_subject_and_times_are_of_the_form_that_all_of_them_take(seen: Seen) -> None:
    """R30: one audience, as a string. Clouds compare the subject as a whole, and cap its length."""
    claims = seen.claims
    assert claims["aud"] == seen.resource["identifier"]
    assert claims["sub"] == CALLER
    assert len(CALLER.encode()) <= 127
    assert all(type(claims[time]) is int for time in ("iat", "exp"))
    assert 0 < claims["exp"] - claims["iat"] <= 900
    assert not {"nbf", "azp", "cnf"} & claims.keys()


def test_the_page_pins_the_whole_subject(name: str) -> None:
    assert (
        CALLER.replace("cluster:", "prod-cluster:", 1) in page(name) or name == "rabbitmq"
    )  # which has scopes instead


def test_what_is_said_of_openid_connect_is_so(seen: Seen) -> None:
    """OpenID Connect Discovery section 3, but for the endpoints that nobody needs who only verifies."""
    assert seen.metadata["response_types_supported"] == ["id_token"]
    assert seen.metadata["subject_types_supported"] == ["public"]
    assert set(seen.claims) <= set(seen.metadata["claims_supported"])
    for key in seen.keys:
        assert key["use"] == "sig"
        assert {"n", "e"} <= key.keys() if key["kty"] == "RSA" else {"crv", "x", "y"} <= key.keys()
