"""Asking the issuer whether a token is still active (RFC 7662): an answer can only ever take away."""

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner
from flask import Flask

from authserver.cli.commands import authserver
from authserver.client import (
    AuthorizationServer,
    BoundCalls,
    DeviceSupplier,
    EnrollmentRecord,
    Introduction,
    TokenClient,
    enroll,
    request_token,
)
from authserver.errors import CredentialRejected, Reason, Unavailable
from authserver.resource import AccessTokenVerifier, Introspection, OfferedProof
from authserver.resource.flask import ResourceServer
from authserver.resource.waiting import OnLoop
from authserver.testing import FakeIssuer, FrozenClock
from tests import leaks, served
from tests.devices import PHONES
from tests.resource.asked_issuer import AskedIssuer
from tests.resource.environment import AUDIENCE, refusal
from tests.served import Server, ask, free_port, serving

OWN = "own-credential-of-this-api"

Make = Callable[..., AccessTokenVerifier]


@pytest.fixture
def asked(clock: FrozenClock) -> Iterator[AskedIssuer]:
    with AskedIssuer(clock) as issuer:
        yield issuer


@pytest.fixture
def make(asked: AskedIssuer, clock: FrozenClock) -> Make:
    def verifier(**settings: Any) -> AccessTokenVerifier:
        introspection = Introspection(**{"token": lambda: leaks.handled(OWN), "deadline": 10.0, **settings})
        return AccessTokenVerifier(
            issuer=asked.issuer,
            audience=AUDIENCE,
            jwks_url=f"{asked.issuer}/keys",
            clock=clock,
            introspection=introspection,
        )

    return verifier


def unavailable(verifier: AccessTokenVerifier, token: str) -> dict[str, Any]:
    """The facts of why it cannot be known whether this token is active; the test fails when it can."""
    with pytest.raises(Unavailable) as caught:
        verifier.verify(token)
    assert caught.value.reason is Reason.INTROSPECTION_UNAVAILABLE
    assert caught.value.retry_after == 1
    return dict(caught.value.facts)


def test_the_issuer_is_asked_with_our_own_token_and_its_yes_is_kept_within_the_bound(
    asked: AskedIssuer, make: Make, clock: FrozenClock
) -> None:
    verifier, token = make(cache=30), asked.token()
    for _ in range(3):
        assert verifier.verify(token).subject == "prod:thumbnailer"
    assert asked.asked == [{"token": token, "token_type_hint": "access_token"}]
    assert asked.credentials == [f"Bearer {OWN}"]
    clock.advance(29.9)
    verifier.verify(token)
    assert len(asked.asked) == 1
    clock.advance(0.1)
    verifier.verify(token)
    assert len(asked.asked) == 2


def test_a_token_that_is_not_active_is_refused_within_the_bound(
    asked: AskedIssuer, make: Make, clock: FrozenClock
) -> None:
    verifier, token = make(cache=30), asked.token()
    verifier.verify(token)
    asked.active = lambda _: {"active": False}
    verifier.verify(token)
    clock.advance(30)
    assert [refusal(verifier, token) for _ in range(3)] == [Reason.TOKEN_INACTIVE] * 3
    assert len(asked.asked) == 2


def test_a_clock_that_is_set_back_makes_no_answer_last_longer(
    asked: AskedIssuer, make: Make, clock: FrozenClock
) -> None:
    verifier, token = make(cache=10), asked.token()
    verifier.verify(token)
    clock.advance(-20)
    verifier.verify(token)
    assert len(asked.asked) == 2


def test_without_a_cache_the_issuer_is_asked_each_time(asked: AskedIssuer, make: Make) -> None:
    verifier, token = make(cache=0), asked.token()
    verifier.verify(token)
    verifier.verify(token)
    asked.active = lambda _: {"active": False}
    assert refusal(verifier, token) is Reason.TOKEN_INACTIVE
    assert len(asked.asked) == 3


def test_what_is_not_believed_here_is_not_asked_about(asked: AskedIssuer, make: Make, clock: FrozenClock) -> None:
    verifier = make()
    assert refusal(verifier, asked.token(exp=int(clock()) - 100, iat=int(clock()) - 200)) is Reason.EXPIRED
    assert refusal(verifier, asked.token(aud="https://other.example.com")) is Reason.AUDIENCE_WRONG
    assert refusal(verifier, asked.token(cnf={"jkt": "x" * 43})) is Reason.SENDER_UNPROVEN
    assert asked.asked == []


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://other.example.com"},
        {"sub": "prod:somebody-else"},
        {"client_id": "dev_other"},
        {"aud": "https://other.example.com"},
        {"aud": [AUDIENCE, "https://other.example.com"]},
        {"cnf": {"jkt": "x" * 43}},
        {"scope": "images:read images:write"},
        {"scope": ["images:read"]},
        {"jti": "another"},
        {"exp": 1},
        {"iat": 1},
    ],
    ids=lambda change: str(change)[:30],
)
def test_an_answer_about_another_token_is_a_refusal(asked: AskedIssuer, make: Make, change: dict[str, Any]) -> None:
    asked.active = lambda claims: {"active": True, **claims, **change}
    assert refusal(make(), asked.token()) is Reason.INTROSPECTION_MISMATCH


def test_an_answer_may_say_little_and_spell_the_audience_as_a_list(asked: AskedIssuer, make: Make) -> None:
    """RFC 7662 section 2.2: everything but ``active`` is optional."""
    verifier = make(cache=0)
    asked.active = lambda _: {"active": True}
    assert verifier.verify(asked.token()).has_scope("images:read")
    asked.active = lambda claims: {"active": True, **claims, "aud": [AUDIENCE], "username": "x"}
    assert verifier.verify(asked.token(scope="b a")).scope == {"a", "b"}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"error":"invalid_request"}'),
        (403, b'{"error":"insufficient_scope"}'),
        (503, b"{}"),
        (302, b"{}"),
        (200, b"<html>"),
        (200, b"{}"),
        (200, b'{"active":"true"}'),
        (200, b'{"active":1}'),
        (200, b'{"active":null}'),
        (200, b'{"active":true,"active":false}'),
    ],
)
def test_an_answer_that_is_none_is_neither_yes_nor_no(asked: AskedIssuer, make: Make, status: int, body: bytes) -> None:
    verifier, token = make(), asked.token()
    asked.raw = lambda _: (status, body)
    facts = unavailable(verifier, token)
    assert facts.get("status", status) in (status, None)
    asked.raw = lambda _: None
    verifier.verify(token)  # and it was not kept


def test_our_own_token_is_renewed_once_when_the_issuer_refuses_it(asked: AskedIssuer, make: Make) -> None:
    tokens = iter(["first", "second", "third", "fourth"])
    verifier = make(token=lambda: next(tokens), cache=0)
    asked.raw = lambda credential: None if credential == "Bearer second" else (401, b"{}")
    verifier.verify(asked.token())
    assert unavailable(verifier, asked.token())["status"] == 401
    assert asked.credentials == ["Bearer first", "Bearer second", "Bearer third", "Bearer fourth"]


def test_a_token_that_cannot_be_renewed_is_not_sent_twice(asked: AskedIssuer, make: Make) -> None:
    asked.raw = lambda _: (401, b"{}")
    assert unavailable(make(), asked.token())["status"] == 401
    assert len(asked.asked) == 1


def test_without_a_token_of_our_own_nobody_is_asked_and_no_secret_is_told(asked: AskedIssuer, make: Make) -> None:
    def broken() -> str:
        raise LookupError(f"there is only {leaks.handled('a-secret-of-the-callable')}")

    assert unavailable(make(token=broken), asked.token()) == {"because": "LookupError"}
    facts = unavailable(make(token=lambda: "not a\r\nb64token"), asked.token())
    assert facts["cause"] == "credential_unreadable"
    assert asked.asked == []


def test_what_nobody_expected_is_an_outage_too(asked: AskedIssuer, make: Make) -> None:
    assert unavailable(make(token=lambda: 42), asked.token()) == {"because": "TypeError"}


@pytest.mark.parametrize(
    ("metadata", "cause"),
    [
        ({"introspection_endpoint": None}, "url_refused"),
        ({"introspection_endpoint": "nowhere"}, "url_refused"),
        ({"introspection_endpoint": "http://127.0.0.2:9/ask"}, "address_refused"),
        ({"issuer": "https://other.example.com"}, "issuer_mismatch"),
    ],
)
def test_the_endpoint_is_the_one_of_the_issuers_metadata(
    asked: AskedIssuer, make: Make, metadata: dict[str, Any], cause: str
) -> None:
    """R96"""
    asked.metadata = metadata
    assert unavailable(make(), asked.token())["cause"] == cause
    assert asked.asked == []


def test_a_configured_endpoint_needs_no_metadata(asked: AskedIssuer, make: Make) -> None:
    asked.metadata = {"introspection_endpoint": "nowhere"}
    make(url=f"{asked.issuer}/ask").verify(asked.token())
    assert len(asked.asked) == 1


def test_answers_are_kept_about_a_bounded_number_of_tokens(asked: AskedIssuer, make: Make) -> None:
    verifier = make(entries=2)
    first, second, third = (asked.token(jti=name) for name in "abc")
    for token in (first, second, third, third, second):
        verifier.verify(token)
    assert len(asked.asked) == 3
    verifier.verify(first)
    assert len(asked.asked) == 4


def test_many_threads_with_one_token_ask_once(asked: AskedIssuer, make: Make) -> None:
    verifier, token = make(), asked.token()
    asked.gate.clear()
    with ThreadPoolExecutor(20) as pool:
        verified = [pool.submit(verifier.verify, token) for _ in range(20)]
        wait_until(lambda: len(asked.asked) == 1)
        asked.gate.set()
        assert {done.result(30).subject for done in verified} == {"prod:thumbnailer"}
    assert len(asked.asked) == 1


def test_an_event_loop_is_never_held_and_asks_once(asked: AskedIssuer, make: Make) -> None:
    verifier, token = make(), asked.token()
    asked.gate.clear()

    async def ask() -> list[str]:
        tasks = [asyncio.create_task(verifier.verify_async(token)) for _ in range(100)]
        while not asked.asked:
            await asyncio.sleep(0.001)  # the loop goes round while they wait
        tasks[0].cancel()  # and that the first has gone is nothing to the others
        asked.gate.set()
        done = await asyncio.gather(*tasks[1:])
        return [each.subject for each in done]

    assert asyncio.run(ask()) == ["prod:thumbnailer"] * 99
    assert len(asked.asked) == 1


def test_an_issuer_that_hangs_is_waited_for_once_and_then_left_alone_for_a_second(
    asked: AskedIssuer, make: Make, clock: FrozenClock
) -> None:
    verifier, token = make(deadline=0.2, cache=30), asked.token()
    verifier.verify(token)
    clock.advance(30)
    asked.gate.clear()
    assert unavailable(verifier, token)["cause"] == "timed_out"
    assert unavailable(verifier, asked.token(jti="two"))["cause"] == "timed_out"
    assert len(asked.asked) == 2
    asked.gate.set()
    clock.advance(1)
    verifier.verify(token)


def test_who_waits_for_the_question_of_another_waits_no_longer_than_it_may_take(asked: AskedIssuer, make: Make) -> None:
    held = threading.Event()

    def slow() -> str:
        held.wait(30)
        return OWN

    verifier, token = make(token=slow, deadline=0.05), asked.token()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(verifier.verify, token)
        wait_until(lambda: len(verifier._introspector._here.by_name) == 1)  # type: ignore[union-attr]
        assert unavailable(verifier, token) == {"cause": "timed_out"}
        held.set()
        assert first.result(30).subject == "prod:thumbnailer"


def test_a_question_that_was_ended_from_outside_leaves_nobody_waiting(asked: AskedIssuer, make: Make) -> None:
    """A worker that is told to stop, or a time-out that is thrown into the thread, as gevent does."""
    ends: list[BaseException] = [SystemExit()]

    def ended() -> str:
        if ends:
            raise ends.pop()
        return OWN

    verifier, token = make(token=ended), asked.token()
    with pytest.raises(SystemExit):
        verifier.verify(token)
    assert verifier.verify(token).subject == "prod:thumbnailer"


def test_where_too_much_is_waiting_on_an_event_loop_the_answer_is_that_it_cannot_be_known(
    asked: AskedIssuer, make: Make
) -> None:
    verifier = make()
    tokens = [asked.token(jti=name) for name in "abc"]
    verifier.verify(tokens[0])  # so that there are keys
    verifier._on_loop = OnLoop(threads=1, places=1)
    asked.gate.clear()

    async def ask() -> Unavailable:
        first = asyncio.create_task(verifier.verify_async(tokens[1]))
        while len(asked.asked) < 2:
            await asyncio.sleep(0.001)
        with pytest.raises(Unavailable) as caught:
            await verifier.verify_async(tokens[2])
        asked.gate.set()
        await first
        return caught.value

    refused = asyncio.run(ask())
    assert (refused.reason, refused.facts["because"]) == (Reason.INTROSPECTION_UNAVAILABLE, "store_unavailable")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_asks_on_its_own_even_if_the_lock_was_held(asked: AskedIssuer, make: Make) -> None:
    verifier, token = make(), asked.token()
    verifier.verify(token)
    introspector = verifier._introspector
    assert introspector is not None
    with introspector._here.lock:
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if verifier.verify(token).jti else 1)
            finally:
                os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(asked.asked) == 2


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"cache": -1}, "cache"),
        ({"cache": 61}, "cache"),
        ({"cache": float("nan")}, "cache"),
        ({"deadline": 0}, "deadline"),
        ({"deadline": 31}, "deadline"),
        ({"entries": 0}, "entries"),
        ({"url": "http://auth.example.com/introspect"}, "url"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Introspection(token=lambda: OWN, **settings)


def test_an_api_answers_401_for_an_inactive_token_and_503_for_an_issuer_that_is_away(clock: FrozenClock) -> None:
    """As a user tests it: with the fake issuer of this package, and an adapter."""
    with FakeIssuer(clock=clock) as issuer:
        app = Flask("images")
        own = issuer.access_token(issuer.issuer, "introspect:images")
        api = ResourceServer(
            issuer=issuer.issuer, audience=AUDIENCE, clock=clock, introspection=Introspection(token=lambda: own)
        )

        @app.get("/images")
        @api.requires("images:read")
        def images() -> str:
            return api.token.subject

        def get() -> tuple[int, str]:
            answer = app.test_client().get("/images", headers={"Authorization": f"Bearer {token}"})
            return answer.status_code, answer.headers.get("WWW-Authenticate", "")

        token = issuer.access_token(AUDIENCE, "images:read")
        assert get()[0] == 200
        issuer.revoke(token)
        assert get()[0] == 200
        clock.advance(30)
        status, challenge = get()
        assert (status, 'error="invalid_token"' in challenge) == (401, True)
        clock.advance(30)
        issuer.down()
        assert get() == (503, "")


RULE: Final = """
[[allow]]
name = "images-asks"
source = "cluster"
match = {{ namespace = "media", service_account = "images" }}
resource = "{issuer}"
scope = ["introspect:images"]
"""


@pytest.mark.slow
def test_what_the_real_server_revokes_is_refused_within_the_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R75: a token that was taken back, and one of a device that was revoked."""
    port = free_port()
    more = PHONES.format(phones="") + RULE.format(issuer=f"http://127.0.0.1:{port}")
    with FakeIssuer() as cluster, serving(tmp_path, cluster=cluster.issuer, port=port, more=more) as server:
        identity = leaks.handled(cluster.kubernetes_token("media", "images", served.AUDIENCE))
        monkeypatch.setenv("AUTHSERVER_IDENTITY_TOKEN", identity)
        own = TokenClient(issuer=server.url, resource=server.url, scope="introspect:images")
        later = FrozenClock(0.0)
        verifier = AccessTokenVerifier(
            issuer=server.url,
            audience=AUDIENCE,
            introspection=Introspection(token=own.get_token, cache=30),
            clock=lambda: time.time() + later(),
        )
        workload = server.token(cluster.kubernetes_token("media", "thumbnailer", served.AUDIENCE)).json["access_token"]
        device, revoke_device = enrolled(server, tmp_path)
        assert verifier.verify(workload).has_scope("images:read")
        assert device(verifier) == "phones:owner/alice"
        assert ask("POST", f"{server.url}/revoke", form={"token": workload}).status == 200
        revoke_device()
        verifier.verify(workload)
        later.advance(30)
        assert refusal(verifier, workload) is Reason.TOKEN_INACTIVE
        with pytest.raises(CredentialRejected) as caught:
            device(verifier)
        assert caught.value.reason is Reason.TOKEN_INACTIVE


def enrolled(server: Server, folder: Path) -> tuple[Callable[[AccessTokenVerifier], str], Callable[[], str]]:
    """What calls the API as a device of alice that has enrolled, and what revokes the device."""

    def devices(*arguments: str) -> str:
        result = CliRunner().invoke(authserver, ["devices", *arguments, "--config", str(server.configuration)])
        assert result.exit_code == 0, result.stderr
        return result.stdout

    code = json.loads(devices("invite", "--source", "phones", "--owner", "alice", "--json"))["code"]
    at, record = AuthorizationServer(server.url), EnrollmentRecord(server.url, folder / "home")
    known = enroll(at, record, leaks.handled(code), Introduction("a laptop", device={"platform": "linux"}))
    token = request_token(at, DeviceSupplier(at, record), resource=AUDIENCE, scope="images:read")
    leaks.handled(token.value)

    def call(verifier: AccessTokenVerifier) -> str:
        proof = BoundCalls(at).headers("GET", f"{AUDIENCE}/cats", token)["DPoP"]
        return verifier.verify_bound(token.value, OfferedProof((proof,), "GET", (f"{AUDIENCE}/cats",)))[0].subject

    return call, lambda: devices("revoke", known.client_id)


def wait_until(happened: Callable[[], bool]) -> None:
    """Return when something has happened; the test fails when it does not."""
    pause = threading.Event()
    for _ in range(3000):
        if happened():
            return
        pause.wait(0.005)
    raise AssertionError("it does not happen")
