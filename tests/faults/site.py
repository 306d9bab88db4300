"""A site as its callers see it, and what they were told."""

import random
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from tests import leaks
from tests.devices import DeviceKey, token_form
from tests.faults.traffic import Outcome
from tests.served import AUDIENCE, Answer, ask, exchange_form

ONCE: Final = "https://once.auth.example.com"
MANAGING: Final = "introspect:images devices:invite:phones devices:manage:phones"
RENEW_EVERY: Final = 300.0
"""Seconds until those who hold a token for our own endpoints get another."""


class Identities(Protocol):
    """Who vouches for workloads."""

    def kubernetes_token(self, namespace: str, service_account: str, audience: str, **claims: Any) -> str: ...  # D1

    def identity_token(self, audience: str, **claims: Any) -> str: ...  # as above


@dataclass(frozen=True)
class Enrolled:
    """A device that somebody was told of, with the code that it used up."""

    code: str = field(repr=False)
    key: DeviceKey = field(repr=False)
    client_id: str


@dataclass
class Told:
    """What was told as done, so that it must be there afterwards, on whichever node."""

    devices: list[Enrolled] = field(default_factory=list)
    used: list[str] = field(default_factory=list, repr=False)
    spent: list[tuple[Mapping[str, str], str]] = field(default_factory=list, repr=False)
    revoked: list[str] = field(default_factory=list, repr=False)
    key_ids: set[str] = field(default_factory=set)
    tokens: deque[str] = field(default_factory=lambda: deque(maxlen=200), repr=False)


@dataclass
class Site:
    """A server that is one to its callers: its issuer, its nodes, who vouches for workloads, and what was told."""

    issuer: str
    nodes: Sequence[str]
    identities: Identities
    clock: Callable[[], float]
    told: Told = field(default_factory=Told)
    _managing: tuple[str, float] = ("", 0.0)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def post(self, path: str, *, of: str | None = None, **options: Any) -> Answer:
        """Ask any node, or the one that is named."""
        return ask("POST", (of or self.node()) + path, **options)

    def node(self) -> str:
        """Any node."""
        return random.choice(self.nodes)

    def workload(self, **claims: Any) -> str:
        """The identity token of a workload."""
        return leaks.handled(self.identities.kubernetes_token("media", "thumbnailer", AUDIENCE, **claims))

    def managing(self) -> str:
        """A token for our own endpoints. It is had while all is well, and lasts."""
        with self._lock:
            if self.clock() - self._managing[1] > RENEW_EVERY:
                form = exchange_form(self.workload(), resource=self.issuer, scope=MANAGING)
                answer = self.post("/token", form=form)
                if answer.status == 200:
                    self._managing = (leaks.handled(answer.json["access_token"]), self.clock())
            return self._managing[0]

    def invite(self) -> Answer:
        """Invite a device."""
        headers = {"Authorization": f"Bearer {self.managing()}"}
        return self.post("/devices/invitations", json={"source": "phones", "owner": "alice"}, headers=headers)

    def register(self, key: DeviceKey, code: str) -> Answer:
        """Enrol a device."""
        proof = key.proof("POST", f"{self.issuer}/register", now=self.clock())
        return self.post(
            "/register", json=key.registration(), headers={"Authorization": f"Bearer {code}", "DPoP": proof}
        )

    def device_token(self, device: Enrolled) -> tuple[Answer, tuple[Mapping[str, str], str]]:
        """A token for a device, and what it sent."""
        assertion = device.key.assertion(device.client_id, self.issuer, now=self.clock())
        proof = device.key.proof("POST", f"{self.issuer}/token", now=self.clock())
        form = token_form(device.client_id, assertion)
        return self.post("/token", form=form, headers={"DPoP": proof}), (form, proof)

    def introspect(self, token: str) -> Answer:
        """Ask whether a token is still good."""
        headers = {"Authorization": f"Bearer {self.managing()}"}
        return self.post("/introspect", form={"token": token}, headers=headers)


def outcome_of(answer: Answer) -> Outcome:
    """What an answer comes to. 503 is right only in the one form that the contract has for it."""
    if answer.status in (200, 201, 204):
        return Outcome.DONE
    if answer.status == 503 and answer.json["error"] == "temporarily_unavailable":
        return Outcome.PUT_OFF if int(answer.headers.get("Retry-After", "0")) > 0 else Outcome.BROKEN
    return Outcome.REFUSED if 400 <= answer.status < 500 else Outcome.BROKEN
