"""GitLab CI/CD: the ID token that the job asks for with ``id_tokens``, in a variable of the name it gives it.

https://docs.gitlab.com/ci/secrets/id_token_authentication/
"""

from typing import Final

from authserver.client.identity_token import IdentityTokenSupplier, usable
from authserver.client.supplier import Surroundings

IN_JOB: Final = "GITLAB_CI"
TOKEN: Final = "AUTHSERVER_ID_TOKEN"


class GitLabSupplier(IdentityTokenSupplier):
    """Shows the ID token of a job. GitLab makes it when the job starts, and it ends when the job must have ended."""

    name = "gitlab"
    marker = f"this is a GitLab job with {TOKEN}"

    def __init__(self, surroundings: Surroundings) -> None:
        self._in_job = surroundings.environ.get(IN_JOB) == "true"
        self._token = surroundings.environ.get(TOKEN)

    def absence(self) -> str | None:
        """See :class:`authserver.client.supplier.Link`."""
        if not self._in_job:
            return f"{IN_JOB} is not true"
        return None if self._token is not None else f"this is a GitLab job, but its id_tokens have no {TOKEN}"

    def check(self, now: float) -> None:
        """See :class:`authserver.client.supplier.Link`."""
        self.identity_token(now)

    def identity_token(self, now: float) -> str:
        """See :class:`authserver.client.identity_token.IdentityTokenSupplier`."""
        return usable(self._token or "", TOKEN, now)
