"""The steps of the demo, in order. Each says what it shows, and fails if that did not happen."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Final

from authserver.cli.demo.device import call_as_the_phone, enroll_a_phone, revoke_the_phone, rob_the_phone
from authserver.cli.demo.stage import PATIENCE, Stage, expect
from authserver.jose.compact import parse
from authserver.testing import FakeIssuer

Lines = Iterator[str]


def exchange(stage: Stage) -> Lines:
    """The main job."""
    status, answer = stage.exchange(stage.identity("thumbnailer"))
    expect(status == 200, f"the server answered {status} {answer.get('error')}")
    claims = parse(answer["access_token"]).unverified_claims
    yield "media/thumbnailer showed the token that its cluster gave it. There is no secret to store or to leak."
    yield f"It got a {answer['token_type']} token for {answer['expires_in']} seconds:"
    for name in ("iss", "sub", "aud", "scope"):
        yield f"    {name:<6} {claims[name]}"


def accept(stage: Stage) -> Lines:
    """The middleware lets a good token through."""
    status, _, body = stage.call(stage.token())
    expect(status == 200, f"the API answered {status}")
    yield f"GET /images: {status} for {json.loads(body)['caller']}"


def refuse_scope(stage: Stage) -> Lines:
    """Least privilege, twice: at the API and at the server."""
    status, headers, _ = stage.call(stage.token(), "DELETE")
    expect(status == 403, f"the API answered {status}")
    yield f"DELETE /images: {status} {headers['WWW-Authenticate'].partition(', resource_metadata')[0]}"
    status, answer = stage.exchange(stage.identity("thumbnailer"), "images:read images:write")
    expect((status, answer.get("error")) == (400, "invalid_scope"), f"the server answered {status}")
    yield f"Asking the server for images:write: {status} {answer['error']}. A scope is never silently dropped."


def refuse_strangers(stage: Stage) -> Lines:
    """Three callers without a claim to anything, and what only the operator learns."""
    with FakeIssuer() as impostor:
        forged = impostor.token({**parse(stage.identity("thumbnailer")).unverified_claims})
    for who, identity, reason in (
        ("a service account that no rule names", stage.identity("stranger"), "no_rule"),
        ("a forger with a key of his own", forged, "key_unknown"),
        ("an identity that has expired", stage.identity("thumbnailer", iat=1, exp=2), "expired"),
    ):
        status, answer = stage.exchange(identity)
        expect(status == 400, f"the server answered {status} to {who}")
        found = stage.event(answer["request_id"])["reason"]
        expect(found == reason, f"the audit event says {found} of {who}")
        yield f"{who}: {status} {answer['error']}; the operator's log says {found}"


def rotate(stage: Stage) -> Lines:
    """Keys turn over under traffic, and no verifier notices."""
    kids: set[str] = set()
    calls = 0
    deadline = time.monotonic() + PATIENCE
    while len(kids) < 4 and time.monotonic() < deadline:
        token = stage.token()
        status, _, _ = stage.call(token)
        expect(status == 200, f"the API answered {status} after {calls} calls and {len(kids)} keys")
        kids.add(str(parse(token).unverified_header["kid"]))
        calls += 1
        time.sleep(0.01)
    expect(len(kids) >= 4, f"the keys changed only {len(kids) - 1} times")
    yield f"{calls} tokens were issued and used while the signing key changed {len(kids) - 1} times. None was refused."


def revoke(stage: Stage) -> Lines:
    """An emergency: a key is withdrawn."""
    token = stage.token()
    kid = str(parse(token).unverified_header["kid"])
    stage.command("keys", "revoke", kid, "--now")
    waited = time.monotonic()
    while (status := stage.call(token)[0]) == 200 and time.monotonic() < waited + PATIENCE:
        time.sleep(0.1)
    expect(status == 401, f"the API still answers {status}")
    refused = time.monotonic() - waited
    while (
        published := kid in stage.published()
    ) and time.monotonic() < waited + PATIENCE:  # by the worker that lags behind
        time.sleep(0.1)
    expect(not published, "the withdrawn key is still published")
    yield f"The key {kid[:8]} was withdrawn. {refused:.1f} seconds later the API refused its tokens."
    while (status := stage.call(stage.token())[0]) != 200 and time.monotonic() < waited + PATIENCE:
        time.sleep(0.1)
    expect(status == 200, f"the API answered {status} to a token of the next key")
    yield "The next key took over, and new tokens are accepted."


STEPS: Final[tuple[tuple[str, Callable[[Stage], Lines]], ...]] = (
    ("A workload trades its identity for a token", exchange),
    ("An API protected by the middleware accepts the token", accept),
    ("A scope that was not granted opens nothing", refuse_scope),
    ("Whoever has no rule, no key or no time left gets nothing", refuse_strangers),
    ("A phone enrols with an invitation", enroll_a_phone),
    ("It calls the API with a token that is bound to its key", call_as_the_phone),
    ("The stolen token is worth nothing", rob_the_phone),
    ("Keys rotate with nobody refused", rotate),
    ("A leaked key is withdrawn", revoke),
    ("The phone is revoked, and nobody else notices", revoke_the_phone),
)
