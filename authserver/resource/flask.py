"""Protect a Flask API with access tokens.

    api = ResourceServer(issuer="https://auth.example.com", audience="https://images.example.com")

    @app.get("/images")
    @api.requires("images:read")
    def images():
        return {"owner": api.token.subject}

    api.init_app(app)

The last line serves the metadata document that challenges point to (RFC 9728).
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Final, ParamSpec, Unpack
from urllib.parse import unquote

from flask import Flask, Response, after_this_request, current_app, g, has_app_context, jsonify, request
from flask.typing import ResponseReturnValue

from authserver.errors import Refused, Unavailable
from authserver.oauth import DPOP_NONCE
from authserver.resource.address import ExternalAddress
from authserver.resource.challenge import Answer, Requirement, answer, authenticate
from authserver.resource.credential import ApiRequest
from authserver.resource.metadata import ProtectedResource
from authserver.resource.token import VerifiedToken
from authserver.resource.urls import require_url
from authserver.resource.verifier import AccessTokenVerifier, VerifierOptions
from authserver.resource.wsgi import offered_proof

_FORM: Final = "application/x-www-form-urlencoded"

_LONGEST_FORM: Final = 64 * 1024
"""A longer form is not searched for a second token, in bytes: it would have to be held in memory."""

P = ParamSpec("P")


class ResourceServer:
    """One API and the authorization server whose tokens it accepts.

    ``issuer``, ``audience`` and ``options`` are those of :class:`AccessTokenVerifier`. ``url`` is the external
    address of what this application calls ``/``, which DPoP proofs are compared with; left out, the origin of
    ``audience``. ``scopes`` are shown in the metadata document.

    Needs no application, so that views can be decorated before there is one.

    :raises ValueError: a setting cannot be used.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        url: str | None = None,
        scopes: Sequence[str] = (),
        **options: Unpack[VerifierOptions],
    ) -> None:
        if url is not None:
            require_url("url", url)
        self.url = url
        self._verifier = AccessTokenVerifier(issuer=issuer, audience=audience, **options)
        self._address = ExternalAddress(url, audience)
        self._resource = ProtectedResource(
            audience, issuer, tuple(Requirement(scopes).all_of), options.get("sender_constrained", False)
        )

    def init_app(self, app: Flask) -> None:
        """Serve the metadata document (RFC 9728 section 3) where the audience says that it is.

        Challenges point there whether or not this was called, because the address belongs to the audience: a
        proxy may serve the document instead. Nothing is served for an audience that is not a web address.
        """
        path = self._resource.metadata_path
        if path is not None:
            endpoint = f"{__name__}:{path}".replace(".", "_")  # Flask takes what is before a dot for a blueprint
            app.add_url_rule(unquote(path), endpoint, self._serve_metadata, methods=["GET"], strict_slashes=False)

    def requires(
        self, *scopes: str, any_of: Sequence[str] = ()
    ) -> Callable[[Callable[P, Any]], Callable[P, ResponseReturnValue]]:
        """Let a view run only for a token that has all of ``scopes``, and one of ``any_of`` if there are any.

        Without either, any valid token will do. The order of decorators matters: this one goes below
        ``app.route``. An asynchronous view is run as Flask runs it.

        :raises ValueError: a scope is malformed.
        """
        requirement = Requirement(scopes, any_of)

        def protect(view: Callable[P, Any]) -> Callable[P, ResponseReturnValue]:
            @wraps(view)
            def protected(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
                incoming = self._incoming()
                try:
                    accepted = authenticate(self._verifier, incoming, requirement)
                except (Refused, Unavailable) as error:
                    return _response(answer(error, self._resource, requirement, incoming.scheme))
                _tokens()[self] = accepted.token
                if accepted.nonce is not None:
                    _hand_over(accepted.nonce)
                result: ResponseReturnValue = current_app.ensure_sync(view)(*args, **kwargs)
                return result

            return protected

        return protect

    @property
    def token(self) -> VerifiedToken:
        """The verified token of the request that is being answered.

        :raises RuntimeError: there is none, because the view is not decorated with :meth:`requires`.
        """
        token = _tokens().get(self) if has_app_context() else None
        if token is None:
            raise RuntimeError("api.token is there only while a view decorated with api.requires() runs")
        return token

    def _incoming(self) -> ApiRequest:
        # Straight from the WSGI environment (PEP 3333), because nearly every request has neither query nor body. It
        # has room for one Authorization header: servers join repeated ones.
        environ = request.environ
        header = environ.get("HTTP_AUTHORIZATION")
        return ApiRequest(
            authorization=(header,) if header else (),
            token_in_query=bool(environ.get("QUERY_STRING")) and "access_token" in request.args,
            token_in_form=bool(environ.get("CONTENT_LENGTH")) and _token_in_form(),
            proof=offered_proof(environ, self._address),
        )

    def _serve_metadata(self) -> Response:
        return jsonify(self._resource.document())


def _tokens() -> dict[ResourceServer, VerifiedToken]:
    """The tokens of this request: an application may have several resource servers."""
    tokens: dict[ResourceServer, VerifiedToken] = g.setdefault("_authserver_tokens", {})
    return tokens


def _hand_over(nonce: str) -> None:
    @after_this_request
    def hand_over(response: Response) -> Response:
        response.headers[DPOP_NONCE] = nonce
        response.headers["Cache-Control"] = "no-store"  # RFC 9449 section 8.2: a cached nonce would be a stale one
        return response


def _token_in_form() -> bool:
    if request.mimetype != _FORM or not 0 < (request.content_length or 0) <= _LONGEST_FORM:
        return False
    request.get_data()  # reads the body once and keeps it, so that the view can still read it as it likes
    return "access_token" in request.form


def _response(refusal: Answer) -> Response:
    return Response(refusal.body, refusal.status, list(refusal.headers))
