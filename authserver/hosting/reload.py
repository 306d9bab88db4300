"""A new configuration for a server that runs: taken whole when nothing is wrong with it, or else not at all."""

import logging
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from authserver.errors import ConfigurationError, Unavailable
from authserver.hosting.doorway import Doorway
from authserver.hosting.tls import Authorities, ServerTls, server_tls
from authserver.keys.wrapping import MasterKeys
from authserver.server import build, prepare
from authserver.settings import Settings, load
from authserver.telemetry.reloads import Outcome
from authserver.telemetry.shared import DIRECTORY

_PATIENCE: Final = 20
"""Seconds that a process may take to start with a new configuration."""

_log = logging.getLogger("authserver")


class NotTaken(Exception):
    """A new configuration is not taken, and the last good one stays in use. ``problems`` are for the operator."""

    def __init__(self, outcome: Outcome, problems: Iterable[str]) -> None:
        self.outcome = outcome
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Candidate(NamedTuple):
    """All that a server is started with."""

    settings: Settings
    master_keys: MasterKeys
    tls: ServerTls | None


def candidate(file: Path, authorities: Authorities) -> Candidate:
    """What is in ``file``, after everything that a start needs was tried with it.

    ``authorities`` are for its TLS, as :func:`~authserver.hosting.tls.server_tls` has them.

    :raises NotTaken: something is wrong with them: every problem of the file, or every policy test that failed.
    """
    try:
        settings = load(file)
        _run_policy_tests(settings)
        master_keys = prepare(settings)
        tls = server_tls(settings, authorities)
    except ConfigurationError as error:
        raise NotTaken("unusable", map(str, error.problems)) from error
    except Unavailable as error:
        raise NotTaken("failed", [f"unavailable: {error.reason.value}"]) from error
    try_out(settings, master_keys)
    return Candidate(settings, master_keys, tls)


def _run_policy_tests(settings: Settings) -> None:
    policy = settings.policy()
    verdicts = [expectation.run(policy) for expectation in settings.expectations]
    if failed := [verdict for verdict in verdicts if not verdict.passed]:
        raise NotTaken(
            "failed",
            (
                f"expect {verdict.expectation.name!r}: expected: {_decision(verdict.expectation.allowed)},"
                f" decided: {verdict.explanation}"
                for verdict in failed
            ),
        )


def _decision(allowed: bool) -> str:
    return "allow" if allowed else "deny"


def try_out(settings: Settings, master_keys: MasterKeys) -> None:
    """Start as a worker does, in a process that ends at once.

    gunicorn ends the whole server when a worker fails to start, so that must not be found out by the workers.

    :raises NotTaken: it does not start.
    """
    child = os.fork()
    if child == 0:
        _start_and_end(settings, master_keys)
    _, status = os.waitpid(child, 0)
    if status != 0:
        raise NotTaken("failed", ["a process could not start with it; the log says why"])


def _start_and_end(settings: Settings, master_keys: MasterKeys) -> None:
    signal.alarm(_PATIENCE)
    os.environ.pop(DIRECTORY, None)  # it counts nothing, so it takes no worker's place among the counters
    try:
        service = build(settings, master_keys=master_keys)
        Doorway(service)
        service.close()
    except BaseException:
        _log.exception("a process could not start with the new configuration")
        os._exit(1)
    os._exit(0)
