"""Callers and the real server, which restarts while their token has to be renewed."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from flask import Flask

from authserver.client import AsyncTokenClient, Offer, TokenClient
from authserver.oauth import Grant
from authserver.resource.flask import ResourceServer
from authserver.testing import FakeIssuer
from tests import leaks
from tests.house.tree import ROOT
from tests.resource import live
from tests.served import AUDIENCE, IMAGES, Server, free_port, write_configuration

pytestmark = pytest.mark.slow

PATIENCE = 30.0


class Pod:
    """What vouches for a workload in Kubernetes: a token that is renewed behind its back."""

    name = "cluster"

    def __init__(self, cluster: FakeIssuer) -> None:
        self._cluster = cluster

    def present(self) -> bool:
        return True

    def offer(self, now: float) -> Offer:
        assert now > 0
        return Offer(Grant.JWT_BEARER, {"assertion": identity(self._cluster)})


def identity(cluster: FakeIssuer) -> str:
    return leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))


@pytest.fixture
def cluster() -> Iterator[FakeIssuer]:
    with FakeIssuer() as made:
        yield made


@pytest.fixture
def server(tmp_path: Path, cluster: FakeIssuer) -> Server:
    return Server(write_configuration(tmp_path / "server", cluster=cluster.issuer, port=free_port()))


@pytest.fixture
def api(server: Server) -> Iterator[str]:
    app = Flask("images")
    images = ResourceServer(issuer=str(server.url), audience=IMAGES)

    @app.get("/images")
    @images.requires("images:read")
    def caller() -> dict[str, str]:
        return {"caller": images.token.subject}

    with live.serving(app) as port:
        yield f"http://127.0.0.1:{port}/images"


class Shift:
    """A clock that a test moves on."""

    def __init__(self) -> None:
        self.by = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.by


def until(happened: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not happened() and time.monotonic() < give_up:
        time.sleep(0.02)
    assert happened()


def test_no_caller_notices_that_the_server_restarts_while_the_token_is_renewed(
    server: Server, api: str, cluster: FakeIssuer
) -> None:
    """Contract section 5: the client keeps its token until it expires, and retries ahead of time."""
    shift = Shift()
    client = TokenClient(
        issuer=str(server.url), resource=IMAGES, scope="images:read", identity=Pod(cluster), uptime=shift
    )
    statuses, stop = list[int](), threading.Event()

    def calling() -> None:
        with requests.Session() as session:
            session.auth = client.auth()
            while not stop.is_set():
                statuses.append(session.get(api, timeout=PATIENCE).status_code)

    with server:
        threads = [threading.Thread(target=calling) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(statuses) > 20)
        old = client.get_token()
        server.stop()
        shift.by = 0.9 * 3600  # the token is to be renewed now, and there is nobody to renew it
        seen = len(statuses)
        until(lambda: len(statuses) > seen + 20)
        assert client.get_token() == old
        server.start()
        until(lambda: client.get_token() != old)
        seen = len(statuses)
        until(lambda: len(statuses) > seen + 20)
        stop.set()
        for thread in threads:
            thread.join()
        issued = [event for event in server.events() if event["outcome"] == "issued"]
    assert set(statuses) == {200}
    assert len(issued) == 2


def test_tasks_get_what_threads_get(server: Server, cluster: FakeIssuer) -> None:
    client = AsyncTokenClient(issuer=str(server.url), resource=IMAGES, scope="images:read", identity=Pod(cluster))

    async def all_at_once() -> list[str]:
        return await asyncio.gather(*(client.get_token() for _ in range(100)))

    with server:
        (token,) = set(asyncio.run(all_at_once()))
        leaks.handled(token)
        assert len([event for event in server.events() if event["outcome"] == "issued"]) == 1


def test_the_example_calls_an_api_with_whatever_vouches_for_it(
    server: Server, api: str, cluster: FakeIssuer, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(identity(cluster), encoding="ascii")
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("AUTHSERVER_", "KUBERNETES_"))}
    environment = {
        **mine,
        "PYTHONPATH": str(ROOT),
        "AUTHSERVER_IDENTITY_TOKEN_FILE": str(token),
        "ISSUER": str(server.url),
        "API": api,
    }
    with server:
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples" / "client.py")],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 0, leaks.find(done.stderr) or done.stderr
    assert done.stdout.startswith('200 {"caller":"cluster:system:serviceaccount:media:thumbnailer"}')
