"""The arithmetic of the measurements of issuing, and the eye on answers."""

import json
import time
from typing import Any

import jwt
import pytest

from benchmarks.generator import Fired
from benchmarks.issuing import figures, footprint, latency, report
from benchmarks.issuing.answers import AUDIENCE, SCOPE, Expected, token_check
from benchmarks.issuing.callers import Client
from benchmarks.issuing.contenders import DPOP, ES256, JWKS
from benchmarks.issuing.loads import Answer, Wrong, get, post
from benchmarks.issuing.match import Sample
from benchmarks.issuing.oidc_provider import NAME as PEER
from benchmarks.issuing.signing import Signer

OURS = "authserver, gunicorn, SQLite"
ISSUER = "https://auth.example.com"


def run(rate: float, worked: float = 0.001, busy: float = 0.1) -> Sample:
    return Sample(Fired(round(rate * 2), 2.0, 0.001, 0.002, 0.004, busy), worked, 0.0)


RUNS = {
    (OURS, ES256): [run(3000, 0.0002), run(1500, 0.0004)],
    (PEER, ES256): [run(2000, 0.0004), run(1000, 0.0008)],
    (OURS, DPOP): [run(1000), run(500)],
    (OURS, JWKS): [run(9000), run(9000)],
}


def test_what_disturbs_one_round_disturbs_no_ratio() -> None:
    ratios = figures.against_peer(RUNS)
    for name, expected in (("rate", 1.5), ("microseconds", 2.0)):
        assert ratios[name][ES256][OURS] == {"median": expected, "low": expected, "high": expected}


def test_every_kind_of_token_is_compared_with_the_peer_without_dpop() -> None:
    ratios = figures.against_peer(RUNS)["rate"]
    assert ratios[DPOP][OURS]["median"] == 0.5
    assert JWKS not in ratios


def test_without_the_peer_there_are_no_ratios() -> None:
    assert figures.against_peer({(OURS, ES256): [run(3000)]}) == {"rate": {}, "microseconds": {}}


def test_times_are_told_in_the_units_that_people_read() -> None:
    told = figures.told({(OURS, ES256): [run(3000, 0.0002)]})
    medians = {name: told[name][ES256][OURS]["median"] for name in told}
    assert medians == {"rate": 3000, "microseconds": 200, "beside": 0, "p50": 1, "p99": 4, "busy": 0.1}


def test_two_workers_are_told_without_what_the_load_generator_took() -> None:
    assert footprint.scaling(run(1000), run(1900, busy=0.1)) == pytest.approx(2.0)
    assert footprint.scaling(run(1000), run(1500, busy=0.5)) == pytest.approx(2.0)


def test_who_thinks_so_long_asks_so_often() -> None:
    assert latency.thinking_time(rate=100, connections=64, answered=0.14) == pytest.approx(0.5)
    assert latency.thinking_time(rate=1e6, connections=1, answered=1) == 0.001


def test_the_report_says_what_was_not_measured() -> None:
    found = {
        "machine": {"processor": "one", "cores": 2, "load": 0.5},
        "versions": {"python": "3.11"},
        "pace": {"rounds": 2, "seconds": 5, "warm_up": 1},
        "missing": {"glewlwyd": "glewlwyd is not installed"},
        "peer": figures.against_peer(RUNS),
        "limit": {},
        "generator": None,
        **figures.told(RUNS),
    }
    text = report.markdown(json.loads(json.dumps(found)))
    assert "**not measured: glewlwyd: glewlwyd is not installed**" in text
    assert f"| {OURS} | 2,250 | 1,875 to 2,625 | 300 |" in text
    assert text.index(OURS) < text.index(PEER), "the fastest comes first"


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer.generate("ES256")


def answer(signer: Signer, *, typ: str = "at+jwt", token_type: str = "bearer", **other: Any) -> Answer:
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": "service", "aud": AUDIENCE, "scope": SCOPE, "iat": now, "exp": now + 60, "jti": "1"}
    (token,) = signer.sign([claims | other], {"typ": typ, "kid": signer.kid})
    return Answer(200, {}, json.dumps({"access_token": token, "token_type": token_type, "expires_in": 60}).encode())


def test_a_token_as_it_should_be_is_believed(signer: Signer) -> None:
    check = token_check(Expected(ISSUER, "service"))
    check(answer(signer), {"keys": [signer.jwk]})
    bound = token_check(Expected(ISSUER, "service", jkt="thumbprint"))
    bound(answer(signer, token_type="DPoP", cnf={"jkt": "thumbprint"}), {"keys": [signer.jwk]})


@pytest.mark.parametrize(
    "other",
    [
        {"iss": "https://elsewhere.example"},
        {"aud": "https://elsewhere.example"},
        {"sub": "somebody"},
        {"scope": "images:write"},
        {"exp": 1},
        {"jti": None},
        {"typ": "JWT"},
        {"token_type": "DPoP"},
    ],
)
def test_a_token_that_says_something_else_ends_the_measurement(signer: Signer, other: dict[str, Any]) -> None:
    with pytest.raises(Wrong):
        token_check(Expected(ISSUER, "service"))(answer(signer, **other), {"keys": [signer.jwk]})


def test_a_token_by_another_key_or_bound_to_another_ends_the_measurement(signer: Signer) -> None:
    with pytest.raises(Wrong):
        token_check(Expected(ISSUER, "service"))(answer(Signer.generate("ES256")), {"keys": [signer.jwk]})
    bound = token_check(Expected(ISSUER, "service", jkt="thumbprint"))
    with pytest.raises(Wrong):
        bound(answer(signer, token_type="DPoP", cnf={"jkt": "another"}), {"keys": [signer.jwk]})


@pytest.mark.parametrize("found", [Answer(400, {}, b"{}"), Answer(200, {}, b"[]"), Answer(200, {}, b"{}")])
def test_an_answer_without_a_token_ends_the_measurement(signer: Signer, found: Answer) -> None:
    with pytest.raises(Wrong):
        token_check(Expected(ISSUER, "service"))(found, {"keys": [signer.jwk]})


def test_requests_are_whole_http() -> None:
    assert get("/keys", {"If-None-Match": '"1"'}).startswith(b"GET /keys HTTP/1.1\r\nHost: ")
    head, _, body = post("/token", {"a": "b c"}).partition(b"\r\n\r\n")
    assert body == b"a=b+c"
    assert b"Content-Length: 5" in head


def test_no_two_requests_of_a_client_are_the_same(signer: Signer) -> None:
    made = Client(signer, "service", ISSUER, proves=True).requests("/token")(20)
    assert len(set(made)) == 20
    assert all(b"\r\nDPoP: ey" in request for request in made)


def test_a_signer_signs_with_the_key_that_it_publishes(signer: Signer) -> None:
    (token,) = signer.sign([{"sub": "somebody"}])
    assert jwt.decode(token, jwt.PyJWK(signer.jwk).key, algorithms=["ES256"]) == {"sub": "somebody"}
    assert jwt.get_unverified_header(token)["kid"] == signer.kid
    assert "d" not in signer.jwk
