"""Afterwards: whether everything that was told as done is there, and nothing that was used up can be used again."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from tests import oracle
from tests.devices import DeviceKey
from tests.faults.site import Enrolled, Site
from tests.served import Answer, ask, exchange_form

PATIENCE: Final = 20.0
"""Seconds in which a node that was away may answer again."""


def lost(site: Site) -> list[str]:
    """What was told and is not so, in words."""
    return [sentence for look in (_devices, _codes, _uses, _revocations, _keys) for sentence in look(site)]


def _devices(site: Site) -> Iterator[str]:
    for device in site.told.devices:
        if _answered(partial(_device_token, site, device)).status != 200:
            yield f"the device {device.client_id}, which was told 201, gets no token"


def _device_token(site: Site, device: Enrolled) -> Answer:
    return site.device_token(device)[0]


def _codes(site: Site) -> Iterator[str]:
    for device in site.told.devices:
        if _answered(partial(site.register, DeviceKey(), device.code)).status != 401:
            yield f"the code that {device.client_id} used up can be used again"


def _uses(site: Site) -> Iterator[str]:
    for token in site.told.used:
        if _answered(partial(site.post, "/token", form=exchange_form(token))).status == 200:
            yield "an identity token that was used can be used again"
    for form, proof in site.told.spent:
        again = partial(site.post, "/token", form=form, headers={"DPoP": proof})
        if _answered(again).status == 200:
            yield "what a device has spent can be spent again"


def _revocations(site: Site) -> Iterator[str]:
    for token in site.told.revoked:
        answer = _answered(partial(site.introspect, token))
        if answer.status != 200 or answer.json["active"]:
            yield "a token that was taken back is active"


def _keys(site: Site) -> Iterator[str]:
    for node in site.nodes:
        answer = _answered(partial(ask, "GET", f"{node}/.well-known/jwks.json"))
        missing = site.told.key_ids - {key["kid"] for key in answer.json["keys"]}
        if missing:
            yield f"{node} no longer shows {len(missing)} keys that verifiers were shown"
        for token in list(site.told.tokens)[-20:]:
            oracle.read(token, answer.json)  # or joserfc says that it is not good


def _answered(ask_once: Callable[[], Answer]) -> Answer:
    """The answer, once nobody puts it off any more."""
    deadline = time.monotonic() + PATIENCE
    while (answer := ask_once()).status == 503 and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer
