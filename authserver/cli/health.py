"""``authserver health``: whether a server answers, for who starts and restarts it and has no other program at hand."""

import contextlib
import http.client
import json
import ssl
from typing import Final
from urllib.parse import SplitResult, urlsplit

import click

from authserver.cli.output import fail

TIMEOUT: Final = 3.0
"""Seconds that a server may take to answer."""

_LONGEST_ANSWER: Final = 64 * 1024


@click.command()
@click.option(
    "--url",
    default="http://127.0.0.1:8400",
    show_default=True,
    help="Where the server listens, with the path of its issuer if that has one.",
)
@click.option("--ready", is_flag=True, help="Ask whether tokens can be issued, and not only whether it answers.")
def health(url: str, ready: bool) -> None:
    """Ask a server how it is, and say so by the exit code.

    It asks /livez, or with --ready /readyz. No configuration is read and no proxy is used. With https no certificate is
    judged, because it names the issuer and not the address that the server listens on: nothing secret is asked or sent.

    Exit codes: 0 it is well, 1 it is not or does not answer, 2 usage.
    """
    parts = _parts(url)
    try:
        status, said = _ask(_connection(parts), parts.path.rstrip("/") + ("/readyz" if ready else "/livez"))
    except (OSError, http.client.HTTPException, ValueError) as error:
        fail(f"no answer: {error}")
    if status != http.client.OK:
        fail(f"{status} {said}")
    click.echo(said)


def _parts(url: str) -> SplitResult:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    raise click.BadParameter("It is not the http or https address that the server listens on.", param_hint="--url")


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT, context=context)


def _ask(asked: http.client.HTTPConnection, path: str) -> tuple[int, str]:
    """The status of the answer, and what its body says in a few words."""
    with contextlib.closing(asked) as connection:
        connection.request("GET", path, headers={"Connection": "close"})
        with connection.getresponse() as response:
            body = json.loads(response.read(_LONGEST_ANSWER))
    if not isinstance(body, dict) or "status" not in body:
        raise ValueError("what answered is no authserver")
    degraded = ", ".join(body.get("degraded", ()))
    return response.status, f"{body['status']}: {degraded}" if degraded else str(body["status"])
