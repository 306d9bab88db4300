"""Credentials for AWS, where AWS's own libraries look for them, except in files that people keep.

https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html. The order is that of the libraries.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from authserver.client.failures import AnswerUnusable, IdentityUnusable
from authserver.client.http import Answer, Http
from authserver.client.identity_token import read_usable
from authserver.client.platform import accepted, require_address
from authserver.client.sigv4 import AwsCredentials
from authserver.client.sts import Sts

KEY_ID: Final = "AWS_ACCESS_KEY_ID"
SECRET: Final = "AWS_SECRET_ACCESS_KEY"
SESSION: Final = "AWS_SESSION_TOKEN"
WEB_IDENTITY: Final = "AWS_WEB_IDENTITY_TOKEN_FILE"
ROLE: Final = "AWS_ROLE_ARN"
SESSION_NAME: Final = "AWS_ROLE_SESSION_NAME"
CONTAINER: Final = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
CONTAINER_FULL: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
CONTAINER_TOKEN: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
CONTAINER_TOKEN_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
METADATA: Final = "AWS_EC2_METADATA_SERVICE_ENDPOINT"

_CONTAINER_HOST: Final = "http://169.254.170.2"
_METADATA_HOST: Final = "http://169.254.169.254"
_LONGEST_TOKEN: Final = 16 * 1024
_METADATA_TTL: Final = "60"  # seconds
_NAME = re.compile(r"[A-Za-z0-9_+=,.@-]{1,128}")
_PRINTABLE = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class AwsEnvironment:
    """What the environment says of AWS. ``http`` reaches the services beside the program."""

    environ: Mapping[str, str] = field(repr=False)
    http: Http = field(repr=False)

    def region(self) -> str | None:
        """The region that the environment names, or None."""
        return self.environ.get("AWS_REGION") or self.environ.get("AWS_DEFAULT_REGION") or None

    def place(self) -> str | None:
        """The variable by which there are credentials; None where only the instance may have some."""
        return next((each for each in (KEY_ID, WEB_IDENTITY, CONTAINER, CONTAINER_FULL) if each in self.environ), None)

    def check(self) -> None:
        """Whether what the place needs is there.

        :raises IdentityUnusable: something is missing.
        """
        place = self.place()
        if place == KEY_ID:
            self._keys()
        elif place == WEB_IDENTITY:
            self._required(WEB_IDENTITY)
            self._required(ROLE)
        elif place is not None:
            self._container_url(place)

    def credentials(self, sts: Sts, now: float) -> AwsCredentials:
        """The credentials of this moment. ``sts`` is asked where they are had for a web identity.

        :raises CallFailed: there are none.
        """
        place = self.place()
        if place == KEY_ID:
            return self._keys()
        if place == WEB_IDENTITY:
            token = read_usable(Path(self._required(WEB_IDENTITY)), now)
            name = self.environ.get(SESSION_NAME) or "authserver"
            return sts.assume_role_with_web_identity(self._required(ROLE), name, token)
        if place is not None:
            return self._of_container(place)
        return self._of_instance()

    def region_of_instance(self) -> str:
        """The region of the EC2 instance.

        :raises CallFailed: it cannot be had.
        """
        return self._metadata("/latest/meta-data/placement/region", self._metadata_token())

    def _keys(self) -> AwsCredentials:
        session = self._required(SESSION) if self.environ.get(SESSION) else None
        return AwsCredentials(self._required(KEY_ID), self._required(SECRET), session)

    def _of_container(self, place: str) -> AwsCredentials:
        token = self._container_token()
        headers = {"Authorization": token} if token else {}
        answer = self.http.send("GET", self._container_url(place), headers=headers)
        return _credentials(accepted(answer, "the container's service", "Give the task or pod a role"))

    def _container_url(self, place: str) -> str:
        value = self._required(place)
        if place == CONTAINER_FULL:
            return require_address(value, place)
        if not value.startswith("/"):
            raise IdentityUnusable(f"{place} is no path")
        return require_address(_CONTAINER_HOST + value, place)

    def _container_token(self) -> str:
        file = self.environ.get(CONTAINER_TOKEN_FILE)
        if not file:
            token = self.environ.get(CONTAINER_TOKEN, "")
        else:
            try:
                with Path(file).open(encoding="ascii") as opened:
                    token = opened.read(_LONGEST_TOKEN).strip()
            except (OSError, ValueError):
                raise IdentityUnusable(f"{CONTAINER_TOKEN_FILE} names {file}, which cannot be read") from None
        if token and _PRINTABLE.fullmatch(token.replace(" ", "")) is None:
            place = CONTAINER_TOKEN_FILE if file else CONTAINER_TOKEN
            raise IdentityUnusable(f"{place} has characters that no token has")
        return token

    def _of_instance(self) -> AwsCredentials:
        """By IMDSv2 alone: the first version answers whoever can make the instance send a request.

        https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
        """
        token = self._metadata_token()
        path = "/latest/meta-data/iam/security-credentials/"
        role = self._metadata(path, token)
        if _NAME.fullmatch(role) is None:
            raise IdentityUnusable("the instance has no role. Give it an instance profile")
        return _credentials(self._ask("GET", path + role, {"X-aws-ec2-metadata-token": token}))

    def _metadata_token(self) -> str:
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": _METADATA_TTL}
        token = self._ask("PUT", "/latest/api/token", headers).body.decode("ascii", "replace")
        if _PRINTABLE.fullmatch(token) is None:
            raise AnswerUnusable("what answers in the place of the instance's metadata service is not one")
        return token

    def _metadata(self, path: str, token: str) -> str:
        return self._ask("GET", path, {"X-aws-ec2-metadata-token": token}).body.decode("ascii", "replace").strip()

    def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        host = require_address(self.environ.get(METADATA, _METADATA_HOST).rstrip("/"), METADATA)
        answer = self.http.send(method, host + path, headers=headers)
        return accepted(answer, "the instance's metadata service", "Give the instance a profile, and allow IMDSv2")

    def _required(self, variable: str) -> str:
        """:raises IdentityUnusable: it is not set, or holds what cannot be sent."""
        value = self.environ.get(variable)
        if not value or not value.isascii() or not value.isprintable():
            reason = "is empty or not set, or has characters that cannot be sent"
            raise IdentityUnusable(f"{variable} {reason}. Set it, or unset {self.place()}")
        return value


def _credentials(answer: Answer) -> AwsCredentials:
    found = [answer.json.get(name) for name in ("AccessKeyId", "SecretAccessKey", "Token")]
    texts = [each for each in found if isinstance(each, str) and _PRINTABLE.fullmatch(each)]
    if len(texts) != len(found):
        raise AnswerUnusable("the answer to the request for credentials of AWS holds none")
    return AwsCredentials(*texts)
