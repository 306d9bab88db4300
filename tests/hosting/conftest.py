"""Both hosts of one server in this process, each asked through WSGI with an environment made by hand."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final
from wsgiref.types import WSGIApplication

import pytest

from authserver.hosting.doorway import Doorway
from authserver.hosting.flask import create_app
from authserver.server import Service, build, prepare
from authserver.settings import load
from authserver.testing import FakeIssuer, FrozenClock
from tests import leaks
from tests.served import AUDIENCE, write_configuration

Host = Callable[[Service], WSGIApplication]

HOSTS: Final[dict[str, Host]] = {"flask": create_app, "doorway": Doorway}
PAGE: Final = "https://app.example.com"
PROXY: Final = "10.1.2.3"
FORM: Final = "application/x-www-form-urlencoded"


@dataclass
class Answered:
    """What a host has answered."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """The one value of a header, or None."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1
        return values[0] if values else None


@dataclass
class World:
    """A service and what it wrote down."""

    service: Service
    issuer: str
    identity: str = field(repr=False)
    audit: io.BytesIO = field(repr=False)

    @property
    def events(self) -> int:
        """How many audit events there are by now."""
        return self.audit.getvalue().count(b"\n")

    def counted(self, **labels: str) -> float:
        """How many requests with these labels were counted by now."""
        lines = self.service.telemetry.render().decode().splitlines()
        wanted = [f'{name}="{value}"' for name, value in labels.items()]
        counted = [line for line in lines if line.startswith("authserver_http_requests_total{")]
        return sum(float(line.rpartition(" ")[2]) for line in counted if all(label in line for label in wanted))


def environ(method: str, path: str, body: bytes | None = None, **more: Any) -> dict[str, Any]:
    """An environment as PEP 3333 has it; a variable that is None in ``more`` is left out."""
    made = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "auth.example.com",
        "SERVER_PORT": "8400",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "auth.example.com",
        "REMOTE_ADDR": "192.0.2.7",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body or b""),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if body is not None:
        made |= {"CONTENT_TYPE": FORM, "CONTENT_LENGTH": str(len(body))}
    return {name: value for name, value in {**made, **more}.items() if value is not None}


def ask(host: WSGIApplication, asked: dict[str, Any]) -> Answered:
    """What a host answers."""
    told: list[tuple[str, list[tuple[str, str]]]] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: object = None, /) -> Callable[[bytes], object]:
        assert exc_info is None
        told.append((status, headers))
        return lambda _: None

    answer = host(asked, start)
    body = b"".join(answer)
    if hasattr(answer, "close"):
        answer.close()
    ((status, headers),) = told
    return Answered(status, headers, body)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., World]]:
    """Make a world of its own settings, once in a module."""
    made: dict[str, World] = {}
    clock = FrozenClock()
    with FakeIssuer(clock=clock) as cluster:
        identity = leaks.handled(cluster.kubernetes_token("media", "thumbnailer", AUDIENCE))

        def make(issuer: str = AUDIENCE, server: str = "") -> World:
            if issuer + server not in made:
                only_es256: dict[str, Any] = {"keys": 'algorithms = ["ES256"]', "reports": ""}
                folder = tmp_path_factory.mktemp("world")
                file = write_configuration(folder, cluster=cluster.issuer, issuer=issuer, server=server, **only_es256)
                settings, audit = load(file), io.BytesIO()
                keys = prepare(settings, clock=clock)
                built = build(settings, master_keys=keys, clock=clock, audit_stream=audit)
                # No background work: its thread uses `random`, of which hypothesis thinks that a strategy does.
                made[issuer + server] = World(replace(built, housekeeping=()), issuer, identity, audit)
            return made[issuer + server]

        yield make
        for world in made.values():
            world.service.close()
            assert leaks.find(world.audit.getvalue().decode()) is None


@pytest.fixture
def world(worlds: Callable[..., World]) -> World:
    """The usual one, which believes a proxy."""
    return worlds(server='trusted_proxies = ["10.0.0.0/8"]')


@pytest.fixture
def below(worlds: Callable[..., World]) -> World:
    """One whose issuer has a path, and which pages of an origin may use."""
    return worlds("https://example.com/auth", f'allowed_origins = ["{PAGE}"]')


@pytest.fixture(params=HOSTS)
def hosted(request: pytest.FixtureRequest) -> Host:
    """Each of the hosts."""
    return HOSTS[request.param]


@pytest.fixture
def host(hosted: Host, world: World) -> WSGIApplication:
    """Each host of the usual world."""
    return hosted(world.service)
