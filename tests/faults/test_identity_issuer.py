"""The issuer of identities fails, and workloads are given tokens on the keys that were known before."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from authserver.jose.compact import base64url_decode, base64url_encode
from authserver.testing import FakeIssuer
from tests import leaks, oracle
from tests.faults.audit import lost
from tests.faults.callers import Workload
from tests.faults.crowd import everybody
from tests.faults.nodes import Clock, Node
from tests.faults.page import Record
from tests.faults.site import Site, outcome_of
from tests.faults.thieves import Hostile
from tests.faults.traffic import Caller, Counts, Kind, Outcome, Traffic, phase
from tests.served import exchange_form

pytestmark = pytest.mark.slow

EXPIRED = 400.0
"""Seconds after which a node wants the keys anew, for the issuer says nothing of how long they are good."""

TRIES_AGAIN = 11.0
STALE_BOUND = 86400.0
ENORMOUS = 64_000_000


class Issuer(FakeIssuer):
    """An issuer whose key set can hold more than it should."""

    more_keys: tuple[dict[str, Any], ...] = ()
    padding = ""

    @property
    def jwks(self) -> dict[str, Any]:
        """The key set as it is published."""
        return {"keys": [*super().jwks["keys"], *self.more_keys], "padding": self.padding}


class Poisoner(Hostile):
    """Somebody who has brought a key into the key set that must verify nothing, and signs with it."""

    kind = Kind.WORKLOAD

    def __init__(self, site: Site, sign: Callable[[dict[str, Any]], str]) -> None:
        super().__init__(site)
        self._sign = sign

    def call(self) -> Outcome:
        """Ask with a token that it has signed."""
        payload = self.site.workload().split(".")[1]
        token = leaks.handled(self._sign(json.loads(base64url_decode(payload))))
        return outcome_of(self.site.post("/token", form=exchange_form(token)))


@pytest.fixture
def cluster(clock: Clock) -> Iterator[Issuer]:
    """The issuer that fails."""
    with Issuer(clock=clock) as issuer:
        yield issuer


def run(site: Site, clock: Clock, cluster: Issuer, fail: Any, hostile: tuple[Caller, ...] = ()) -> Counts:
    """Let the issuer fail, so long that its keys have expired, and come back."""
    with Traffic([*everybody(site), *hostile]) as traffic:
        traffic.wait_for_more()
        fail()
        traffic.wait_for_more()
        with traffic.paused():
            clock.advance(EXPIRED)
            asked = len(cluster.requests)
        traffic.expect(phase(()))
        traffic.wait_for_more()
        assert len(cluster.requests) > asked, "nobody has asked the issuer that fails"
        cluster.up()
        cluster.more_keys, cluster.padding = (), ""
        with traffic.paused():
            clock.advance(TRIES_AGAIN)
        traffic.expect(phase(()))
        traffic.wait_for_more()
    traffic.counts.lost = lost(site)
    return traffic.counts


def test_identity_issuer_down(site: Site, clock: Clock, cluster: Issuer, record: Record) -> None:
    counts = run(site, clock, cluster, cluster.down)
    assert counts.wrong == {}
    cluster.down()
    clock.advance(STALE_BOUND + EXPIRED)
    with Traffic([Workload(site)]) as traffic:
        traffic.expect(phase([Kind.WORKLOAD], Outcome.PUT_OFF))
        traffic.wait_for(Outcome.PUT_OFF, [Kind.WORKLOAD])
        cluster.up()
        with traffic.paused():
            clock.advance(TRIES_AGAIN)
        traffic.expect(phase(()))
        traffic.wait_for(Outcome.DONE, [Kind.WORKLOAD])
    assert traffic.counts.wrong == {}
    record(counts)


def test_identity_issuer_slow(site: Site, clock: Clock, cluster: Issuer, record: Record) -> None:
    counts = run(site, clock, cluster, cluster.hang)
    assert counts.wrong == {}
    record(counts)


def test_identity_issuer_empty(site: Site, clock: Clock, cluster: Issuer, record: Record) -> None:
    counts = run(site, clock, cluster, cluster.publish_nothing)
    assert counts.wrong == {}
    record(counts)


def test_identity_issuer_poisoned(site: Site, clock: Clock, cluster: Issuer, record: Record) -> None:
    secret = secrets.token_bytes(32)
    symmetric = {"kty": "oct", "k": base64url_encode(secret), "kid": "symmetric", "alg": "HS256"}
    wrong: dict[str, dict[str, Any]] = {
        "encrypts": {"use": "enc"},
        "wraps": {"use": None, "key_ops": ["wrapKey"]},
        "other-algorithm": {"alg": "RS256"},
        "twice": {},
    }
    keys = {kid: oracle.make_key(kid=kid) for kid in wrong}
    poison = [symmetric, oracle.public_jwk(oracle.make_key(kid="twice"))]
    poison += [oracle.public_jwk(keys[kid], **members) for kid, members in wrong.items()]
    signers = [partial(_sign_symmetrically, secret), *(partial(oracle.sign, key) for key in keys.values())]

    def fail() -> None:
        cluster.more_keys = tuple(poison)

    counts = run(site, clock, cluster, fail, tuple(Poisoner(site, signer) for signer in signers))
    assert counts.wrong == {}
    record(counts)


def test_identity_issuer_enormous(site: Site, alone: Node, clock: Clock, cluster: Issuer, record: Record) -> None:
    def fail() -> None:
        cluster.padding = "x" * ENORMOUS

    before = [_most_memory(pid) for pid in alone.workers()]
    counts = run(site, clock, cluster, fail)
    assert counts.wrong == {}
    grown = [_most_memory(pid) - memory for pid, memory in zip(alone.workers(), before, strict=True)]
    assert max(grown) < ENORMOUS / 2, "it has read what is too large to be a key set"
    record(counts)


def _sign_symmetrically(secret: bytes, claims: dict[str, Any]) -> str:
    head = base64url_encode(json.dumps({"typ": "JWT", "alg": "HS256", "kid": "symmetric"}).encode())
    signed = f"{head}.{base64url_encode(json.dumps(claims).encode())}"
    return f"{signed}.{base64url_encode(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def _most_memory(pid: int) -> int:
    """The most bytes of memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
