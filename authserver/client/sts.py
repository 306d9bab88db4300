"""Requests to the Security Token Service of AWS, by one endpoint.

https://docs.aws.amazon.com/STS/latest/APIReference/API_Operations.html
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlencode

from authserver.client.failures import AnswerUnusable, IdentityUnusable, NoAnswer
from authserver.client.http import Answer, Http
from authserver.client.platform import accepted
from authserver.client.sigv4 import AwsCredentials, Signer, Unsigned
from authserver.jose.addresses import Location
from authserver.jose.xml_text import xml_texts
from authserver.oauth import AWS_AUDIENCE_HEADER, AWS_NONCE_HEADER

DURATION: Final = 300
"""How many seconds an identity token lives: it is shown at once, and once."""

_VERSION: Final = "2011-06-15"
_NAMESPACE: Final = f"https://sts.amazonaws.com/doc/{_VERSION}/"
_FORM: Final = "application/x-www-form-urlencoded"
_REGION = re.compile(r"[a-z]{2,8}(?:-[a-z]{1,16}){1,3}-[0-9]{1,2}")
_CODE = re.compile(r"[A-Za-z]{1,64}")
_DOMAINS: Final = {"cn": "amazonaws.com.cn", "eusc": "amazonaws.eu"}


def sts_host(region: str, *, fips: bool) -> str:
    """The host of the endpoint of a region.

    :raises IdentityUnusable: it is not the name of a region.
    """
    if _REGION.fullmatch(region) is None:
        raise IdentityUnusable("AWS_REGION or AWS_DEFAULT_REGION does not hold the name of a region")
    domain = _DOMAINS.get(region.partition("-")[0], "amazonaws.com")
    return f"sts{'-fips' if fips else ''}.{region}.{domain}"


def sign_caller_identity(
    credentials: AwsCredentials, region: str, host: str, audience: str, now: float, *, nonce: str
) -> str:
    """A signed request to ``GetCallerIdentity``, as the subject token of a token exchange. It is not sent to AWS here.

    The form is that of Google's client libraries; whom it is for is covered by the signature. So is ``nonce``: without
    one, all that a machine's programs sign in the same second is the same request, and good only once.
    """
    query = f"Action=GetCallerIdentity&Version={_VERSION}"
    own = [("host", host), (AWS_AUDIENCE_HEADER, audience), (AWS_NONCE_HEADER, nonce)]
    unsigned = Unsigned("POST", "/", query, own)
    headers = [{"key": name, "value": value} for name, value in Signer(credentials, region, "sts").sign(unsigned, now)]
    return quote(json.dumps({"url": f"https://{host}/?{query}", "method": "POST", "headers": headers}))


@dataclass(frozen=True, slots=True)
class Sts:
    """STS in ``region``, at ``url``."""

    region: str
    url: str
    http: Http = field(repr=False)

    def get_web_identity_token(self, credentials: AwsCredentials, audience: str, now: float) -> str:
        """An identity token for ``audience``.

        :raises CallFailed: there is none.
        """
        form = {
            "Audience.member.1": audience,
            "SigningAlgorithm": "ES384",
            "DurationSeconds": str(DURATION),
        }
        body = _body("GetWebIdentityToken", form)
        location = Location.of(self.url)
        unsigned = Unsigned("POST", "/", "", [("host", location.authority), ("content-type", _FORM)], body)
        headers = Signer(credentials, self.region, "sts").sign(unsigned, now)
        texts = self._texts(body, dict(header for header in headers if header[0] != "host"), _FEDERATION)
        return _text(texts, "GetWebIdentityToken", "WebIdentityToken")

    def assume_role_with_web_identity(self, role: str, session: str, token: str) -> AwsCredentials:
        """Credentials of ``role`` for a web identity.

        :raises CallFailed: there are none.
        """
        form = {"RoleArn": role, "RoleSessionName": session, "WebIdentityToken": token}
        texts = self._texts(_body("AssumeRoleWithWebIdentity", form), {"content-type": _FORM}, _TRUST)
        names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
        return AwsCredentials(*(_text(texts, "AssumeRoleWithWebIdentity", "Credentials", name) for name in names))

    def _texts(self, body: bytes, headers: Mapping[str, str], remedy: str) -> Mapping[tuple[str, ...], str]:
        answer = self.http.send("POST", self.url, headers={**headers, "Accept": "text/xml"}, body=body)
        texts = _read(answer)
        code = texts.get(("ErrorResponse", "Error", "Code"), "")
        if code.startswith("Throttling"):
            raise NoAnswer(f"AWS STS is asked too often for now (HTTP status {answer.status})")
        told = f"AWS says {code}. " if _CODE.fullmatch(code) else ""
        accepted(answer, "AWS STS", told + remedy)
        return texts


_FEDERATION: Final = (
    "Enable outbound web identity federation in the account and allow the role sts:GetWebIdentityToken for this "
    "audience; or set AUTHSERVER_AWS_PROOF=signed-request, if the server takes signed requests"
)
_TRUST: Final = "Let the trust policy of the role admit this web identity"


def _body(action: str, form: Mapping[str, str]) -> bytes:
    return urlencode({"Action": action, "Version": _VERSION, **form}).encode("ascii")


def _read(answer: Answer) -> Mapping[tuple[str, ...], str]:
    try:
        return xml_texts(answer.body, _NAMESPACE)
    except ValueError:
        if answer.status != HTTPStatus.OK:
            return {}
        raise AnswerUnusable("what AWS STS answers is not what its documentation says") from None


def _text(texts: Mapping[tuple[str, ...], str], action: str, *path: str) -> str:
    text = texts.get((f"{action}Response", f"{action}Result", *path), "")
    if not text.isascii() or not text.isprintable() or not text:
        raise AnswerUnusable(f"the answer of AWS STS holds no {path[-1]}")
    return text
