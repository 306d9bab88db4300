"""Keys come and go while a client calls three resource servers, one of each framework."""

from authserver.testing import FakeIssuer, FrozenClock
from tests.resource.adapters.views import Make
from tests.resource.adapters.wire import Call
from tests.resource.environment import AUDIENCE

LIFETIME = 301
"""Seconds after which nobody uses the keys any more that the issuer named before; it says nothing of caching."""

ATTEMPTS = 2000
"""How often all servers are called until they have refreshed, which calling them makes them do."""


def test_keys_rotate_and_are_withdrawn_and_nobody_is_refused_who_should_not_be(
    make_all: dict[str, Make], issuer: FakeIssuer, clock: FrozenClock
) -> None:
    """Issue criterion 5; R93"""
    apps = [make_all[name]() for name in ("flask", "fastapi", "django-sync")]

    def token() -> str:
        return issuer.access_token(AUDIENCE, "images:read", exp=int(clock()) + 3000)

    def statuses(token: str) -> set[int]:
        return {app(Call(headers=[("Authorization", f"Bearer {token}")])).status for app in apps}

    for _ in range(3):
        old, retiring, fetches = token(), issuer.key, issuer.fetches
        assert statuses(old) == {200}
        issuer.rotate()  # published ahead: nobody has a token that was signed with it
        clock.advance(LIFETIME)
        for _ in range(ATTEMPTS):
            assert statuses(old) == {200}
            if issuer.fetches >= fetches + len(apps):
                break
        new = token()
        assert statuses(new) == statuses(old) == {200}
        issuer.withdraw(retiring.kid)
        clock.advance(LIFETIME)
        for _ in range(ATTEMPTS):
            assert statuses(new) == {200}
            if statuses(old) == {401}:
                break
        assert statuses(old) == {401}
