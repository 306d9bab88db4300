"""What an issuer that is away, slow or asked for inventions does to requests with tokens of known keys: nothing.

Nothing here is measured. A request that waits for nobody is one whose steps never suspend, and that can be counted.
"""

import asyncio
import base64
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import pytest

from authserver.errors import CredentialRejected, Reason, Unavailable
from authserver.resource import AccessTokenVerifier
from authserver.resource.credential import ApiRequest
from authserver.resource.protection import Protection
from authserver.resource.requirement import Requirement
from authserver.resource.waiting import Blocking, finish
from authserver.testing import FakeIssuer, FrozenClock
from tests.resource.environment import AUDIENCE

LIFETIME = 300
STALE_BOUND = 1800
READ = Requirement(("images:read",))
PATIENCE = 20.0

T = TypeVar("T")
Passes = Callable[[Protection, ApiRequest], bool]


class Impatient(Blocking):
    """Waits for nobody, and fails the test in which somebody wants it to."""

    async def result(self, future: "Future[T]", seconds: float) -> T:  # noqa: ARG002 - as Waits has it
        raise AssertionError("a request was held")


def never_held(verifier: AccessTokenVerifier, token: str) -> bool:
    """Whether a token is accepted in steps that wait for nothing, in a thread and on a loop alike."""
    at_once = finish(verifier.verify_async(token))  # a coroutine that suspends is none that this could finish
    return finish(verifier.believe(token, None, Impatient())).token == at_once


def in_a_thread(protection: Protection, request: ApiRequest) -> bool:
    return protection.check(request, READ) is not None


def on_a_loop(protection: Protection, request: ApiRequest) -> bool:
    return asyncio.run(protection.check_async(request, READ)) is not None


@pytest.fixture(params=[in_a_thread, on_a_loop], ids=["thread", "loop"])
def passes(request: pytest.FixtureRequest) -> Passes:
    way: Passes = request.param
    return way


@pytest.fixture
def known(verifier: AccessTokenVerifier, issuer: FakeIssuer) -> Iterator[str]:
    """A token whose key the verifier knows."""
    token = issuer.access_token(AUDIENCE)
    verifier.verify(token)
    yield token
    issuer.up()


def invented(token: str) -> Iterator[str]:
    """Tokens like this one, each naming a key that nobody has."""
    header, rest = token.split(".", 1)
    members = json.loads(base64.urlsafe_b64decode(header + "=="))
    for number in itertools.count():
        named = json.dumps({**members, "kid": f"invented-{number}"}).encode()
        yield f"{base64.urlsafe_b64encode(named).rstrip(b'=').decode()}.{rest}"


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def is_accepted(passes: Passes, protection: Protection, request: ApiRequest) -> bool:
    try:
        return passes(protection, request)
    except Unavailable:
        return False


def asked(issuer: FakeIssuer) -> int:
    """How many times the issuer was asked for its keys, answered or not: each time begins with its metadata."""
    return sum(path.startswith("/.well-known/oauth") for path in issuer.requests)


def test_known_tokens_outlive_an_outage_until_the_stale_bound_and_then_it_is_503(
    passes: Passes, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    """Contract section 5: longer than the lifetime of the key set, and never 401."""
    protection = Protection(issuer=issuer.issuer, audience=AUDIENCE, clock=clock, stale_bound=STALE_BOUND)
    request = ApiRequest((f"Bearer {issuer.access_token(AUDIENCE, 'images:read', exp=int(clock()) + 3600)}",))
    assert passes(protection, request)
    issuer.down()
    for seconds in (LIFETIME - 1, 2, LIFETIME * 3, STALE_BOUND - LIFETIME * 4 - 2):
        clock.advance(seconds)
        assert passes(protection, request)
    clock.advance(1)
    with pytest.raises(Unavailable) as caught:
        passes(protection, request)
    answer = protection.refuse(caught.value, request, READ)
    assert answer.status == 503
    assert int(dict(answer.headers)["Retry-After"]) > 0
    issuer.up()

    def is_accepted_later() -> bool:
        clock.advance(1)  # a fetch that failed may have landed only now, and puts off the next one
        return is_accepted(passes, protection, request)

    eventually(is_accepted_later)


def test_without_a_stale_bound_keys_are_used_for_their_lifetime_and_no_longer(
    issuer: FakeIssuer, clock: FrozenClock
) -> None:
    verifier = AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, clock=clock, stale_bound=0)
    token = issuer.access_token(AUDIENCE)
    verifier.verify(token)
    issuer.down()
    clock.advance(LIFETIME - 1)
    verifier.verify(token)
    clock.advance(1)
    with pytest.raises(Unavailable):
        verifier.verify(token)


def test_a_thousand_unknown_keys_are_one_fetch_and_known_ones_never_notice(
    verifier: AccessTokenVerifier, known: str, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    """PyJWT GHSA-fhv5-28vv-h8m8. A thousand at once while the issuer hangs, within the cool-down, and after it."""
    tokens = invented(known)

    async def flood() -> list[Any]:
        issuer.hang()
        before = threading.active_count()
        waiting = [asyncio.ensure_future(verifier.verify_async(next(tokens))) for _ in range(1000)]
        await asyncio.sleep(0)
        for _ in range(100):
            assert never_held(verifier, known)
        assert threading.active_count() <= before + 2  # the flight's own, and the issuer's that serves it
        issuer.up()
        return await asyncio.gather(*waiting, return_exceptions=True)

    for seconds, fetches in ((31, 2), (29, 2), (2, 3)):
        clock.advance(seconds)
        refusals = asyncio.run(flood())
        assert {(type(error), error.reason) for error in refusals} == {(CredentialRejected, Reason.KEY_UNKNOWN)}
        assert asked(issuer) == fetches


def test_in_threads_it_is_one_fetch_per_cool_down_too(
    verifier: AccessTokenVerifier, known: str, issuer: FakeIssuer, clock: FrozenClock
) -> None:
    tokens = invented(known)
    for fetches in (2, 3):
        clock.advance(31)
        for token in itertools.islice(tokens, 1000):
            with pytest.raises(CredentialRejected):
                verifier.verify(token)
        assert asked(issuer) == fetches
        assert never_held(verifier, known)


@pytest.mark.parametrize("seconds", [31, LIFETIME * 0.86])
def test_an_issuer_that_hangs_holds_no_request_with_a_known_key(
    verifier: AccessTokenVerifier, known: str, issuer: FakeIssuer, clock: FrozenClock, seconds: float
) -> None:
    """Not while its keys are fresh, not while they are being refreshed, and not when they expire meanwhile."""
    clock.advance(seconds)
    issuer.hang()
    fresh = issuer.access_token(AUDIENCE)

    async def ask_for_an_unknown_one() -> None:
        waiting = asyncio.ensure_future(verifier.verify_async(next(invented(known))))
        await asyncio.sleep(0)
        assert never_held(verifier, known)
        assert never_held(verifier, fresh)  # one that was never seen, and is verified
        clock.advance(LIFETIME - seconds)
        assert seconds == 31 or never_held(verifier, fresh)
        waiting.cancel()

    asyncio.run(ask_for_an_unknown_one())


def test_who_comes_first_waits_on_a_loop_without_holding_it(issuer: FakeIssuer, clock: FrozenClock) -> None:
    verifier = AccessTokenVerifier(issuer=issuer.issuer, audience=AUDIENCE, clock=clock)
    token = issuer.access_token(AUDIENCE)
    issuer.hang()

    async def ask() -> set[str]:
        waiting = [asyncio.ensure_future(verifier.verify_async(token)) for _ in range(500)]
        await asyncio.sleep(0)
        issuer.up()  # which only a loop that is free comes to do
        return {verified.subject for verified in await asyncio.gather(*waiting)}

    assert asyncio.run(ask()) == {"tests:somebody"}
    assert asked(issuer) == 1
