"""Trust bundles: which keys vouch for what, and how long a bundle is believed (SPIFFE Trust Domain and Bundle)."""

import base64
import threading
from collections.abc import Callable
from typing import Any

import pytest

from authserver.errors import CredentialRejected, Reason, Unavailable
from authserver.identity.spiffe_bundle import BundleKeys, TrustBundle
from authserver.jose.fetch import Cause, Endpoint, Fetched, Fetcher, unreachable
from authserver.testing import FakeIssuer, FrozenClock
from tests import oracle, vectors

GO = "spiffe/go-spiffe/bundle/spiffebundle/testdata"
KID = "C6vs25welZOx6WksNYfbMfiw9l96pMnD"
ALGORITHMS = ("ES256", "RS256")


def go(name: str) -> dict[str, Any]:
    document: dict[str, Any] = vectors.load(f"{GO}/spiffebundle_{name}.json")
    return document


@pytest.mark.parametrize(
    ("name", "keys", "authorities"),
    [
        ("valid_1", 1, 1),
        ("valid_2", 6, 1),
        ("valid_with_wit", 2, 1),  # whose two other keys are for WIT-SVIDs, and vouch for no bearer
        ("multiple_x509", 1, 1),  # X509-SVID section 6.2: all but the first are ignored
        ("missing_kid", 0, 1),  # JWT-SVID section 6.1: a key without a name is none
    ],
)
def test_the_public_bundles_are_read_as_the_standard_has_it(name: str, keys: int, authorities: int) -> None:
    """R97"""
    bundle = BundleKeys(go(name), ALGORITHMS)
    assert (len(bundle.by_id), len(bundle.x509_authorities)) == (keys, authorities)


def test_a_document_without_keys_is_no_bundle() -> None:
    documents: list[dict[str, Any]] = [go("no_keys"), {"keys": {}}, {"keys": [{}] * 101}, {}]
    for document in documents:
        with pytest.raises(ValueError, match="not a JWK set"):
            BundleKeys(document, ALGORITHMS)


@pytest.mark.parametrize("name", ["jwtbundle/testdata/jwks_valid_1", "jwtbundle/testdata/jwks_missing_kid"])
def test_a_plain_key_set_holds_no_authority_of_a_trust_domain(name: str) -> None:
    """R97: only a key with ``use: jwt-svid``, or anybody with a key of the same host could make SVIDs."""
    bundle = BundleKeys(vectors.load(f"spiffe/go-spiffe/bundle/{name}.json"), ALGORITHMS)
    assert not bundle.by_id
    assert not bundle.x509_authorities


@pytest.mark.parametrize("use", ["sig", "wit-svid", "x509-svid", "JWT-SVID", "jwt-svid ", None, ["jwt-svid"]])
def test_a_key_of_another_use_verifies_no_jwt_svid(use: object) -> None:
    key = {**oracle.public_jwk(oracle.make_key("ES256", kid="k")), "use": use}
    assert not BundleKeys({"keys": [key]}, ALGORITHMS).by_id
    assert list(BundleKeys({"keys": [{**key, "use": "jwt-svid"}]}, ALGORITHMS).by_id) == ["k"]


@pytest.mark.parametrize("x5c", [None, [], "text", [7], [None], ["%%%"], ["AAAA"], [["AAAA"]], ["\u00e4"]])
def test_an_authority_that_is_no_certificate_is_left_out_alone(x5c: object) -> None:
    document = go("valid_1")
    document["keys"].insert(0, {"use": "x509-svid", "kty": "EC", "x5c": x5c})
    bundle = BundleKeys(document, ALGORITHMS)
    assert (len(bundle.by_id), len(bundle.x509_authorities)) == (1, 1)


def test_an_authority_of_a_version_that_does_not_exist_is_left_out_alone() -> None:
    document = go("valid_1")
    (good,) = [key for key in document["keys"] if key["use"] == "x509-svid"]
    raw = base64.b64decode(good["x5c"][0]).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05", 1)
    document["keys"].append({**good, "x5c": [base64.b64encode(raw).decode()]})
    assert len(BundleKeys(document, ALGORITHMS).x509_authorities) == 1


def test_two_keys_of_one_name_and_what_is_no_key_are_left_out() -> None:
    document = go("valid_1")
    document["keys"] += [document["keys"][1], "no key", None, 7]
    assert not BundleKeys(document, ALGORITHMS).by_id


class Endpoints:
    """What a bundle endpoint says, which a test changes."""

    def __init__(self, document: dict[str, Any], max_age: int | None = None) -> None:
        self.said = Fetched(document, max_age)
        self.away = False
        self.asked = 0
        self.asked_again = threading.Event()

    def __call__(self) -> Fetched:
        self.asked += 1
        if self.asked > 1:
            self.asked_again.set()
        if self.away:
            raise unreachable(Cause.CONNECTION_FAILED)
        return self.said


def opened(endpoint: Callable[[], Fetched], clock: FrozenClock) -> TrustBundle:
    return TrustBundle(endpoint, ALGORITHMS, clock=clock, jitter=lambda: 0.0, wait=20, wait_with_keys=20)


def renewed(bundle: TrustBundle, clock: FrozenClock) -> None:
    """Wait until the fetch that is due, if one is, has come to something."""
    bundle.refresh_if_due(clock())
    wait = bundle.awaited("none-has-this-name", clock())
    if wait is not None:
        wait.block()


def test_the_keys_and_the_certificates_are_of_one_answer(clock: FrozenClock) -> None:
    endpoint = Endpoints(go("valid_1"))
    bundle = opened(endpoint, clock)
    (authority,) = bundle.x509_authorities(clock())
    assert authority.subject.rfc4514_string() == "O=SPIFFE,C=US"
    assert bundle.jwt_keys.find(KID, "ES256", clock()).kid == KID
    assert endpoint.asked == 1


@pytest.mark.parametrize(
    ("hint", "max_age", "fresh"),
    [(60, None, 60), (600, 60, 60), (None, 120, 120), (None, None, 300), (0, 90, 90), (-5, 90, 90), ("60", 90, 90)],
)
def test_a_bundle_is_asked_for_again_as_often_as_it_asks_to_be(
    hint: object, max_age: int | None, fresh: int, clock: FrozenClock
) -> None:
    """Section 4.1.2; without a hint five minutes, as section 6.1 has it."""
    endpoint = Endpoints({**go("valid_1"), "spiffe_refresh_hint": hint}, max_age)
    bundle = opened(endpoint, clock)
    bundle.x509_authorities(clock())
    clock.advance(fresh * 0.74)
    bundle.x509_authorities(clock())
    assert not endpoint.asked_again.is_set()
    clock.advance(fresh * 0.02)
    bundle.refresh_if_due(clock())
    assert endpoint.asked_again.wait(10)


def test_an_empty_bundle_revokes_every_authority(clock: FrozenClock) -> None:
    """Section 4.1.3: of a key set it would be a mistake that changes nothing, of a bundle it is an order."""
    endpoint = Endpoints(go("valid_1"))
    bundle = opened(endpoint, clock)
    assert bundle.x509_authorities(clock())
    endpoint.said = Fetched({"keys": []})
    clock.advance(61)
    renewed(bundle, clock)
    assert bundle.x509_authorities(clock()) == ()
    with pytest.raises(CredentialRejected) as refused:
        bundle.jwt_keys.find(KID, "ES256", clock())
    assert refused.value.reason is Reason.KEY_UNKNOWN


def test_an_outage_and_garbage_leave_the_last_bundle_in_place_for_a_day(clock: FrozenClock) -> None:
    endpoint = Endpoints(go("valid_1"))
    bundle = opened(endpoint, clock)
    assert bundle.x509_authorities(clock())
    for broken in ({"keys": "x"}, {}):
        endpoint.said = Fetched(broken)
        clock.advance(3600)
        renewed(bundle, clock)
        assert bundle.x509_authorities(clock())
        assert bundle.status(clock()).last_error is Cause.NO_USABLE_KEY
    endpoint.away = True
    clock.advance(86400)
    with pytest.raises(Unavailable) as away:
        bundle.x509_authorities(clock())
    assert away.value.reason is Reason.ISSUER_UNREACHABLE


def test_who_asks_first_waits_for_the_endpoint_and_hears_when_it_is_away(clock: FrozenClock) -> None:
    endpoint = Endpoints(go("valid_1"))
    endpoint.away = True
    with pytest.raises(Unavailable):
        opened(endpoint, clock).x509_authorities(clock())


def test_a_bundle_comes_over_http_from_its_endpoint(clock: FrozenClock) -> None:
    with FakeIssuer(clock=clock) as trust_domain:
        fetcher = Fetcher(insecure_allow_http=True)
        bundle = opened(lambda: fetcher.get_json(Endpoint(trust_domain.bundle_url)), clock)
        key = bundle.jwt_keys.find(trust_domain.key.kid, "ES256", clock())
    assert key.kid == trust_domain.key.kid
