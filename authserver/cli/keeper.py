"""Keeping a token in a file for a command that runs meanwhile."""

import threading
from typing import Final

import click

from authserver.cli.token import bearer
from authserver.cli.token_file import TokenFile
from authserver.client.failures import CallFailed
from authserver.client.token_client import TokenClient

_LONGEST_PAUSE: Final = 5.0  # seconds
_LOOKS: Final = 20  # how often in its life a token is looked after, at least


class Keeper(threading.Thread):
    """Puts a token into a file, and each that comes after it. ``ready`` when the first is there, or ``failure``."""

    def __init__(self, client: TokenClient, file: TokenFile) -> None:
        super().__init__(name="authserver-token-file", daemon=True)
        self.ready = threading.Event()
        self.failure: CallFailed | OSError | None = None
        self._client = client
        self._file = file
        self._stopped = threading.Event()
        self._writing = threading.Lock()
        self._written = self._said = ""

    def run(self) -> None:
        """See :meth:`threading.Thread.run`."""
        try:
            lifetime = self._renewed()
        except (CallFailed, OSError) as failure:
            self.failure = failure
            return
        finally:
            self.ready.set()
        while not self._stopped.wait(min(_LONGEST_PAUSE, lifetime / _LOOKS)):
            try:
                lifetime = self._renewed()
            except (CallFailed, OSError) as failure:
                self._say(failure)
            else:
                self._said = ""

    def stop(self) -> None:
        """Write nothing any more from now on."""
        with self._writing:
            self._stopped.set()

    def _renewed(self) -> float:
        """The lifetime of the token that is in the file, in seconds."""
        token = self._client.token()
        value = bearer(token)
        with self._writing:
            if value != self._written and not self._stopped.is_set():
                self._file.write(value)
                self._written = value
        return token.expires_in

    def _say(self, failure: CallFailed | OSError) -> None:
        said = (failure.strerror if isinstance(failure, OSError) else None) or str(failure)
        if said != self._said:
            click.echo(f"authserver exec: no fresh token: {said}", err=True)
        self._said = said
