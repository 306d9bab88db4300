"""What an enrolled machine does about its own registration: look, change its key, leave (RFC 7592)."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from authserver.client.device_key import make_key
from authserver.client.enrollment import Draft, Enrollment, EnrollmentRecord, KeptKey
from authserver.client.failures import CallRefused, NotEnrolled
from authserver.client.http import Answer
from authserver.client.server import Attempt, AuthorizationServer, Make, Outgoing
from authserver.jose.jwk import SigningKey, export_public
from authserver.oauth import ErrorCode

UNKNOWN_HERE: Final = "The server does not know this enrolment, or it was revoked"


class Registration:
    """The registration of this machine at ``server``, as ``record`` has it."""

    def __init__(self, server: AuthorizationServer, record: EnrollmentRecord) -> None:
        self._server = server
        self._record = record

    def current(self) -> Enrollment:
        """What this machine knows, without asking anybody.

        :raises NotEnrolled: nothing.
        :raises EnrollmentUnusable: it cannot be read.
        """
        known = self._record.read()
        if isinstance(known, Draft):
            raise NotEnrolled(f"the enrolment at {known.issuer} was begun and not finished: enrol again")
        if known is None:
            raise NotEnrolled(f"this machine is not enrolled at {self._record.issuer}")
        return known

    def read(self) -> Mapping[str, Any]:
        """What the server has registered.

        :raises CallRefused: it does not know this machine, or has revoked it.
        """
        enrollment = self.settle()
        return self._ask("GET", enrollment, self._record.require(enrollment.key)).json

    def settle(self) -> Enrollment:
        """What this machine knows, once it is certain which key the server has.

        A re-key that was interrupted leaves two. The server is asked only then.

        :raises CallFailed: see :meth:`AuthorizationServer.ask`.
        """
        known = self.current()
        if known.next is None and known.retired is None:
            return known
        with self._record.changing():
            return self._settled()

    def rekey(self, algorithm: str | None = None) -> Enrollment:
        """Put a new key in the place of the old one. One that was begun earlier is finished instead.

        The new key is kept before the server is told of it, and the old one until the server has answered. After any
        failure, and after a crash, it can be called again.

        :raises CallFailed: see :meth:`AuthorizationServer.ask`.
        """
        with self._record.changing():
            before = self.current()
            known = self._settled()
            if known.key != before.key:
                return known
            named, new = self._begun(known, algorithm or known.key.algorithm)
            try:
                self._replace(known, self._record.require(known.key), new)
            except CallRefused:
                if known.next is None:  # an earlier request with that key could still arrive
                    self._given_up(known, named)
                raise
            return self._switched(known, named)

    def remove(self) -> None:
        """Delete the registration at the server, and then everything about it here.

        A server that does not know it any more is no hindrance.

        :raises CallFailed: see :meth:`AuthorizationServer.ask`.
        """
        with self._record.changing():
            known = self._record.read()
            draft = known if isinstance(known, Draft) else self._deleted(self._settled())
            self._record.forget(draft.key)
            self._record.clear()

    def _settled(self) -> Enrollment:
        known = self._tidied(self.current())
        if known.next is None:
            return known
        new = self._record.load(known.next)
        return self._switched(known, known.next) if new is not None and self._is_known(known, new) else known

    def _is_known(self, known: Enrollment, key: SigningKey) -> bool:
        try:
            self._ask("GET", known, key)
        except CallRefused as refused:
            if not _is_unknown(refused):
                raise
            return False
        return True

    def _begun(self, known: Enrollment, algorithm: str) -> tuple[KeptKey, SigningKey]:
        """A next key that is kept: that of an attempt that came to nothing, else a new one."""
        if known.next is not None:
            new = self._record.load(known.next)
            if new is not None:
                return known.next, new
        new = make_key(algorithm)
        named = KeptKey(new.kid, algorithm, known.key.place)
        self._record.write(replace(known, next=named))
        self._record.keep(new, named)
        return named, new

    def _replace(self, known: Enrollment, old: SigningKey, new: SigningKey) -> None:
        public = export_public(new.private.public_key())

        def make(attempt: Attempt) -> Outgoing:
            body = {"jwks": {"keys": [public]}, "new_key_proof": attempt.proof(new)}
            return Outgoing({"Content-Type": "application/json"}, json.dumps(body).encode(), old, {"new_jkt": new.kid})

        self._send("PUT", known, make)

    def _switched(self, known: Enrollment, new: KeptKey) -> Enrollment:
        known = replace(known, key=new, next=None, retired=known.key)
        self._record.write(known)
        return self._tidied(known)

    def _given_up(self, known: Enrollment, new: KeptKey) -> None:
        """Forget a key that the server has refused, or every token would begin with the question which key it has."""
        self._record.forget(new)
        self._record.write(known)

    def _tidied(self, known: Enrollment) -> Enrollment:
        if known.retired is None:
            return known
        self._record.forget(known.retired)
        known = replace(known, retired=None)
        self._record.write(known)
        return known

    def _deleted(self, known: Enrollment) -> Draft:
        try:
            self._ask("DELETE", known, self._record.require(known.key))
        except CallRefused as refused:
            if not _is_unknown(refused):
                raise
        self._record.forget(known.next)
        left = Draft(known.issuer, known.key)
        self._record.write(left)
        return left

    def _ask(self, method: str, known: Enrollment, key: SigningKey) -> Answer:
        return self._send(method, known, lambda _: Outgoing(key=key))

    def _send(self, method: str, known: Enrollment, make: Make) -> Answer:
        try:
            return self._server.ask(method, known.registration_uri, make)
        except CallRefused as refused:
            raise refused.with_hint(UNKNOWN_HERE if _is_unknown(refused) else "") from refused


def _is_unknown(refused: CallRefused) -> bool:
    """Whether the server has no such device with this key. A proof that is wrong in itself says nothing about that."""
    return refused.code == ErrorCode.INVALID_TOKEN
