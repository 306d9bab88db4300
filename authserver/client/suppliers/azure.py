"""Azure: an access token of Entra ID for the application that the audience names, for a managed identity.

There are three services that give one, each with its marker:

- App Service, Functions and Container Apps: ``IDENTITY_ENDPOINT`` and ``IDENTITY_HEADER``,
  https://learn.microsoft.com/en-us/azure/app-service/overview-managed-identity#rest-endpoint-reference
- AKS: ``AZURE_FEDERATED_TOKEN_FILE``, a token of the cluster that Entra ID exchanges,
  https://azure.github.io/azure-workload-identity/docs/installation/mutating-admission-webhook.html
- virtual machines: ``AUTHSERVER_PLATFORM=azure``, since nothing else there says so,
  https://learn.microsoft.com/en-us/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

from authserver.client.failures import AnswerUnusable, IdentityUnusable
from authserver.client.identity_token import read_usable, usable
from authserver.client.platform import NAMED, PlatformSupplier, accepted, require_address
from authserver.client.supplier import Surroundings
from authserver.oauth import CLIENT_ASSERTION_JWT, Grant, TokenType

ENDPOINT: Final = "IDENTITY_ENDPOINT"
HEADER: Final = "IDENTITY_HEADER"
FEDERATED: Final = "AZURE_FEDERATED_TOKEN_FILE"
TENANT: Final = "AZURE_TENANT_ID"
CLIENT: Final = "AZURE_CLIENT_ID"
AUTHORITY: Final = "AZURE_AUTHORITY_HOST"

METADATA: Final = "http://169.254.169.254/metadata/identity/oauth2/token"
PUBLIC_AUTHORITY: Final = "https://login.microsoftonline.com/"

_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_REMEDY: Final = f"Give what the program runs in a managed identity, named in {CLIENT} if it is user-assigned"


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


class AzureSupplier(PlatformSupplier):
    """Asks for a token each time; these services have their own caches."""

    name = "azure"
    token_type = TokenType.JWT
    nothing = f"neither {ENDPOINT} with {HEADER} nor {FEDERATED} is set, and {NAMED} is not azure"

    def __init__(self, surroundings: Surroundings, metadata: str = METADATA) -> None:
        super().__init__(surroundings)
        self._metadata = metadata

    def found(self) -> str | None:
        """See :class:`authserver.client.platform.PlatformSupplier`."""
        if self._is_hosted():
            return f"{ENDPOINT} and {HEADER} are set"
        return f"{FEDERATED} is set" if FEDERATED in self.environ else None

    def check(self, now: float) -> None:
        """See :class:`authserver.client.supplier.Link`."""
        self._request(now)

    def identity_token(self, now: float) -> str:
        """See :class:`authserver.client.identity_token.IdentityTokenSupplier`."""
        request = self._request(now)
        answer = self.http.send(request.method, request.url, headers=request.headers, body=request.body)
        token = accepted(answer, "Azure", _REMEDY).json.get("access_token")
        if not isinstance(token, str):
            raise AnswerUnusable("the answer to the request for a token of Azure holds none")
        return usable(token, "Azure's answer", now)

    def _request(self, now: float) -> _Request:
        """:raises IdentityUnusable: something that it needs is missing, or cannot be used."""
        if self._is_hosted():
            return self._of_host()
        return self._of_cluster(now) if FEDERATED in self.environ else self._of_machine()

    def _is_hosted(self) -> bool:
        # A machine that Azure Arc looks after has the endpoint alone, for every service on it.
        return ENDPOINT in self.environ and HEADER in self.environ

    def _of_host(self) -> _Request:
        url, secret = require_address(self.environ[ENDPOINT], ENDPOINT), self.environ[HEADER]
        if not secret or not secret.isascii() or not secret.isprintable():
            raise IdentityUnusable(f"{HEADER} is empty, or has characters that it never has")
        joint = "&" if "?" in url else "?"
        return _Request("GET", f"{url}{joint}{self._query('2019-08-01')}", {"X-IDENTITY-HEADER": secret})

    def _of_machine(self) -> _Request:
        return _Request("GET", f"{self._metadata}?{self._query('2018-02-01')}", {"Metadata": "true"})

    def _query(self, version: str) -> str:
        client = self.environ.get(CLIENT)
        chosen = {"client_id": client} if client else {}
        return urlencode({"api-version": version, "resource": self.audience, **chosen})

    def _of_cluster(self, now: float) -> _Request:
        authority, tenant = self.environ.get(AUTHORITY, PUBLIC_AUTHORITY).rstrip("/"), self._required(TENANT)
        url = require_address(f"{authority}/{quote(tenant, safe='')}/oauth2/v2.0/token", AUTHORITY)
        form = {
            "grant_type": Grant.CLIENT_CREDENTIALS.value,
            "client_id": self._required(CLIENT),
            "client_assertion_type": CLIENT_ASSERTION_JWT,
            "client_assertion": read_usable(Path(self._required(FEDERATED)), now),
            "scope": f"{self.audience}/.default",
        }
        return _Request("POST", url, _FORM, urlencode(form).encode())

    def _required(self, variable: str) -> str:
        """:raises IdentityUnusable: it is not set."""
        value = self.environ.get(variable)
        if not value:
            raise IdentityUnusable(f"{FEDERATED} is set, but {variable} is not, or is empty")
        return value
