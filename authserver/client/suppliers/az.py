"""A developer's own account, by the Azure CLI. For development alone.

What ``az account get-access-token --resource`` prints is an access token of Entra ID for the application that the
audience names, signed, with the developer in it; the CLI gives no ID tokens. In one of version 1.0, ``aud`` is the
application ID URI that was asked for, in one of version 2.0 always the application's client ID:
https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference
"""

from authserver.client.failures import IdentityUnusable
from authserver.client.identity_token import usable
from authserver.client.tool_supplier import ToolSupplier
from authserver.jose.compact import json_object
from authserver.oauth import TokenType


class AzSupplier(ToolSupplier):
    """Shows an access token that the Azure CLI gets for the application whose ID is the audience."""

    name = "az"
    token_type = TokenType.JWT
    remedy = "Run az login, and let the application trust the Azure CLI"

    def arguments(self) -> list[str]:
        """See :class:`authserver.client.tool_supplier.ToolSupplier`."""
        return ["account", "get-access-token", f"--resource={self.audience}", "--output=json"]

    def token_in(self, printed: str, now: float) -> str:
        """See :class:`authserver.client.tool_supplier.ToolSupplier`."""
        try:
            token = json_object(printed.encode("utf-8")).get("accessToken")
        except ValueError:
            token = None
        if not isinstance(token, str):
            raise IdentityUnusable("az prints no access token")
        return usable(token, "az", now)
