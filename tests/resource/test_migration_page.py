"""The page on migrating, followed with the real flask-jwt-extended: after each step all are served who should be."""

import datetime
from collections.abc import Iterator, Mapping
from typing import Any, Final

import flask_jwt_extended
import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserver.testing import FakeIssuer
from tests import leaks
from tests.house.pages import blocks
from tests.house.tree import ROOT
from tests.resource.adapters.wire import Call, over_asgi
from tests.resource.environment import AUDIENCE

SECRET: Final = "a secret of at least thirty-two bytes for HS256"
BLOCKS: Final = {
    block.text.partition("\n")[0].removeprefix("# "): block
    for block in blocks(ROOT / "docs/how-to/migrate-to-authserver.md", "python")
}


@pytest.fixture
def issuer() -> Iterator[FakeIssuer]:
    with FakeIssuer() as issuer:
        yield issuer


def program(file: str, issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names of a module of the page, for whose issuer there is the fake one."""
    monkeypatch.setenv("JWT_SECRET_KEY", SECRET)
    block = BLOCKS[file]
    names: dict[str, Any] = {"__name__": file.removesuffix(".py")}
    exec(compile(block.text.replace("https://auth.example.com", issuer.issuer), block.where, "exec"), names)
    return names


def old_token(app: Flask, *, refresh: bool = False, **options: Any) -> str:
    """A token as flask-jwt-extended makes it."""
    make = flask_jwt_extended.create_refresh_token if refresh else flask_jwt_extended.create_access_token
    with app.app_context():
        return leaks.handled(make(identity="alice", **options))


def listing(client: FlaskClient, token: str) -> tuple[int, Mapping[str, Any]]:
    answer = client.get("/images", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.json or {}


def deletion(client: FlaskClient, token: str) -> int:
    return client.delete("/images/cat", headers={"Authorization": f"Bearer {token}"}).status_code


def test_every_step_serves_whom_it_should(issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    before, both, after = (program(file, issuer, monkeypatch) for file in ("before.py", "both.py", "after.py"))
    reader = old_token(before["app"])
    editor = old_token(before["app"], additional_claims={"role": "editor"})
    ours = issuer.access_token(AUDIENCE, "images:read", sub="prod:thumbnailer")
    our_editor = issuer.access_token(AUDIENCE, "images:write")

    client = before["app"].test_client()
    assert listing(client, reader) == (200, {"caller": "alice"})
    assert (deletion(client, reader), deletion(client, editor)) == (403, 204)
    assert listing(client, ours)[0] in (401, 422)

    client = both["app"].test_client()
    assert listing(client, reader) == (200, {"caller": "alice"})
    assert (deletion(client, reader), deletion(client, editor)) == (403, 204)
    assert listing(client, ours) == (200, {"caller": "prod:thumbnailer"})
    assert (deletion(client, ours), deletion(client, our_editor)) == (403, 204)
    assert (both["api"].accepted.legacy, both["api"].accepted.current) == (3, 3)

    client = after["app"].test_client()
    assert listing(client, reader)[0] == 401
    assert listing(client, ours) == (200, {"caller": "prod:thumbnailer"})
    assert (deletion(client, ours), deletion(client, our_editor)) == (403, 204)


def test_while_both_are_taken_bad_tokens_of_both_kinds_are_refused(
    issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = program("both.py", issuer, monkeypatch)
    app, client = both["app"], both["app"].test_client()
    bad = {
        "a refresh token": old_token(app, refresh=True),
        "an expired one": old_token(app, expires_delta=datetime.timedelta(seconds=-100)),
        "one by another secret": leaks.handled(jwt.encode({"sub": "eve", "type": "access"}, SECRET[::-1])),
        "ours, expired": issuer.access_token(AUDIENCE, "images:read", expired=True),
        "ours, for another API": issuer.access_token("https://other.example.com", "images:read"),
        "ours, bound to a key": issuer.access_token(AUDIENCE, "images:read", cnf={"jkt": "x" * 43}),
        "with our name and the old secret": leaks.handled(
            jwt.encode({"iss": issuer.issuer, "sub": "eve", "type": "access", "exp": 2**32}, SECRET)
        ),
    }
    assert {name: listing(client, token)[0] for name, token in bad.items()} == dict.fromkeys(bad, 401)
    assert both["api"].accepted.legacy == 0


def test_the_steps_are_the_same_for_a_check_written_by_hand(
    issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = leaks.handled(jwt.encode({"sub": "alice", "exp": 2**32}, SECRET))
    endless = leaks.handled(jwt.encode({"sub": "alice"}, SECRET))
    ours = issuer.access_token(AUDIENCE, "images:read", sub="prod:thumbnailer")
    outcomes = {}
    for file in ("by_hand.py", "by_hand_both.py"):
        ask = over_asgi(program(file, issuer, monkeypatch)["app"])
        outcomes[file] = [
            ask(Call(headers=(("Authorization", f"Bearer {token}"),))).status for token in (old, endless, ours)
        ]
    assert outcomes == {"by_hand.py": [200, 200, 401], "by_hand_both.py": [200, 401, 200]}
