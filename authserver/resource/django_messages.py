"""What Django's request says, and an answer of ours as Django's response. For :mod:`authserver.resource.django`."""

from collections.abc import Generator, Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.request import RawPostDataException

from authserver.certificate import ClientCertificate
from authserver.resource.adapter import FORM, LONGEST_FORM, has_token
from authserver.resource.address import ExternalAddress
from authserver.resource.asgi_messages import client_certificate as certificate_over_asgi
from authserver.resource.asgi_messages import offered_proof as offered_over_asgi
from authserver.resource.certificates import CertificateFinder
from authserver.resource.challenge import Answer
from authserver.resource.credential import ApiRequest, OfferedProof
from authserver.resource.wsgi import client_certificate as certificate_over_wsgi
from authserver.resource.wsgi import offered_proof as offered_over_wsgi

_CHALLENGE = "WWW-Authenticate"


def api_request(request: HttpRequest, address: ExternalAddress, finder: CertificateFinder | None) -> ApiRequest:
    """What matters of a request, whichever kind of server it came from."""
    about = request.META
    authorization, query = about.get("HTTP_AUTHORIZATION"), about.get("QUERY_STRING")
    return ApiRequest(
        authorization=(authorization,) if authorization else (),
        token_in_query=bool(query) and has_token(query),
        # A form is read only where there is a token that it could repeat.
        token_in_form=bool(authorization) and _token_in_form(request),
        proof=_offered_proof(request, address),
        request_id=about.get("HTTP_X_REQUEST_ID"),
        certificate=_certificate(request, finder),
    )


class Response(HttpResponse):  # type: ignore[misc]  # Django ships no types
    """An answer of ours. It is sent with every challenge, where Django has room for one header of each name."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body, status=answer.status)
        self._challenges = [value for name, value in answer.headers if name == _CHALLENGE]
        for name, value in answer.headers:
            self.headers[name] = value
        if self._challenges:
            self.headers[_CHALLENGE] = ", ".join(self._challenges)  # RFC 9110 section 11.6.1: the same, in one line

    def __await__(self) -> Generator[None, None, "Response"]:
        """Itself: where a class of asynchronous views dispatches, what it returns is awaited."""
        yield from ()
        return self

    def items(self) -> Iterator[tuple[str, Any]]:
        """The headers as they are sent."""
        for name, value in super().items():
            for one in self._challenges if name == _CHALLENGE else [value]:
                yield name, one


def _offered_proof(request: HttpRequest, address: ExternalAddress) -> OfferedProof | None:
    if "HTTP_DPOP" not in request.META:
        return None
    if hasattr(request, "scope"):
        return offered_over_asgi(request.scope, address)
    # Django writes the path into the environment as text, where WSGI has the bytes of it.
    as_bytes = {name: request.META[name].encode().decode("latin-1") for name in ("SCRIPT_NAME", "PATH_INFO")}
    return offered_over_wsgi({**request.environ, **as_bytes}, address)


def _certificate(request: HttpRequest, finder: CertificateFinder | None) -> ClientCertificate | None:
    if hasattr(request, "scope"):
        return certificate_over_asgi(request.scope, finder)
    return certificate_over_wsgi(request.environ, finder) if hasattr(request, "environ") else None


def _token_in_form(request: HttpRequest) -> bool:
    length = request.META.get("CONTENT_LENGTH") or ""
    if request.content_type != FORM or not length.isdecimal() or not 0 < int(length[:9]) <= LONGEST_FORM:
        return False
    try:
        return has_token(request.body.decode("latin-1"))  # is kept, so that the view can still read it as it likes
    except RawPostDataException:  # a middleware has read it, and nothing is left that could be believed
        return False
