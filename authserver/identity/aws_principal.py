"""Principals of AWS by their names.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html: the name of a role or a user is unique in
its account, whatever its path. The name of a role that is deleted can be given to another one, its id never.
"""

import re
from dataclasses import dataclass
from typing import Self

from authserver.errors import CredentialRejected, Reason
from authserver.identity.source import Attributes, Identified

_PARTITION = r"aws(?:-[a-z]+){0,3}"
_NAME = r"[A-Za-z0-9_+=,.@-]{1,128}"
# A path is anything from ! to ~ between two slashes; what would need quoting in a rule or a log line is left out.
_PATH = r"(?:[A-Za-z0-9_+=,.@-]{1,510}/){0,64}"
_ROLE = re.compile(rf"arn:({_PARTITION}):iam::([0-9]{{12}}):role/{_PATH}({_NAME})")
_SESSION = re.compile(rf"arn:({_PARTITION}):sts::([0-9]{{12}}):assumed-role/({_NAME})/({_NAME})")
_USER = re.compile(rf"arn:({_PARTITION}):iam::([0-9]{{12}}):user/{_PATH}{_NAME}")


@dataclass(frozen=True, slots=True)
class Principal:
    """A role or a user. ``session`` is that of a role, where AWS named one; ``spelled`` is the ARN as it came."""

    partition: str
    account: str
    role: str | None
    session: str | None
    spelled: str

    @classmethod
    def of(cls, arn: str) -> Self:
        """The principal of an ARN.

        :raises CredentialRejected: ``principal_unsupported``, it is neither a role nor a user: the root of an account,
            a federated user.
        """
        session = _SESSION.fullmatch(arn)
        if session is not None:
            return cls(session[1], session[2], session[3], session[4], arn)
        role = _ROLE.fullmatch(arn)
        if role is not None:
            return cls(role[1], role[2], role[3], None, arn)
        user = _USER.fullmatch(arn)
        if user is not None:
            return cls(user[1], user[2], None, None, arn)
        raise CredentialRejected(Reason.PRINCIPAL_UNSUPPORTED, principal=arn[:200])

    @property
    def subject(self) -> str:
        """The one name of this caller, however it proves who it is: of a role, without its path and its session."""
        if self.role is None:
            return self.spelled
        return f"arn:{self.partition}:sts::{self.account}:assumed-role/{self.role}"

    def identified(self, role_id: str | None = None) -> Identified:
        """The caller and what rules may match of it. ``role_id`` is the role's own, where AWS told it."""
        found = {
            "account": self.account,
            "role": self.role,
            "role_id": role_id,
        }
        attributes: Attributes = {
            **{name: (value,) for name, value in found.items() if value is not None},
            "arn": tuple(dict.fromkeys((self.subject, self.spelled))),
        }
        return Identified(self.subject, attributes)
