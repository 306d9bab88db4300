"""A service account of Google's that a developer may use, by the gcloud CLI. For development alone.

An identity token for a chosen audience is made for service accounts only; for the account of a person gcloud refuses
``--audiences``. So either gcloud has signed in as a service account, or it impersonates one, which gcloud's own
variable ``CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT`` names:
https://docs.cloud.google.com/sdk/gcloud/reference/auth/print-identity-token
"""

from typing import Final

from authserver.client.identity_token import usable
from authserver.client.tool_supplier import ToolSupplier

IMPERSONATED: Final = "CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT"


class GcloudSupplier(ToolSupplier):
    """Shows the identity token that gcloud prints."""

    name = "gcloud"
    remedy = f"Run gcloud auth login, and name a service account in {IMPERSONATED}"

    def arguments(self) -> list[str]:
        """See :class:`authserver.client.tool_supplier.ToolSupplier`."""
        asked = ["auth", "print-identity-token", f"--audiences={self.audience}"]
        account = self.environ.get(IMPERSONATED)
        # This command heeds the option alone, and the e-mail claim comes with impersonation alone.
        return [*asked, f"--impersonate-service-account={account}", "--include-email"] if account else asked

    def token_in(self, printed: str, now: float) -> str:
        """See :class:`authserver.client.tool_supplier.ToolSupplier`."""
        return usable(printed, "gcloud", now)
