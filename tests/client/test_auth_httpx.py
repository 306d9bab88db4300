"""Calls to an API with httpx, in threads and in tasks: the same as with requests."""

import asyncio
import io
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from authserver.client import AsyncTokenClient, DeviceSupplier, Enrollment, TokenClient
from authserver.client.api_auth import ApiAuth
from tests.client.cloud import RESOURCE, WITHDRAWN, Cloud, Said, Workload
from tests.client.fake import FakeServer
from tests.client.fake import Said as FakeSaid
from tests.client.test_auth_requests import NONCE_WANTED

Call = Callable[..., httpx.Response]


@pytest.fixture
def client(cloud: Cloud) -> TokenClient:
    return TokenClient(issuer=cloud.issuer, resource=RESOURCE, scope="images:read", identity=Workload())


@pytest.fixture
def auth(client: TokenClient) -> ApiAuth:
    return client.auth()


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Iterator[Call]:
    """A request with either client of httpx."""
    options: dict[str, Any] = {"follow_redirects": True, "trust_env": False, "verify": False}

    def called(method: str, url: str, auth: ApiAuth, **more: Any) -> httpx.Response:
        with httpx.Client(**options) as client:
            return client.request(method, url, auth=auth, **more)

    async def task(method: str, url: str, auth: ApiAuth, **more: Any) -> httpx.Response:
        async with httpx.AsyncClient(**options) as client:
            return await client.request(method, url, auth=auth, **more)

    return called if request.param == "sync" else lambda *these, **more: asyncio.run(task(*these, **more))  # type: ignore[return-value]


def test_a_call_shows_the_token(cloud: Cloud, auth: ApiAuth, call: Call) -> None:
    assert isinstance(auth, httpx.Auth)
    assert [call("GET", cloud.api, auth).status_code for _ in range(2)] == [200, 200]
    assert cloud.exchanges == 1


def test_threads_and_tasks_share_one_exchange(cloud: Cloud, client: TokenClient) -> None:
    """Contract section 6"""
    cloud.gate.clear()
    auth, got = client.auth(), list[int]()

    def thread() -> None:
        with httpx.Client(trust_env=False, verify=False) as http:
            got.append(http.get(cloud.api, auth=auth).status_code)

    async def tasks() -> None:
        async with httpx.AsyncClient(trust_env=False, verify=False) as http:
            calls = [asyncio.create_task(http.get(cloud.api, auth=auth)) for _ in range(20)]
            while not cloud.asked.is_set():
                await asyncio.sleep(0.001)
            cloud.gate.set()
            got.extend([answer.status_code for answer in await asyncio.gather(*calls)])

    threads = [threading.Thread(target=thread) for _ in range(10)]
    for each in threads:
        each.start()
    asyncio.run(tasks())
    for each in threads:
        each.join()
    assert (got, cloud.exchanges) == ([200] * 30, 1)


def test_the_twin_for_tasks_has_the_same_auth(cloud: Cloud, call: Call) -> None:
    client = AsyncTokenClient(issuer=cloud.issuer, resource=RESOURCE, identity=Workload())
    assert call("GET", cloud.api, client.auth()).status_code == 200


def test_a_token_that_was_withdrawn_is_replaced_and_the_call_made_again(
    cloud: Cloud, auth: ApiAuth, call: Call
) -> None:
    call("GET", cloud.api, auth)
    cloud.withdraw()
    answer = call("POST", cloud.api, auth, json={"a": 1})
    assert (answer.status_code, len(answer.history), cloud.exchanges) == (200, 1, 2)
    assert [each.body for each in cloud.calls[1:]] == [b'{"a":1}'] * 2


def test_an_api_that_takes_no_token_is_believed_after_one_exchange(cloud: Cloud, auth: ApiAuth, call: Call) -> None:
    cloud.api_plans = [Said(401, {"WWW-Authenticate": WITHDRAWN})] * 20
    assert [call("GET", cloud.api, auth).status_code for _ in range(3)] == [401] * 3
    assert (cloud.exchanges, len(cloud.calls)) == (2, 4)


class Pipe(io.BytesIO):
    """A file in which nobody can go back."""

    def seekable(self) -> bool:
        return False


@pytest.mark.parametrize(("file", "status"), [(io.BytesIO, 200), (Pipe, 401)])
def test_a_form_with_files_is_sent_again_if_each_can_be(
    file: type[io.BytesIO], status: int, cloud: Cloud, auth: ApiAuth
) -> None:
    with httpx.Client(trust_env=False, verify=False) as http:
        http.get(cloud.api, auth=auth)
        cloud.withdraw()
        sent = {"image": file(b"an image")}
        answer = http.post(cloud.api, auth=auth, data={"album": "1"}, files=sent)
    assert answer.status_code == status
    assert all(b"an image" in each.body for each in cloud.calls[1:])
    assert cloud.exchanges == 2


def test_a_stream_that_cannot_be_sent_again_is_not_and_the_next_call_has_another_token(
    cloud: Cloud, auth: ApiAuth, request: pytest.FixtureRequest, call: Call
) -> None:
    async def tasks() -> AsyncIterator[bytes]:
        yield b"an image"

    def body() -> Any:
        return tasks() if "async" in request.node.name else iter([b"an image"])

    call("GET", cloud.api, auth)
    cloud.withdraw()
    assert call("PUT", cloud.api, auth, content=body()).status_code == 401
    assert call("PUT", cloud.api, auth, content=body()).status_code == 200
    assert [each.body for each in cloud.calls[1:]] == [b"an image"] * 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_somebody_else_carries_no_token_and_no_answer_of_theirs_gets_one(
    status: int, cloud: Cloud, elsewhere: Cloud, auth: ApiAuth, call: Call
) -> None:
    cloud.api_plans = [Said(status, {"Location": elsewhere.api})]
    elsewhere.api_plans = [Said(401, {"WWW-Authenticate": f"{WITHDRAWN}, {NONCE_WANTED['WWW-Authenticate']}"})]
    assert call("GET", cloud.api, auth).status_code == 401
    (called,) = elsewhere.calls
    assert "Authorization" not in called.headers
    assert cloud.exchanges == 1


# Tokens that are bound to a key


@pytest.fixture
def bound(fake: FakeServer, enrolled: Enrollment, supplier: DeviceSupplier) -> ApiAuth:
    assert enrolled.issuer == fake.issuer
    return TokenClient(issuer=fake.issuer, resource=RESOURCE, scope="images:read", identity=supplier).auth()


def test_a_bound_token_is_shown_with_a_proof_and_the_nonce_that_the_api_wants(
    fake: FakeServer, bound: ApiAuth, call: Call
) -> None:
    """R65, R67"""
    assert call("GET", fake.api.replace("//", "//user@") + "?album=1#here", bound).status_code == 200
    fake.nonce = "nonce-2"
    before = len(fake.asked)
    assert [call("POST", fake.api, bound, content=b"an image").status_code for _ in range(2)] == [200, 200]
    assert [asked.body for asked in fake.asked[before:]] == [b"an image"] * 3


def test_an_api_that_never_has_enough_nonces_is_believed(fake: FakeServer, bound: ApiAuth, call: Call) -> None:
    call("GET", fake.api, bound)
    for _ in range(5):
        fake.say_next(FakeSaid(401, {}, NONCE_WANTED))
    assert call("GET", fake.api, bound).status_code == 401
    assert len(fake.plans) == 3


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_within_the_api_is_proven_anew(status: int, fake: FakeServer, bound: ApiAuth, call: Call) -> None:
    """R65"""
    call("GET", fake.api, bound)
    fake.say_next(FakeSaid(status, {}, {"Location": "/images/1"}))
    fake.say_next(FakeSaid(401, {}, {"WWW-Authenticate": 'DPoP error="invalid_dpop_proof"'}))
    assert call("POST", fake.api, bound, content=b"an image").status_code == 200
    assert fake.asked[-1].method == ("GET" if status == 302 else "POST")


def test_a_redirect_to_somebody_else_carries_no_bound_token(
    fake: FakeServer, elsewhere: Cloud, bound: ApiAuth, call: Call
) -> None:
    call("GET", fake.api, bound)
    fake.say_next(FakeSaid(307, {}, {"Location": elsewhere.api}))
    elsewhere.api_plans = [Said(401, NONCE_WANTED)]
    assert call("GET", fake.api, bound).status_code == 401
    (called,) = elsewhere.calls
    assert "Authorization" not in called.headers


WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[2:]))
import authserver.client
from tests.client.cloud import Workload
assert not {"requests", "httpx"} & {name for name, module in sys.modules.items() if module}
auth = authserver.client.TokenClient(issuer="https://auth.example.com", resource="r", identity=Workload()).auth()
assert type(auth).__name__ == sys.argv[1]
"""


@pytest.mark.parametrize(
    ("absent", "kind"), [(["httpx", "requests"], "ApiAuth"), (["httpx"], "ApiAuth"), (["requests"], "HttpxAuth")]
)
def test_neither_library_is_needed_nor_imported_before_an_auth_is_asked_for(absent: list[str], kind: str) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT, kind, *absent], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
