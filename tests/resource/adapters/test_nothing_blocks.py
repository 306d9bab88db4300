"""No event loop is ever held: while one request waits, others are answered."""

import asyncio
import threading
from typing import Any

import pytest

from authserver.resource import ReplayMemory
from authserver.testing import FakeIssuer
from tests.resource.adapters.conftest import ADAPTERS
from tests.resource.adapters.views import Make
from tests.resource.adapters.wire import Call, ask_asgi, over_asgi
from tests.resource.calls import Device

ASYNCHRONOUS = ("plain", "starlette", "fastapi", "django-async")


@pytest.fixture(params=ASYNCHRONOUS)
def make(request: pytest.FixtureRequest, settings: dict[str, Any]) -> Make:
    makes, _ = ADAPTERS[request.param]
    return lambda **options: makes(**{**settings, **options})


def statuses_while_it_waits(app: over_asgi, slow: Call, started: Any, go_on: Any) -> tuple[int, bool, int]:
    """The status of another request meanwhile, whether the slow one still waited then, and what came of it."""

    async def both() -> tuple[int, bool, int]:
        await ask_asgi(app.app, Call(target="/open"))  # frameworks prepare themselves with the first request
        waiting = asyncio.create_task(ask_asgi(app.app, slow))
        while not started() and not waiting.done():
            await asyncio.sleep(0)
        other = await ask_asgi(app.app, Call(target="/open"))
        still = not waiting.done()
        go_on()
        return other.status, still, (await waiting).status

    return asyncio.run(both(), debug=True)


def test_a_key_set_that_hangs_holds_only_who_needs_it(make: Make, issuer: FakeIssuer, bearer: tuple[str, str]) -> None:
    """Issue criterion 3"""
    app = make()
    assert isinstance(app, over_asgi)
    issuer.hang()
    waited = statuses_while_it_waits(app, Call(headers=[bearer]), lambda: issuer.requests, issuer.up)
    assert waited == (200, True, 200)


class HangingStore:
    """Remembers used proofs, as slowly as a disk that is full."""

    def __init__(self) -> None:
        self.asked, self.gate = threading.Event(), threading.Event()
        self._memory = ReplayMemory()

    def use_once(self, *args: Any, **kwargs: Any) -> Any:
        self.asked.set()
        self.gate.wait(10)
        return self._memory.use_once(*args, **kwargs)


def test_a_store_that_hangs_holds_only_who_needs_it(make: Make, phone: Device, bearer: tuple[str, str]) -> None:
    store = HangingStore()
    app = make(replay=store)
    assert isinstance(app, over_asgi)
    assert app(Call(headers=[bearer])).status == 200  # the keys are known now
    slow = Call(headers=list(phone.headers().items()))
    assert statuses_while_it_waits(app, slow, store.asked.is_set, store.gate.set) == (200, True, 200)
