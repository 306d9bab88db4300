"""Those who take part refuse what they must, and what they cost is reckoned rightly."""

import json
from collections.abc import Iterator

import flask
import pytest
from cryptography.exceptions import InvalidSignature

import authserver.errors
import authserver.jose.compact
from authserver.testing import FakeIssuer
from benchmarks import layers, verification
from benchmarks.middleware import calls
from benchmarks.middleware.apis import OPEN, PROTECTED, REFUSED
from benchmarks.middleware.flask_peers import WAYS, protected_in
from benchmarks.middleware.verifiers import PEERS, bare
from benchmarks.protected import added
from benchmarks.verification import AUDIENCE, UNKNOWN, Pool


@pytest.fixture(scope="module", params=verification.ALGORITHMS)
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    with FakeIssuer(algorithms=(request.param,)) as issuer:
        yield verification.filled(issuer, request.param, 1, tokens=2)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")
@pytest.mark.parametrize("name", PEERS)
def test_a_verifier_believes_good_tokens_and_no_others(name: str, pool: Pool) -> None:
    verify = PEERS[name](pool.setting)
    if (name, pool.setting.algorithm) not in UNKNOWN:
        assert verification.cost(verify, pool.rounds[0]) > 0
        assert verification.cost(verify, pool.rounds[0], again=True) > 0
    verification.must_refuse(name, lambda tokens: verification.cost(verify, tokens), pool.hostile)


def test_the_bare_signature_is_really_checked(pool: Pool) -> None:
    good, spoilt = pool.rounds[0][0], pool.hostile["another signature"]
    verify = bare(pool.setting, [good, spoilt])
    verify(good)
    with pytest.raises(InvalidSignature):
        verify(spoilt)


def test_a_verifier_that_believes_everything_ends_the_benchmark(pool: Pool) -> None:
    with pytest.raises(SystemExit, match="Anything accepts a token with this against it: another audience"):
        verification.must_refuse("Anything", lambda _tokens: 1.0, pool.hostile)


@pytest.mark.parametrize("name", WAYS)
def test_an_application_is_protected(name: str) -> None:
    with FakeIssuer() as issuer:
        pool = verification.filled(issuer, "ES256", 1, tokens=1)
        client = protected_in(name, pool.setting).test_client()

        def status(path: str, token: str = "") -> int:
            return client.get(path, headers={"Authorization": f"Bearer {token}"} if token else {}).status_code

        assert status(OPEN) == status(PROTECTED, *pool.rounds[0]) == 200
        assert {status(PROTECTED), *(status(PROTECTED, token) for token in pool.hostile.values())} <= {*REFUSED}
        assert status(PROTECTED, issuer.access_token(AUDIENCE, "images:write")) in (401, 403)


def test_what_protection_adds_is_the_difference_within_a_round() -> None:
    found = added({"open": [100, 200, 300], "first": [150, 260, 370], "again": [101, 202, 303]})
    assert {kind: spread["median"] for kind, spread in found.items()} == {"open": 200, "first": 60, "again": 2}


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")
def test_flask_is_called_as_often_as_it_says() -> None:
    with FakeIssuer() as issuer:
        pool = verification.filled(issuer, "ES256", 1, tokens=1)
        app = protected_in("authserver", pool.setting)
        asked = []
        app.before_request(lambda: asked.append(1))
        assert calls.cost(app.wsgi_app, calls.environ(PROTECTED, pool.rounds[0][0])) > 0
        assert len(asked) == calls.CALLS
        with pytest.raises(SystemExit, match="401"):
            calls.cost(app.wsgi_app, calls.environ(PROTECTED, pool.hostile["expired"]))


def test_packages_are_told_apart() -> None:
    assert layers.package(authserver.jose.compact.__file__) == "authserver.jose"
    assert layers.package(authserver.errors.__file__) == "authserver.errors"
    assert layers.package(flask.app.__file__) == "flask"
    assert layers.package(json.decoder.__file__) == "Python's library"


def test_the_shares_of_packages_add_up() -> None:
    shares = layers.shares([lambda: json.loads("[1, 2]")] * 3)
    assert sum(shares.values()) == pytest.approx(1)
    assert "Python's library" in shares
