"""The whole application in this process, asked through WSGI."""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from werkzeug.test import Client, EnvironBuilder

from authserver.hosting.doorway import Doorway
from authserver.identity.aws.sts import Forward
from authserver.keys.wrapping import MasterKeys
from authserver.server import Service, build, prepare
from authserver.server.signed_requests import forward_to_sts
from authserver.settings import Settings, load
from authserver.store.sqlite import SqliteStore
from authserver.testing import FakeIssuer, FrozenClock
from tests import leaks
from tests.served import AUDIENCE, Answer, write_configuration

FORM = "application/x-www-form-urlencoded"


@dataclass
class Application:
    """The application, its clock, and what it wrote to the audit log."""

    service: Service
    client: Client
    clock: FrozenClock
    audit: io.BytesIO = field(repr=False)
    issuer: str = ""

    def post(
        self,
        form: Mapping[str, str] | Sequence[tuple[str, str]] | bytes,
        *,
        headers: Sequence[tuple[str, str]] = (),
        query: str = "",
        content_type: str | None = FORM,
        peer: str = "127.0.0.1",
    ) -> Answer:
        """``POST /token``."""
        body = form if isinstance(form, bytes) else urlencode(form).encode()
        return self.ask("POST", "/token", body=body, headers=headers, query=query, content_type=content_type, peer=peer)

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
        query: str = "",
        content_type: str | None = None,
        peer: str = "127.0.0.1",
    ) -> Answer:
        """Any request."""
        builder = EnvironBuilder(
            path,
            method=method,
            data=body,
            headers=list(headers),
            query_string=query,
            content_type=content_type,
            environ_base={"REMOTE_ADDR": peer},
        )
        response = self.client.open(builder)
        answer = Answer(response.status_code, dict(response.headers), response.data)
        if b"access_token" in answer.body:
            leaks.handled(str(answer.json.get("access_token", "")))
        return answer

    @property
    def sqlite(self) -> SqliteStore:
        """The store, which is one in a file."""
        assert isinstance(self.service.store, SqliteStore)
        return self.service.store

    @property
    def events(self) -> list[dict[str, Any]]:
        """The audit events so far."""
        return [json.loads(line) for line in self.audit.getvalue().splitlines()]

    @property
    def reason(self) -> str | None:
        """Why the last decision was a refusal."""
        return self.events[-1].get("reason")


MakeApplication = Callable[..., Application]


_STORES: Final[dict[str, tuple[bytes, bytes]]] = {}
"""Stores as they are when their first ring was made, each with its master key: making RSA keys takes its time."""


def prepared(settings: Settings, clock: FrozenClock) -> MasterKeys:
    """What :func:`authserver.server.prepare` gives, from a copy of what it made for the same settings before."""
    key = Path(settings.master_key.file or "")
    made_of = repr((settings.server.issuer, settings.server.clock_skew, settings.keys, clock()))
    known = _STORES.get(made_of)
    if known is not None and not settings.store_path.exists() and not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True)
        for path, content in zip((settings.store_path, key), known, strict=True):
            path.write_bytes(content)
            path.chmod(0o600)
    fresh = not settings.store_path.exists()
    master_keys = prepare(settings, clock=clock)
    if fresh and key.is_file():
        _STORES[made_of] = settings.store_path.read_bytes(), key.read_bytes()
    return master_keys


@pytest.fixture
def clock() -> FrozenClock:
    """The time of every test."""
    return FrozenClock()


@pytest.fixture
def cluster(clock: FrozenClock) -> Iterator[FakeIssuer]:
    """The issuer of identities."""
    with FakeIssuer(clock=clock) as issuer:
        yield issuer


@pytest.fixture
def make_application(tmp_path: Path, cluster: FakeIssuer, clock: FrozenClock) -> Iterator[MakeApplication]:
    """Make an application; settings are those of ``write_configuration``."""
    made: list[Application] = []

    def make(*, folder: str = "", forward: Forward = forward_to_sts, **settings: Any) -> Application:
        place = tmp_path / (folder or str(len(made)))
        loaded = load(write_configuration(place, cluster=cluster.issuer, **{"issuer": AUDIENCE, **settings}))
        # A second one in the same test is another server, with keys of its own.
        master_keys = prepare(loaded, clock=clock) if made else prepared(loaded, clock)
        audit = io.BytesIO()
        service = build(loaded, master_keys=master_keys, clock=clock, audit_stream=audit, forward=forward)
        made.append(Application(service, Client(Doorway(service)), clock, audit, loaded.server.issuer))
        return made[-1]

    yield make
    for application in made:
        application.service.close()
        leak = leaks.find(application.audit.getvalue().decode())
        assert leak is None, f"the audit log holds {leak}"


@pytest.fixture
def application(make_application: MakeApplication) -> Application:
    """An application with the usual settings."""
    return make_application()


@pytest.fixture
def identity(cluster: FakeIssuer) -> str:
    """The identity token of a service account that two rules admit."""
    return leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))
