"""Access tokens for the tests of one API, in one call each."""

from typing import Any

from authserver.testing.issuer import FakeIssuer


class AccessTokens:
    """Makes access tokens of ``issuer`` for ``audience``, unless a call names another."""

    def __init__(self, issuer: FakeIssuer, audience: str | None = None) -> None:
        self._issuer = issuer
        self._audience = audience

    def __call__(
        self,
        scope: str | None = None,
        *,
        audience: str | None = None,
        subject: str = "tests:somebody",
        expired: bool = False,
        **claims: Any,
    ) -> str:
        """An access token that an API accepts, in the profile of RFC 9068.

        ``subject`` is its ``sub``, and its ``client_id`` where ``claims`` have none. One that is ``expired`` was good
        until an hour ago. ``claims`` replace or add; None takes one away.

        :raises ValueError: nothing says which audience it is for.
        """
        intended = audience or self._audience
        if intended is None:
            raise ValueError(
                "which API is the token for? Pass audience=…, or define a fixture named token_audience in conftest.py"
                " that returns the audience of your ResourceServer"
            )
        return self._issuer.access_token(
            intended, scope, expired=expired, **{"sub": subject, "client_id": subject, **claims}
        )
