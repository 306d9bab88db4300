"""An API for tests that takes tokens which are bound to client certificates; it runs under gunicorn."""

import json
import os

from flask import Flask

from authserver.resource.flask import ResourceServer

application = Flask("bound")
api = ResourceServer(
    issuer=os.environ["BOUND_ISSUER"],
    audience="https://images.example.com",
    client_certificates=json.loads(os.environ["BOUND_CERTIFICATES"]),
)


@application.get("/images")
@api.requires("images:read")
def images() -> dict[str, str | None]:
    """Who calls, and by which certificate."""
    return {"caller": api.token.subject, "certificate": api.token.certificate_thumbprint}
