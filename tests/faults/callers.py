"""Those who may have what they ask for: workloads, devices, backends, resource servers."""

import random
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final

import urllib3

from authserver.errors import CredentialRejected, Unavailable
from authserver.resource import AccessTokenVerifier
from tests import leaks
from tests.devices import DeviceKey
from tests.faults.site import ONCE, Enrolled, Site, outcome_of
from tests.faults.traffic import Kind, Outcome
from tests.served import IMAGES, ask, exchange_form


class SiteCaller(ABC):
    """Somebody who calls at a site. A connection that breaks is no answer."""

    kind: ClassVar[Kind]
    is_hostile: ClassVar[bool] = False

    def __init__(self, site: Site) -> None:
        self.site = site
        self.told = site.told

    def act(self) -> Outcome:
        """Call once."""
        try:
            return self.call()
        except urllib3.exceptions.HTTPError:
            return Outcome.UNANSWERED

    @abstractmethod
    def call(self) -> Outcome:
        """What the call is."""


class Workload(SiteCaller):
    kind = Kind.WORKLOAD

    def call(self) -> Outcome:
        answer = self.site.post("/token", form=exchange_form(self.site.workload()))
        if answer.status == 200:
            self.told.tokens.append(answer.json["access_token"])
        return outcome_of(answer)


class SingleUse(SiteCaller):
    kind = Kind.SINGLE_USE

    def call(self) -> Outcome:
        token = leaks.handled(self.site.identities.identity_token(ONCE))
        answer = self.site.post("/token", form=exchange_form(token))
        if answer.status == 200:
            self.told.used.append(token)
        return outcome_of(answer)


class Device(SiteCaller):
    kind = Kind.DEVICE

    def call(self) -> Outcome:
        answer, sent = self.site.device_token(random.choice(self.told.devices[:20]))
        if answer.status == 200:
            self.told.spent.append(sent)
        return outcome_of(answer)


class Enrolment(SiteCaller):
    """A backend that invites devices, and the devices, each of which goes on with its code until it is answered."""

    kind = Kind.ENROLMENT
    _waiting: tuple[str, DeviceKey] | None = None

    def call(self) -> Outcome:
        if self._waiting is None:
            invited = self.site.invite()
            if invited.status != 201:
                return outcome_of(invited)
            self._waiting = (leaks.handled(invited.json["code"]), DeviceKey())
        code, key = self._waiting
        answer = self.site.register(key, code)
        if answer.status == 201:
            self.told.devices.append(Enrolled(code, key, answer.json["client_id"]))
        if answer.status != 503:
            self._waiting = None
        return outcome_of(answer)


class Introspection(SiteCaller):
    kind = Kind.INTROSPECTION

    def call(self) -> Outcome:
        answer = self.site.introspect(random.choice(self.told.tokens))
        return outcome_of(answer) if answer.status != 200 or answer.json["active"] else Outcome.REFUSED


class Revocation(SiteCaller):
    kind = Kind.REVOCATION
    _token: str | None = None

    def call(self) -> Outcome:
        if self._token is None:
            had = self.site.post("/token", form=exchange_form(self.site.workload()))
            if had.status != 200:
                return outcome_of(had)
            self._token = had.json["access_token"]
        answer = self.site.post("/revoke", form={"token": self._token})
        if answer.status == 200:
            self.told.revoked.append(self._token)
            self._token = None
        return outcome_of(answer)


class Verification(SiteCaller):
    """A resource server, which is asked all the time."""

    kind = Kind.VERIFICATION

    def __init__(self, site: Site, **options: Any) -> None:
        super().__init__(site)
        options = {"jwks_url": f"{site.nodes[0]}/.well-known/jwks.json", "clock": site.clock, **options}
        self._verifier = AccessTokenVerifier(issuer=site.issuer, audience=IMAGES, **options)

    def call(self) -> Outcome:
        try:
            self._verifier.verify(random.choice(self.told.tokens))
        except CredentialRejected:
            return Outcome.REFUSED
        except Unavailable:
            return Outcome.PUT_OFF
        return Outcome.DONE


class KeySet(SiteCaller):
    """A resource server that has just started, and fetches the keys of a node, none of which may ever be gone."""

    kind = Kind.VERIFICATION

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._shown: dict[str, set[str]] = {}

    def call(self) -> Outcome:
        node = self.site.node()
        answer = ask("GET", f"{node}/.well-known/jwks.json")
        if answer.status != 200:
            return outcome_of(answer)
        shown = {key["kid"] for key in answer.json["keys"]}
        before, self._shown[node] = self._shown.get(node, set()), shown
        self.told.key_ids |= shown
        return Outcome.DONE if before <= shown else Outcome.REFUSED


LEGITIMATE: Final = (Workload, SingleUse, Device, Enrolment, Introspection, Revocation)
"""All but resource servers."""
