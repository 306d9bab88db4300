"""Those who must not have what they ask for, whatever fails."""

import random
from typing import Final

from tests import leaks
from tests.devices import DeviceKey
from tests.faults.callers import SiteCaller
from tests.faults.site import outcome_of
from tests.faults.traffic import Kind, Outcome
from tests.served import exchange_form


class Hostile(SiteCaller):
    """Somebody who must not succeed. Where there is nothing to steal, it is a token with a broken signature."""

    is_hostile = True


class Replay(Hostile):
    kind = Kind.SINGLE_USE

    def call(self) -> Outcome:
        token = random.choice(self.told.used or [self.site.workload()[:-4]])
        return outcome_of(self.site.post("/token", form=exchange_form(token)))


class DeviceReplay(Hostile):
    kind = Kind.DEVICE

    def call(self) -> Outcome:
        form, proof = random.choice(self.told.spent)
        return outcome_of(self.site.post("/token", form=form, headers={"DPoP": proof}))


class UsedCode(Hostile):
    kind = Kind.ENROLMENT

    def call(self) -> Outcome:
        return outcome_of(self.site.register(DeviceKey(), random.choice(self.told.devices).code))


class Forger(Hostile):
    kind = Kind.WORKLOAD

    def call(self) -> Outcome:
        head, _, signature = self.site.workload().rpartition(".")
        turned = signature[:8] + ("A" if signature[8] != "A" else "B") + signature[9:]
        return outcome_of(self.site.post("/token", form=exchange_form(leaks.handled(f"{head}.{turned}"))))


class RevokedToken(Hostile):
    kind = Kind.INTROSPECTION

    def call(self) -> Outcome:
        answer = self.site.introspect(random.choice(self.told.revoked or [self.told.tokens[0][:-4]]))
        return outcome_of(answer) if answer.status != 200 or answer.json["active"] else Outcome.REFUSED


HOSTILE: Final = (Replay, DeviceReplay, UsedCode, Forger, RevokedToken)
