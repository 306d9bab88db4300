"""``authserver explain``: which rule decided, claim by claim, and the nearest rule when a request was denied."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import click

from authserver.cli.audit_log import audit_log_option
from authserver.cli.configuration import config_option, fail, json_option, load_settings
from authserver.cli.explain import document, human, recorded
from authserver.cli.explain.answer import Answer, answer
from authserver.cli.explain.caller import Caller, Callers, read_claims
from authserver.cli.times import read_instant
from authserver.settings import Settings

_DENIED: Final = 1
_GRANTED: Final = ("issued", "revoked", "enrolled", "invited", "rekeyed", "deleted")


class TokenFile(click.File):
    """A file that holds a token. What was given is never repeated: it may be the token itself."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> IO[Any]:
        """See :meth:`click.ParamType.convert`."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            message = "cannot be opened. Name a file that holds the token, or - for standard input."
        raise click.BadParameter(message, ctx, param)  # outside, so that nothing refers to the first message


@dataclass(frozen=True, slots=True)
class Question:
    """What the options ask: about a caller, or about a decision that was made."""

    token: IO[str] | None
    claims: IO[bytes] | None
    source: str | None
    resource: str | None
    scope: tuple[str, ...]
    at: float | None
    request_id: str | None
    audit_log: IO[bytes] | None

    def check(self) -> None:
        """:raises click.UsageError: the options do not belong together."""
        about_caller = (self.token, self.claims, self.source, self.resource, self.at, self.scope or None)
        if self.request_id is not None or self.audit_log is not None:
            if None in (self.request_id, self.audit_log) or any(each is not None for each in about_caller):
                raise click.UsageError("--request-id and --audit-log go together, and without options about a caller.")
        elif (self.token is None) == (self.claims is None) or self.resource is None:
            raise click.UsageError("Name the caller by --token or by --claims, and what it asks for by --resource.")
        elif (self.claims is None) != (self.source is None):
            raise click.UsageError("--claims needs --source. A token says itself which source it is from.")


@click.command()
@config_option
@click.option("--token", type=TokenFile(errors="replace"), help="A file with an identity token or an assertion, or -.")
@click.option("--claims", type=click.File("rb"), help="A file with a JSON object of claims, or -.")
@click.option("--source", help="With --claims: the name of the source that the caller is from.")
@click.option("--resource", help="The identifier of the resource that is asked for.")
@click.option("--scope", multiple=True, help="What is asked for. Left out: the resource's default scopes.")
@click.option("--at", callback=read_instant, help="When: RFC 3339, or seconds since the epoch. Left out: now.")
@click.option("--request-id", help="With --audit-log: a request that was decided, at any endpoint.")
@audit_log_option
@json_option
@click.pass_context
def explain(context: click.Context, /, config: Path, as_json: bool, **options: Any) -> None:
    """Say which rule decides about a caller, claim by claim, and what would let it through if it is denied.

    The caller is whoever presents --token, or has --claims: a claim set as the platform sends it, with its "iss", or
    the attributes that rules can match. A DPoP proof is not looked at; it is said where one is needed. Nothing is
    granted, and no token is used up or printed. With --request-id, say what was decided on a request, and what its
    sender was not told.

    Exit codes: 0 allowed, 1 denied, 2 usage, 78 the configuration cannot be used.
    """
    question = Question(**options)
    question.check()
    settings = load_settings(config)
    allowed = _recorded(question, settings, as_json) if question.audit_log else _asked(question, settings, as_json)
    context.exit(0 if allowed else _DENIED)


def _asked(question: Question, settings: Settings, as_json: bool) -> bool:
    found = _answer(question, settings, time.time() if question.at is None else question.at)
    click.echo(json.dumps(document.document(found), indent=2) if as_json else "\n".join(human.lines(found)))
    return found.allowed


def _answer(question: Question, settings: Settings, at: float) -> Answer:
    scope = " ".join(question.scope) or None
    callers = Callers(settings, at)
    return answer(settings.policy(), question.resource or "", scope, lambda: _caller(question, callers), at)


def _caller(question: Question, callers: Callers) -> Caller:
    if question.claims is not None:
        return callers.of_claims(read_claims(question.claims.read()), question.source or "")
    return callers.of_token(question.token.read().strip() if question.token else "")


def _recorded(question: Question, settings: Settings, as_json: bool) -> bool:
    found = recorded.find(question.audit_log or (), question.request_id or "")
    if not found:
        fail("There is no event with this request id in the audit log.")
    if as_json:
        events = [recorded.document(event, settings.rules) for event in found]
        click.echo(json.dumps({"events": events}, indent=2))
    else:
        click.echo("\n\n".join("\n".join(recorded.lines(event, settings.rules)) for event in found))
    return all(event.get("outcome") in _GRANTED for event in found)
