"""``authserver token``: an access token for scripts, from whatever vouches for them.

Needs the extra ``cli`` and nothing of the server.
"""

import json
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import click

from authserver.cli.issuer import issuer_option
from authserver.cli.output import fail, json_option
from authserver.client.chain import Explained, State
from authserver.client.exchange import IssuedToken
from authserver.client.failures import CallFailed
from authserver.client.token_client import TokenClient

_Command = TypeVar("_Command", bound=Callable[..., None])

BOUND: Final = (
    "the token is bound to the key of this machine (RFC 9449), and no API takes it without a proof by that key for "
    "each request. A program gets both from authserver.client.TokenClient"
)


def token_options(command: _Command) -> _Command:
    """What every command takes that asks for tokens. ``scopes`` are in their order, and each may hold several."""
    audience = click.option("--audience", metavar="AUDIENCE", help="Of the identity token.  [default: the issuer]")
    scope = click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="May be repeated.")
    return issuer_option(scope(audience(command)))


def make_client(issuer: str, resource: str, scopes: Sequence[str], audience: str | None) -> TokenClient:
    """The client for one API."""
    logging.getLogger("authserver").addHandler(logging.NullHandler())  # a command says itself what has failed
    return TokenClient(issuer=issuer, resource=resource, scope=" ".join(scopes) or None, audience=audience)


def bearer(token: IssuedToken) -> str:
    """The value of a token that is of use as it is.

    :raises CallFailed: it is bound to a key.
    """
    if token.key is not None:
        raise CallFailed(BOUND)
    return token.value


@click.command()
@token_options
@click.option("--resource", metavar="URI", help="The API that the token is for.  [required without --explain]")
@click.option("--bound", is_flag=True, help="Print a token that is bound to a key, too.")
@click.option("--explain", "explained", is_flag=True, help="Say what vouches for this program, and why; get no token.")
@json_option
def token(
    issuer: str,
    resource: str | None,
    scopes: tuple[str, ...],
    audience: str | None,
    bound: bool,
    explained: bool,
    as_json: bool,
) -> None:
    """Print an access token, and nothing else.

    What vouches for this program is found by variables and files: an identity token that is given, Kubernetes, GitHub
    Actions, GitLab, an enrolment, a developer's tool.
    """
    if resource is None and not explained:
        raise click.UsageError("Missing option '--resource'.")
    client = make_client(issuer, resource or issuer, scopes, audience)
    if explained:
        _explain(client.explain(), as_json)
    else:
        _print(client, bound, as_json)


def _print(client: TokenClient, bound: bool, as_json: bool) -> None:
    try:
        issued = client.token()
        value = issued.value if bound else bearer(issued)
    except CallFailed as failure:
        fail(str(failure))
    document = {
        "access_token": value,
        "token_type": issued.token_type,
        "expires_in": issued.expires_in,
        "scope": " ".join(sorted(issued.scope)),
    }
    click.echo(json.dumps(document) if as_json else value)


def _explain(links: Sequence[Explained], as_json: bool) -> None:
    """Exit 1 where no token can be had."""
    if as_json:
        described = [{"link": link.name, "state": link.state.value, "reason": link.reason} for link in links]
        click.echo(json.dumps({"links": described}))
    else:
        for link in links:
            click.echo(f"{link.name:<12} {link.state.value:<8} {link.reason}")
    sys.exit(0 if any(link.state is State.USED for link in links) else 1)
