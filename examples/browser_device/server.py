"""An API that accepts access tokens of browsers, and the page that calls it.

Run it with ``ISSUER=https://auth.example.com URL=https://images.example.com flask --app server run``. The page is
served from the same origin as the API, so nothing here needs CORS; the authorization server must have that origin in
``allowed_origins``.
"""

import os
from urllib.parse import urlsplit

from flask import Flask, Response

from authserver.resource.flask import ResourceServer

ISSUER = os.environ.get("ISSUER", "http://127.0.0.1:8400")
URL = os.environ.get("URL", "http://127.0.0.1:8500")

# Only files of this origin run, and they talk to the API and to the authorization server alone. Text can never become
# script: the page builds nothing from strings, and trusted types would stop it.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        f"connect-src 'self' {urlsplit(ISSUER).scheme}://{urlsplit(ISSUER).netloc}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

app = Flask(__name__, static_folder="page", static_url_path="")
api = ResourceServer(
    issuer=ISSUER,
    audience=URL,
    scopes=["images:read"],
    sender_constrained=True,  # a token without a key is of no use here
    require_dpop_nonce=True,  # nor is a proof that was made in advance
)
api.init_app(app)  # serves the document that tells the page which API, issuer and scopes these are (RFC 9728)


@app.get("/")
def show_page() -> Response:
    """The page. Who it is for is decided by keys, so everybody may have it."""
    return app.send_static_file("index.html")


@app.get("/images")
@api.requires("images:read")
def list_images() -> dict[str, object]:
    """Whoever may read sees the names; the token says who that is, and which browser."""
    return {"owner": api.token.subject, "device": api.token.client_id, "images": ["harbour", "sunrise"]}


@app.after_request
def protect(response: Response) -> Response:
    """Put the policy on every answer."""
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
