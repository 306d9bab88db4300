"""What STS answers to ``GetCallerIdentity``: who signed.

https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html. Everything is looked up by namespace
and full path, and the whole answer must be one document: a reader that takes what it finds somewhere inside believes
what a caller made STS say in another place (CVE-2020-16250).
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from authserver.errors import CredentialRejected, Reason
from authserver.identity.aws_principal import Principal
from authserver.identity.source import Identified
from authserver.jose.fetch import Answer, Cause, unreachable
from authserver.jose.xml_text import xml_texts

NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"

_MEDIA_TYPES: Final = frozenset(("text/xml", "application/xml"))
_IDENTITY: Final = ("GetCallerIdentityResponse", "GetCallerIdentityResult")
_ERROR_CODE: Final = ("ErrorResponse", "Error", "Code")
_BUSY: Final = frozenset(("Throttling", "ThrottlingException", "RequestLimitExceeded"))
_CODE = re.compile(r"[A-Za-z]{1,64}")
_ROLE_ID = re.compile(r"([A-Z0-9]{16,128}):(.+)")


def read_caller(answer: Answer, host: str) -> tuple[Principal, Identified]:
    """Who signed the request that STS at ``host`` gave this answer to.

    :raises CredentialRejected: ``sts_refused``, ``sts_answer_malformed`` or ``principal_unsupported``.
    :raises Unavailable: STS is away, or asks to be left alone for now.
    """
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise unreachable(Cause.STATUS_WRONG, host=host, status=answer.status)
    if answer.status != HTTPStatus.OK:
        raise _refusal(answer, host)
    try:
        texts = _texts(answer)
        arn, user_id, account = (texts[*_IDENTITY, name] for name in ("Arn", "UserId", "Account"))
    except (KeyError, ValueError) as error:
        raise CredentialRejected(Reason.STS_ANSWER_MALFORMED, host=host) from error
    return _identified(arn, user_id, account, host)


def _identified(arn: str, user_id: str, account: str, host: str) -> tuple[Principal, Identified]:
    principal = Principal.of(arn)
    match = _ROLE_ID.fullmatch(user_id) if principal.role is not None else None
    named_by_id = None if match is None else match[2]
    # The three say the same thing in three ways, and an answer in which they differ is not about one caller.
    if account != principal.account or named_by_id != principal.session:
        raise CredentialRejected(Reason.STS_ANSWER_MALFORMED, host=host)
    return principal, principal.identified(None if match is None else match[1])


def _refusal(answer: Answer, host: str) -> Exception:
    try:
        code = _texts(answer).get(_ERROR_CODE, "")
    except ValueError:
        code = ""
    if code in _BUSY:
        return unreachable(Cause.STATUS_WRONG, host=host, status=answer.status)
    said = code if _CODE.fullmatch(code) else ""
    return CredentialRejected(Reason.STS_REFUSED, host=host, status=answer.status, sts_code=said)


def _texts(answer: Answer) -> Mapping[tuple[str, ...], str]:
    if answer.media_type not in _MEDIA_TYPES:
        raise ValueError("not XML")
    return xml_texts(answer.body, NAMESPACE)
