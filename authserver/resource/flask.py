"""Protect a Flask API with access tokens.

    api = ResourceServer(issuer="https://auth.example.com", audience="https://images.example.com")

    @app.get("/images")
    @api.requires("images:read")
    def images():
        return {"owner": api.token.subject}

    api.init_app(app)

The last line serves the metadata document that challenges point to (RFC 9728).
"""

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, ParamSpec

from flask import Flask, Response, after_this_request, current_app, has_request_context, request
from flask.typing import ResponseReturnValue

from authserver.errors import Refused, Unavailable
from authserver.resource.adapter import FORM, LONGEST_FORM, Adapter
from authserver.resource.challenge import Answer
from authserver.resource.credential import ApiRequest
from authserver.resource.requirement import Need, Needs
from authserver.resource.token import Accepted, VerifiedToken
from authserver.resource.wsgi import client_certificate, offered_proof

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

P = ParamSpec("P")

_ACCEPTED: Final = "authserver.accepted"


class ResourceServer(Adapter):
    """One API and the authorization server whose tokens it accepts.

    ``issuer``, ``audience`` and ``options`` are those of :class:`~authserver.resource.protection.Protection`.

    Needs no application, so that views can be decorated before there is one.

    :raises ValueError: a setting cannot be used.
    """

    def init_app(self, app: Flask) -> None:
        """Serve the metadata document (RFC 9728 section 3) where the audience says that it is.

        Challenges point there whether or not this was called, because the address belongs to the audience: a
        proxy may serve the document instead. Nothing is served for an audience that is not a web address.
        """
        path = self.protection.metadata_path
        if path is not None:
            endpoint = f"{__name__}:{path}".replace(".", "_")  # Flask takes what is before a dot for a blueprint
            app.add_url_rule(path, endpoint, self._serve_metadata, methods=["GET"], strict_slashes=False)

    def requires(
        self, *needs: Need, any_of: Sequence[Need] = (), optional: bool = False
    ) -> Callable[[Callable[P, Any]], Callable[P, ResponseReturnValue]]:
        """Let a view run only for a token that has all that it ``needs``, and one of ``any_of`` if there are any.

        A need is a scope, or a callable that gets :data:`flask.request` and returns one or several. Without any, each
        valid token will do. With ``optional`` the view also runs without credentials; see :attr:`optional_token`.

        The order of decorators matters: this one goes below ``app.route``. An asynchronous view is run as Flask runs
        it.

        :raises ValueError: a scope is malformed.
        """
        declared = Needs(*needs, any_of=any_of, optional=optional)

        def protect(view: Callable[P, Any]) -> Callable[P, ResponseReturnValue]:
            asynchronous = iscoroutinefunction(view)  # asked once, because Flask asks for each request

            @wraps(view)
            def protected(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
                refusal = self._refusal(declared)
                if refusal is not None:
                    return refusal
                run = current_app.ensure_sync(view) if asynchronous else view
                result: ResponseReturnValue = run(*args, **kwargs)
                return result

            return protected

        return protect

    def protect(
        self,
        app: Flask,
        *needs: Need,
        any_of: Sequence[Need] = (),
        optional: bool = False,
        exempt: Iterable[str] = (),
    ) -> None:
        """Protect all of an application like one view with :meth:`requires`, static files and errors included.

        ``exempt`` are paths that are open to everybody: exact ones, or with ``/*`` at the end all below. The metadata
        document always is. Views may require more of their own.

        :raises ValueError: a scope or a path is malformed.
        """
        declared = Needs(*needs, any_of=any_of, optional=optional)
        exemptions = self.protection.exemptions(exempt)

        @app.before_request
        def protect() -> Response | None:
            return None if exemptions.covers(request.path) else self._refusal(declared)

    @property
    def optional_token(self) -> VerifiedToken | None:
        """The verified token of the request that is being answered; None if it brought no credentials.

        :raises RuntimeError: what runs is not protected by :meth:`requires` or :meth:`protect`.
        """
        requests = _accepted(request.environ) if has_request_context() else {}
        if self not in requests:
            return super().optional_token
        accepted = requests[self]
        return None if accepted is None else accepted.token

    def _refusal(self, needs: Needs) -> Response | None:
        """The answer to a request that may not pass. None for one that may, whose token is kept for its view."""
        environ = request.environ  # once: each way through the proxy costs as much as a look-up of the token
        requirement, incoming, known = needs.of(request), self._incoming(environ), _accepted(environ)
        before = known.get(self)
        try:
            accepted = self.protection.check(incoming, requirement, before)
        except (Refused, Unavailable) as error:
            return _response(self.protection.refuse(error, incoming, requirement))
        known[self] = accepted
        if accepted is not None and accepted.nonce is not None and before is None:
            _hand_over(accepted)
        return None

    def _incoming(self, environ: "WSGIEnvironment") -> ApiRequest:
        # Straight from the WSGI environment (PEP 3333), because nearly every request has neither query nor body. It
        # has room for one Authorization header: servers join repeated ones.
        header, protection = environ.get("HTTP_AUTHORIZATION"), self.protection
        return ApiRequest(
            authorization=(header,) if header else (),
            token_in_query=bool(environ.get("QUERY_STRING")) and "access_token" in request.args,
            # A form is read only where there is a token that it could repeat.
            token_in_form=bool(header) and bool(environ.get("CONTENT_LENGTH")) and _token_in_form(),
            proof=offered_proof(environ, protection.address),
            request_id=environ.get("HTTP_X_REQUEST_ID"),
            certificate=client_certificate(environ, protection.certificates),
        )

    def _serve_metadata(self) -> Response:
        return _response(self.protection.metadata)


def _accepted(environ: "WSGIEnvironment") -> dict[ResourceServer, Accepted | None]:
    """What this request was accepted with: an application may have several resource servers.

    Not in :data:`flask.g`: where an application has pushed its context once, all later requests share that.
    """
    accepted: dict[ResourceServer, Accepted | None] = environ.setdefault(_ACCEPTED, {})
    return accepted


def _hand_over(accepted: Accepted) -> None:
    @after_this_request
    def hand_over(response: Response) -> Response:
        response.headers.update(accepted.headers)
        return response


def _token_in_form() -> bool:
    if request.mimetype != FORM or not 0 < (request.content_length or 0) <= LONGEST_FORM:
        return False
    request.get_data()  # reads the body once and keeps it, so that the view can still read it as it likes
    return "access_token" in request.form


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, list(answer.headers))
