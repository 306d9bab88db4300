"""Sections B, F and G: the token that is issued, and the keys that it is verified with."""

import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest

from authserver.testing import FakeIssuer, FrozenClock
from tests import leaks
from tests.endpoints.conftest import Application, MakeApplication
from tests.requirements.grants import REJECTED, each_grant, form
from tests.served import AUDIENCE, IMAGES, REPORTS, exchange_form

JWKS = "/.well-known/jwks.json"
DAY = 86400
SKEW = 30


def parts(token: str) -> list[list[tuple[str, Any]]]:
    """Header and claims as they were written, duplicates included."""
    raw = (urlsafe_b64decode(segment + "==").decode("utf-8") for segment in token.split(".")[:2])
    return [json.loads(text, object_pairs_hook=list) for text in raw]


def published(application: Application) -> set[str]:
    """The ``kid`` of every key in the JWKS."""
    return {key["kid"] for key in application.ask("GET", JWKS).json["keys"]}


def test_no_member_of_a_token_is_written_twice_and_all_is_utf_8(
    make_application: MakeApplication, cluster: FakeIssuer
) -> None:
    """R59; RFC 7519 section 4, RFC 8725 section 3.7"""
    more = """
[[allow]]
name = "a-name-outside-ascii"
source = "once"
match = { sub = "\u0142\u00f3d\u017a \U0001f5bc" }
resource = "https://images.example.com"
scope = ["images:read"]
"""
    application = make_application(more=more)
    identity = cluster.identity_token("https://once.auth.example.com", sub="\u0142\u00f3d\u017a \U0001f5bc")
    header, claims = parts(application.post(exchange_form(leaks.handled(identity))).json["access_token"])
    assert sorted(name for name, _ in header) == ["alg", "kid", "typ"]
    assert len(dict(claims)) == len(claims)
    assert dict(claims)["sub"] == "once:\u0142\u00f3d\u017a \U0001f5bc"


@pytest.mark.parametrize("lifetime", ["15m", "59m", "1h"])
def test_no_lifetime_that_can_be_configured_is_longer_than_an_hour(
    lifetime: str, make_application: MakeApplication, identity: str
) -> None:
    """R57, R58"""
    application = make_application(more=f'\n[tokens]\nlifetime = "{lifetime}"\n')
    answer = application.post(exchange_form(identity))
    claims = dict(parts(answer.json["access_token"])[1])
    assert claims["exp"] - claims["iat"] == answer.json["expires_in"] <= 3600
    assert "nbf" not in claims


def test_every_scope_of_a_token_means_something_to_its_audience(application: Application, identity: str) -> None:
    """R30, R57; RFC 9068 section 2.2.3"""
    for resource, own, other in ((IMAGES, "images:read", "reports:read"), (REPORTS, "reports:read", "images:read")):
        answer = application.post(exchange_form(identity, resource=resource, scope=own))
        claims = dict(parts(answer.json["access_token"])[1])
        assert (claims["aud"], claims["scope"]) == (resource, own)
        for scope in (other, f"{own} {other}"):
            refused = application.post(exchange_form(identity, resource=resource, scope=scope))
            assert (refused.json["error"], application.reason) == ("invalid_scope", "scope_unknown")


@each_grant
def test_an_access_token_is_no_identity(
    grant: str, application: Application, cluster: FakeIssuer, identity: str
) -> None:
    """R60; RFC 8725 sections 3.11 and 3.12: neither one of ours nor one of a source's issuer."""
    ours = application.post(exchange_form(identity)).json["access_token"]
    answer = application.post(form(grant, ours))
    assert (answer.status, answer.json["error"], application.reason) == (*REJECTED[grant], "issuer_unknown")
    theirs = leaks.handled(cluster.access_token(AUDIENCE, "images:read"))
    answer = application.post(form(grant, theirs))
    assert (answer.status, answer.json["error"], application.reason) == (*REJECTED[grant], "token_type_wrong")


def test_a_key_is_published_before_it_signs_and_until_its_last_token_has_expired(
    application: Application, cluster: FakeIssuer, clock: FrozenClock
) -> None:
    """R16; OpenID Connect Core section 10.1.1, over ninety days"""
    first_seen: dict[str, float] = {kid: clock() - DAY for kid in published(application)}
    needed_until: dict[str, float] = {}
    signed: list[str] = []
    for _ in range(90):
        token = leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))
        answer = application.post(exchange_form(token))
        kid = dict(parts(answer.json["access_token"])[0])["kid"]
        assert clock() - first_seen[kid] >= DAY
        signed += [kid] * (kid not in signed)
        needed_until[kid] = clock() + answer.json["expires_in"] + SKEW
        for step in (600, 3600, DAY - 4200):
            clock.advance(step)
            application.service.ring.refresh()
            shown = published(application)
            assert {kid for kid, until in needed_until.items() if clock() <= until} <= shown
            for new in shown - first_seen.keys():
                first_seen[new] = clock()
    assert len(signed) >= 3


def test_each_key_signs_with_the_algorithm_that_it_is_published_with(application: Application, identity: str) -> None:
    """R14; RFC 8725 section 3.1"""
    algorithms = {key["kid"]: key["alg"] for key in application.ask("GET", JWKS).json["keys"]}
    for resource, scope in ((IMAGES, "images:read"), (REPORTS, "reports:read")):
        answer = application.post(exchange_form(identity, resource=resource, scope=scope))
        header = dict(parts(answer.json["access_token"])[0])
        assert algorithms[header["kid"]] == header["alg"]
