"""``explain`` and the token endpoint of a running application, asked the same: they decide the same, to the letter."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authserver.jose.compact import parse
from authserver.testing import FakeIssuer
from tests import leaks
from tests.explain.commands import explained, run
from tests.explain.denials import CONFIGURATION, PROD
from tests.explain.world import BOUND, World
from tests.served import AUDIENCE, IMAGES, REPORTS, write_configuration

ONCE = "https://once.auth.example.com"


TIMES = st.sampled_from([None, -90_000, -3600, -31, -29, 0, 29, 31, 3600])
CLAIMS = st.fixed_dictionaries(
    {},
    optional={
        "sub": st.sampled_from(["system:serviceaccount:media:thumbnailer", "somebody"]),
        "aud": st.sampled_from([[AUDIENCE], "https://other.example.com", [AUDIENCE, "x"], 7]),
        "iss": st.sampled_from(["https://nobody.example.com"]),
        "cnf": st.just({"jkt": "x"}),
        "may_act": st.just({"sub": "x"}),
    },
)
SCOPES = st.sampled_from(
    ["images:read", "images:write", "images:read images:write", "reports:read", "bound:read", "a  b", None]
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    namespace=st.sampled_from(["media", "batch", "default"]),
    service_account=st.sampled_from(["thumbnailer", "uploader", "up", "Thumbnailer"]),
    claims=st.one_of(st.just({}), CLAIMS),
    issued=TIMES,
    expires=TIMES,
    resource=st.sampled_from([IMAGES, REPORTS, IMAGES, BOUND, "https://unknown.example.com"]),
    scope=SCOPES,
)
def test_every_decision_is_the_same(
    world: World,
    namespace: str,
    service_account: str,
    claims: dict[str, Any],
    issued: int | None,
    expires: int | None,
    resource: str,
    scope: str | None,
) -> None:
    now = int(world.clock())
    times = {"iat": now + (issued or 0), "exp": now + (600 if expires is None else expires)}
    token = world.token(namespace, service_account, **{**times, **claims})
    assert world.explained(token, resource, scope) == world.decided(token, resource, scope)


def test_a_forged_and_a_mangled_token_are_refused_for_the_same_reason(world: World) -> None:
    good, other = world.token("media", "thumbnailer"), world.token("media", "uploader")
    for token in (good[:-8] + other[-8:], f"{good}.x", "a.b.c", good + "x" * 20_000):
        assert world.explained(token, IMAGES, "images:read") == world.decided(token, IMAGES, "images:read")


def test_a_token_for_single_use_is_not_used_up_and_is_known_when_it_was(world: World) -> None:
    token = leaks.handled(world.issuer.identity_token(ONCE))
    before = world.files()
    asked = ("--resource", IMAGES, "--scope", "images:read", "--at", str(world.clock()))
    for _ in range(2):
        assert explained(world.configuration, *asked, token=token)["decision"] == "allow"
    assert world.files() == before
    assert world.decided(token, IMAGES, "images:read")["granted"]
    assert explained(world.configuration, *asked, token=token)["reason"] == "used_twice"
    assert world.decided(token, IMAGES, "images:read")["reason"] == "used_twice"


def test_an_expired_token_is_refused_with_its_facts_and_still_shown_to_the_rules(world: World) -> None:
    now = int(world.clock())
    token = world.token("media", "thumbnailer", iat=now - 700, exp=now - 100)
    asked = ("--resource", IMAGES, "--scope", "images:write", "--at", str(now))
    found = explained(world.configuration, *asked, token=token)
    assert (found["decision"], found["reason"]) == ("deny", "expired")
    assert found["facts"] == {"exp": now - 100, "now": now, "skew": 30}
    assert found["caller"]["basis"] == "unverified"
    assert found["caller"]["attributes"]["namespace"] == ["media"]
    assert (found["rules"]["decision"], found["rules"]["reason"]) == ("deny", "scope_not_allowed")
    assert found["suggestion"] is None
    text = run("explain", "--config", world.configuration, "--token", "-", *asked, stdin=token)
    assert text.exit_code == 1
    assert text.stdout.startswith("denied: expired\n")
    assert "NOT verified" in text.stdout
    assert "the rules would refuse it too: scope_not_allowed" in text.stdout
    earlier = ("--resource", IMAGES, "--scope", "images:read", "--at", "2027-01-15T07:50:00+00:00")
    assert explained(world.configuration, *earlier, token=token)["decision"] == "allow"


def test_a_token_with_the_wrong_audience_is_shown_to_the_rules_if_only_one_source_can_be_meant(
    world: World, tmp_path: Path
) -> None:
    asked = ("--resource", IMAGES, "--scope", "images:read", "--at", str(world.clock()))
    token = world.token("media", "thumbnailer", aud="https://other.example.com")
    several = explained(world.configuration, *asked, token=token)
    assert (several["reason"], several["rules"], several["caller"]) == ("audience_wrong", None, None)
    (tmp_path / "authserver.toml").write_text(CONFIGURATION, encoding="utf-8")
    token = world.token("media", "thumbnailer", aud="https://other.example.com", iss=PROD)
    one = explained(tmp_path / "authserver.toml", *asked, token=token)
    assert (one["reason"], one["rules"]["decision"]) == ("audience_wrong", "allow")


def test_a_resource_that_wants_proof_says_so_to_those_whom_the_rules_admit(world: World) -> None:
    asked = ("--resource", BOUND, "--scope", "bound:read", "--at", str(world.clock()))
    token = world.token("media", "thumbnailer")
    found = explained(world.configuration, *asked, token=token)
    assert found["decision"] == "allow"
    assert found["notes"] == [
        "this resource needs a DPoP proof by a key of the caller too, which is not looked at here"
    ]
    assert found["granted"] == world.decided(token, BOUND, "bound:read")["granted"]
    text = run("explain", "--config", world.configuration, "--token", "-", *asked, stdin=token)
    assert "  note: this resource needs a DPoP proof" in text.stdout
    other = world.token("batch", "thumbnailer")
    assert explained(world.configuration, *asked, token=other)["reason"] == "no_rule"
    assert world.decided(other, BOUND, "bound:read")["reason"] == "no_rule"


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("expired", {"iat": -700, "exp": -100}),
        ("not_yet_valid", {"nbf": 31}),
        ("issued_in_future", {"iat": 31}),
        ("too_old", {"iat": -90_000, "exp": 10}),
        ("lives_too_long", {"exp": 90_000}),
        (None, {"iat": -60, "nbf": -60, "exp": 60}),
    ],
)
def test_a_claim_set_whose_times_do_not_hold_is_refused_as_a_token_with_them_is(
    world: World, reason: str | None, changes: dict[str, int]
) -> None:
    now = int(world.clock())
    claims = {"iat": now, "exp": now + 600} | {name: now + seconds for name, seconds in changes.items()}
    token = world.token("media", "thumbnailer", **claims)
    found = of_claim_set(world, parse(token).unverified_claims)
    decided = world.decided(token, IMAGES, "images:read")
    assert (found["reason"], found["facts"]) == (decided["reason"], decided["facts"])
    assert (found["reason"], found["rules"]["decision"]) == (reason, "allow")


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("issuer_unknown", {"iss": "https://nobody.example.com"}),
        ("issuer_unknown", {"iss": 7}),
        ("audience_wrong", {"aud": "https://other.example.com"}),
        ("audience_wrong", {"aud": [AUDIENCE, "x"]}),
        ("claim_malformed", {"exp": "soon"}),
    ],
)
def test_a_claim_set_for_somebody_else_is_refused_as_its_token_is(
    world: World, reason: str, changes: dict[str, Any]
) -> None:
    token = world.token("media", "thumbnailer", **changes)
    found = of_claim_set(world, parse(token).unverified_claims)
    decided = world.decided(token, IMAGES, "images:read")
    assert (found["reason"], found["facts"]) == (decided["reason"], decided["facts"])
    assert (found["reason"], found["rules"]["decision"]) == (reason, "allow")
    assert found["suggestion"] is None


@pytest.mark.parametrize("missing", [["iat"], ["exp"], ["iat", "exp"], ["aud", "iat", "exp", "nbf"]])
@pytest.mark.parametrize("age", [0, 3600, 24 * 3600 - 1])
def test_an_envelope_that_a_claim_set_lacks_is_taken_for_a_good_one(world: World, missing: list[str], age: int) -> None:
    now = int(world.clock())
    token = world.token("media", "thumbnailer", iat=now - age, exp=now + 1)
    claims = {name: value for name, value in parse(token).unverified_claims.items() if name not in missing}
    assert of_claim_set(world, claims)["decision"] == "allow"


@pytest.mark.parametrize(
    ("reason", "issued"),
    [
        ("too_old", -24 * 3600 - 31),
        ("issued_in_future", 31),
        ("claim_malformed", 10**20),
        ("claim_malformed", -(10**10)),
    ],
)
def test_what_is_taken_for_a_good_end_is_never_what_a_claim_set_is_refused_for(
    world: World, reason: str, issued: int
) -> None:
    now = int(world.clock())
    claims = parse(world.token("media", "thumbnailer")).unverified_claims
    found = of_claim_set(world, {name: claims[name] for name in claims if name != "exp"} | {"iat": now + issued})
    assert (found["reason"], "exp" in found["facts"]) == (reason, False)
    assert found["facts"].get("claim") != "exp"


def of_claim_set(world: World, claims: Any) -> Any:
    asked = ("--source", "cluster", "--resource", IMAGES, "--scope", "images:read", "--at", str(world.clock()))
    return explained(world.configuration, *asked, claims=claims)


def test_keys_that_cannot_be_had_are_no_denial(world: World, tmp_path: Path) -> None:
    with FakeIssuer(clock=world.clock) as issuer:
        file = write_configuration(tmp_path, cluster=issuer.issuer, issuer=AUDIENCE)
        token = leaks.handled(issuer.kubernetes_token("media", "thumbnailer", AUDIENCE))
    asked = ("--resource", IMAGES, "--scope", "images:read", "--at", str(world.clock()))
    found = explained(file, *asked, token=token)
    assert (found["decision"], found["reason"], found["rules"]["decision"]) == (
        "unavailable",
        "issuer_unreachable",
        "allow",
    )
    assert not (tmp_path / "authserver.db").exists()
