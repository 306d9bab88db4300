"""Client authentication where the caller is known by the token that it presents, and by nothing else."""

from typing import Final

from authserver.endpoints.http import Request
from authserver.endpoints.params import Form
from authserver.errors import ClientAuthenticationRefused, Reason, RequestMalformed

_CHALLENGES: Final = {"bearer": "Bearer", "dpop": "DPoP"}


def refuse_secrets(request: Request, form: Form) -> None:
    """At most one client authentication method (RFC 6749 section 2.3), and never one with a secret.

    :raises RequestMalformed: there is more than one.
    :raises ClientAuthenticationRefused: it is a secret, or in the ``Authorization`` header.
    """
    authorization = request.header("authorization")
    offered = [authorization is not None, "client_secret" in form, "client_assertion" in form]
    if sum(offered) > 1:
        raise RequestMalformed(Reason.CLIENT_AUTHENTICATION_REPEATED)
    if authorization is not None:
        scheme = authorization.partition(" ")[0].lower()
        raise ClientAuthenticationRefused(Reason.CLIENT_SECRET_OFFERED, scheme=_CHALLENGES.get(scheme, "Basic"))
    if "client_secret" in form:
        raise ClientAuthenticationRefused(Reason.CLIENT_SECRET_OFFERED)


def refuse_client_assertion(form: Form) -> None:
    """:raises ClientAuthenticationRefused: there is an assertion beside the token that the caller is known by."""
    # Ignoring a second credential would hide a mistake.
    if "client_assertion" in form:
        raise ClientAuthenticationRefused(Reason.CLIENT_AUTHENTICATION_UNEXPECTED)
