"""GitHub Actions: an ID token that the job asks its runner's service for, made for the audience it names.

https://docs.github.com/en/actions/reference/security/oidc#methods-for-requesting-the-oidc-token
"""

from typing import Final
from urllib.parse import quote

from authserver.client.failures import AnswerUnusable, IdentityUnusable
from authserver.client.http import Http
from authserver.client.identity_token import IdentityTokenSupplier, usable
from authserver.client.platform import accepted, require_address
from authserver.client.supplier import Surroundings
from authserver.oauth import BEARER

URL: Final = "ACTIONS_ID_TOKEN_REQUEST_URL"
TOKEN: Final = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
IN_JOB: Final = "GITHUB_ACTIONS"

_PERMISSION: Final = "Give the job the permission id-token: write"


class GitHubSupplier(IdentityTokenSupplier):
    """Asks for a new ID token each time: each is good for minutes."""

    name = "github"
    marker = f"{URL} and {TOKEN} are set"

    def __init__(self, surroundings: Surroundings) -> None:
        environ = surroundings.environ
        self._url, self._token = environ.get(URL), environ.get(TOKEN)
        self._in_job = environ.get(IN_JOB) == "true"
        self._audience = surroundings.audience
        self._http = Http(deadline=surroundings.deadline)

    def absence(self) -> str | None:
        """See :class:`authserver.client.supplier.Link`."""
        if self._url is not None or self._token is not None:
            return None
        return f"this is a GitHub job without ID tokens. {_PERMISSION}" if self._in_job else f"{URL} is not set"

    def check(self, now: float) -> None:
        """See :class:`authserver.client.supplier.Link`."""
        del now
        self._request()

    def identity_token(self, now: float) -> str:
        """See :class:`authserver.client.identity_token.IdentityTokenSupplier`."""
        url, headers = self._request()
        answer = self._http.send("GET", url, headers=headers)
        token = accepted(answer, "GitHub", f"{_PERMISSION}; it ends with the job").json.get("value")
        if not isinstance(token, str):
            raise AnswerUnusable("the answer to the request for an ID token of GitHub holds none")
        return usable(token, "GitHub's answer", now)

    def _request(self) -> tuple[str, dict[str, str]]:
        """:raises IdentityUnusable: half of what is needed is missing, or no address."""
        if not self._url or not self._token:
            missing = TOKEN if self._url else URL
            raise IdentityUnusable(f"{missing} is empty or not set. {_PERMISSION}, or unset {URL} and {TOKEN}")
        require_address(self._url, URL)
        if not self._token.isascii() or not self._token.isprintable():
            raise IdentityUnusable(f"{TOKEN} has characters that no token has")
        joint = "&" if "?" in self._url else "?"
        url = f"{self._url}{joint}audience={quote(self._audience, safe='')}"
        return url, {"Authorization": f"{BEARER} {self._token}"}
