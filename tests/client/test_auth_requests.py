"""Calls to an API with requests: the token, its proof, their renewal, and what redirects must not carry away."""

import io
import pickle
from collections.abc import Iterator

import pytest
import requests

from authserver.client import DeviceSupplier, Enrollment, TokenClient
from authserver.client.api_auth import ApiAuth
from tests.client.cloud import RESOURCE, WITHDRAWN, Cloud, Said, Workload
from tests.client.fake import FakeServer
from tests.client.fake import Said as FakeSaid

NONCE_WANTED = {"WWW-Authenticate": 'DPoP error="use_dpop_nonce"', "DPoP-Nonce": "another"}


@pytest.fixture
def auth(cloud: Cloud) -> ApiAuth:
    return TokenClient(issuer=cloud.issuer, resource=RESOURCE, scope="images:read", identity=Workload()).auth()


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        yield made


def test_a_call_shows_the_token(cloud: Cloud, auth: ApiAuth, session: requests.Session) -> None:
    session.auth = auth
    assert [session.get(cloud.api).status_code for _ in range(3)] == [200, 200, 200]
    assert cloud.exchanges == 1


def test_a_token_that_was_withdrawn_is_replaced_and_the_call_made_again(
    cloud: Cloud, auth: ApiAuth, session: requests.Session
) -> None:
    session.get(cloud.api, auth=auth)
    cloud.withdraw()
    answer = session.post(cloud.api, auth=auth, json={"a": 1}, cookies={"c": "1"})
    assert (answer.status_code, len(answer.history), cloud.exchanges) == (200, 1, 2)
    assert [call.body for call in cloud.calls[1:]] == [b'{"a": 1}'] * 2
    assert [call.headers["Cookie"] for call in cloud.calls[1:]] == ["c=1"] * 2


def test_an_api_that_takes_no_token_is_believed_after_one_exchange(
    cloud: Cloud, auth: ApiAuth, session: requests.Session
) -> None:
    cloud.api_plans = [Said(401, {"WWW-Authenticate": WITHDRAWN})] * 20
    assert [session.get(cloud.api, auth=auth).status_code for _ in range(10)] == [401] * 10
    assert (cloud.exchanges, len(cloud.calls)) == (2, 11)


@pytest.mark.parametrize(
    ("status", "challenge"), [(401, "Bearer"), (401, 'Bearer error="invalid_request"'), (403, WITHDRAWN)], ids=str
)
def test_another_refusal_is_no_reason_for_another_token(
    status: int, challenge: str, cloud: Cloud, auth: ApiAuth, session: requests.Session
) -> None:
    cloud.api_plans = [Said(status, {"WWW-Authenticate": challenge})]
    assert session.get(cloud.api, auth=auth).status_code == status
    assert cloud.exchanges == 1


def test_a_file_is_sent_again_from_where_it_began(cloud: Cloud, auth: ApiAuth, session: requests.Session) -> None:
    session.get(cloud.api, auth=auth)
    cloud.withdraw()
    body = io.BytesIO(b"skipped, and an image")
    body.seek(13)
    assert session.put(cloud.api, auth=auth, data=body).status_code == 200
    assert [call.body for call in cloud.calls[1:]] == [b"an image"] * 2


def test_a_stream_that_cannot_be_sent_again_is_not_and_the_next_call_has_another_token(
    cloud: Cloud, auth: ApiAuth, session: requests.Session
) -> None:
    session.get(cloud.api, auth=auth)
    cloud.withdraw()
    assert session.put(cloud.api, auth=auth, data=iter([b"an ", b"image"])).status_code == 401
    assert session.put(cloud.api, auth=auth, data=iter([b"an ", b"image"])).status_code == 200
    assert [call.body for call in cloud.calls[1:]] == [b"an image"] * 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_somebody_else_carries_no_token_and_no_answer_of_theirs_gets_one(
    status: int, cloud: Cloud, elsewhere: Cloud, auth: ApiAuth, session: requests.Session
) -> None:
    cloud.api_plans = [Said(status, {"Location": elsewhere.api})]
    elsewhere.api_plans = [Said(401, {"WWW-Authenticate": f"{WITHDRAWN}, {NONCE_WANTED['WWW-Authenticate']}"})]
    assert session.get(cloud.api, auth=auth).status_code == 401
    (call,) = elsewhere.calls
    assert {"Authorization", "DPoP"}.isdisjoint(call.headers)
    assert cloud.exchanges == 1


def test_a_redirect_within_the_api_carries_the_token_that_is_taken(
    cloud: Cloud, auth: ApiAuth, session: requests.Session
) -> None:
    session.get(cloud.api, auth=auth)
    cloud.withdraw()
    cloud.api_plans = [Said(401, {"WWW-Authenticate": WITHDRAWN}), Said(307, {"Location": "/elsewhere"})]
    assert session.get(cloud.api, auth=auth).status_code == 200
    assert [call.path for call in cloud.calls[1:]] == ["/images", "/images", "/elsewhere"]


def test_an_auth_is_not_pickled_with_its_session(auth: ApiAuth, session: requests.Session) -> None:
    session.auth = auth
    with pytest.raises(TypeError, match="neither copied nor pickled"):
        pickle.dumps(session)


# Tokens that are bound to a key


@pytest.fixture
def bound(fake: FakeServer, enrolled: Enrollment, supplier: DeviceSupplier) -> ApiAuth:
    assert enrolled.issuer == fake.issuer
    return TokenClient(issuer=fake.issuer, resource=RESOURCE, scope="images:read", identity=supplier).auth()


def test_a_bound_token_is_shown_with_a_proof_and_the_nonce_that_the_api_wants(
    fake: FakeServer, bound: ApiAuth, session: requests.Session
) -> None:
    """R65, R67"""
    assert session.get(fake.api + "?album=1#here", auth=bound).status_code == 200
    fake.nonce = "nonce-2"
    before = len(fake.asked)
    answers = [session.post(fake.api, auth=bound, data=b"an image") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [asked.body for asked in fake.asked[before:]] == [b"an image"] * 3


def test_an_api_that_never_has_enough_nonces_is_believed(
    fake: FakeServer, bound: ApiAuth, session: requests.Session
) -> None:
    session.get(fake.api, auth=bound)
    for _ in range(5):
        fake.say_next(FakeSaid(401, {}, NONCE_WANTED))
    assert session.get(fake.api, auth=bound).status_code == 401
    assert len(fake.plans) == 3


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_within_the_api_is_proven_anew(
    status: int, fake: FakeServer, bound: ApiAuth, session: requests.Session
) -> None:
    """R65"""
    session.get(fake.api, auth=bound)
    fake.say_next(FakeSaid(status, {}, {"Location": "/images/1"}))
    fake.say_next(FakeSaid(401, {}, {"WWW-Authenticate": 'DPoP error="invalid_dpop_proof"'}))
    answer = session.post(fake.api, auth=bound, data=b"an image")
    assert answer.status_code == 200
    redirected = fake.asked[-2]
    assert "DPoP" not in redirected.headers
    assert redirected.method == ("GET" if status == 302 else "POST")


def test_a_redirect_to_somebody_else_carries_no_proof(
    fake: FakeServer, elsewhere: Cloud, bound: ApiAuth, session: requests.Session
) -> None:
    session.get(fake.api, auth=bound)
    fake.say_next(FakeSaid(307, {}, {"Location": elsewhere.api}))
    elsewhere.api_plans = [Said(401, NONCE_WANTED)]
    assert session.get(fake.api, auth=bound).status_code == 401
    (call,) = elsewhere.calls
    assert {"Authorization", "DPoP"}.isdisjoint(call.headers)
