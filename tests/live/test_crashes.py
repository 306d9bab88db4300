"""``kill -9`` at random instants, of a worker and of everything: the ring is whole, and no lost key ever signs."""

import contextlib
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
import urllib3

from authserver.testing import FakeIssuer
from tests import leaks
from tests.live.test_rotation import SHORT, CachingVerifier, keys
from tests.served import AUDIENCE, Server, ask, serving, write_configuration

pytestmark = pytest.mark.slow


def test_workers_are_killed_and_no_token_is_refused(tmp_path: Path, cluster: FakeIssuer) -> None:
    dice = random.Random(20261121)
    with serving(tmp_path, cluster=cluster.issuer, workers=3, **SHORT) as server:
        verifier = CachingVerifier(server.url)
        for _ in range(12):
            with contextlib.suppress(ProcessLookupError):
                os.kill(dice.choice(server.workers()), signal.SIGKILL)
            for _ in range(dice.randrange(5, 40)):
                with contextlib.suppress(urllib3.exceptions.HTTPError):
                    answer = server.token(leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE)))
                    assert answer.status == 200
                    verifier.verify(answer.json["access_token"])
            assert_whole(server)


def test_the_whole_server_is_killed_and_comes_back_with_every_key(tmp_path: Path, cluster: FakeIssuer) -> None:
    dice = random.Random(20261122)
    configuration = write_configuration(tmp_path, cluster=cluster.issuer, workers=2, **SHORT)
    published: set[str] = set()
    for _ in range(8):
        with Server(configuration) as server:
            verifier = CachingVerifier(server.url)
            stop = threading.Event()
            traffic = threading.Thread(target=keep_asking, args=(server, cluster, stop))
            traffic.start()
            try:
                shown = {key["kid"] for key in ask("GET", f"{server.url}/.well-known/jwks.json").json["keys"]}
                assert published <= shown, "a key that verifiers were shown is gone"
                answer = server.token(leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE)))
                assert answer.status == 200
                header, _ = verifier.verify(answer.json["access_token"])
                assert header["kid"] in shown
                published |= shown
                time.sleep(dice.uniform(0.0, 1.5))
                server.kill()
            finally:
                stop.set()
                traffic.join(30)
        assert_whole(server)


def keep_asking(server: Server, cluster: FakeIssuer, stop: threading.Event) -> None:
    """Traffic that does not mind a server that dies."""
    while not stop.is_set():
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            server.token(leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE)))


def assert_whole(server: Server) -> None:
    """The stored ring reads, unwraps, and has one active and one next key."""
    states = [entry["state"] for entry in keys(server, "list")]
    assert states.count("active") == 1
    assert states.count("next") == 1
