"""Two servers on one store, as a user runs them: what one of them revokes, the other calls inactive at once."""

from pathlib import Path

import pytest

from authserver.testing import FakeIssuer
from tests import leaks
from tests.served import AUDIENCE, IMAGES, Answer, Server, ask, exchange_form, free_port, write_configuration

pytestmark = pytest.mark.slow

RULE = """
[[allow]]
name = "images-asks"
source = "cluster"
match = {{ namespace = "media", service_account = "images" }}
resource = "{issuer}"
scope = ["introspect:images"]
"""


def introspect(server: Server, caller: str, token: str) -> Answer:
    """Ask one of the servers about a token."""
    headers = {"Authorization": f"Bearer {caller}"}
    return ask("POST", f"{server.url}/introspect", form={"token": token}, headers=headers)


def test_what_one_server_revokes_is_inactive_at_the_other_at_once(tmp_path: Path, cluster: FakeIssuer) -> None:
    """R75, R79"""
    port, other_port = free_port(), free_port()
    issuer = f"http://127.0.0.1:{port}"
    configuration = write_configuration(
        tmp_path,
        cluster=cluster.issuer,
        port=port,
        keys='algorithms = ["ES256"]',
        reports="",
        more=RULE.format(issuer=issuer),
    )
    second = Server(configuration, "--bind", f"127.0.0.1:{other_port}")
    second.url = f"http://127.0.0.1:{other_port}"
    with Server(configuration) as first, second:

        def token_of(account: str, **changes: str) -> str:
            identity = leaks.handled(cluster.kubernetes_token("media", account, AUDIENCE))
            answer = ask("POST", f"{first.url}/token", form=exchange_form(identity, **changes))
            assert answer.status == 200, answer.json["error"]
            return str(answer.json["access_token"])

        caller = token_of("images", resource=issuer, scope="introspect:images")
        for number in range(5):
            token = token_of("thumbnailer")
            here, there = (first, second) if number % 2 else (second, first)
            assert introspect(there, caller, token).json["aud"] == IMAGES
            assert ask("POST", f"{here.url}/revoke", form={"token": token}).status == 200
            for server in (there, here):
                answer = introspect(server, caller, token)
                assert (answer.status, answer.body) == (200, b'{"active":false}')
        assert ask("POST", f"{second.url}/revoke", form={"token": caller}).status == 200
        assert introspect(first, caller, "x").status == 401
