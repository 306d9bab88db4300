"""RFC 9728: what a resource server says about itself, and where."""

import pytest

from authserver.resource.metadata import ProtectedResource
from authserver.resource.urls import require_url

ISSUER = "https://auth.example.com"


@pytest.mark.parametrize(
    ("identifier", "url"),
    [
        ("https://a.example", "https://a.example/.well-known/oauth-protected-resource"),
        ("https://a.example/", "https://a.example/.well-known/oauth-protected-resource"),
        ("https://a.example/images", "https://a.example/.well-known/oauth-protected-resource/images"),
        ("https://a.example/images/", "https://a.example/.well-known/oauth-protected-resource/images/"),
        ("https://a.example/v1/images?x=1", "https://a.example/.well-known/oauth-protected-resource/v1/images?x=1"),
        ("https://a.example?x=1", "https://a.example/.well-known/oauth-protected-resource?x=1"),
        ("https://a.example:8443/i", "https://a.example:8443/.well-known/oauth-protected-resource/i"),
        ("http://[::1]:8000", "http://[::1]:8000/.well-known/oauth-protected-resource"),
    ],
)
def test_the_address_is_inserted_between_host_and_path(identifier: str, url: str) -> None:
    """R100; RFC 9728 section 3.1"""
    assert ProtectedResource(identifier, ISSUER).metadata_url == url


@pytest.mark.parametrize("identifier", ["images", "urn:example:images", "https://", "ftp://a.example", "https://a#b"])
def test_an_identifier_that_is_no_web_address_has_no_document(identifier: str) -> None:
    resource = ProtectedResource(identifier, ISSUER)
    assert resource.metadata_url is None
    assert resource.metadata_path is None


def test_the_document_names_the_identifier_as_it_is_and_leaves_out_what_is_empty() -> None:
    """R100, R3; RFC 9728 sections 2 and 3.2"""
    assert ProtectedResource("https://a.example/", ISSUER).document() == {
        "resource": "https://a.example/",
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "Ed25519"],
    }


def test_the_document_names_the_scopes_that_are_meant_to_be_known() -> None:
    document = ProtectedResource("https://a.example/", ISSUER, ("images:read", "images:write")).document()
    assert document["scopes_supported"] == ["images:read", "images:write"]


def test_the_document_says_that_bearer_tokens_are_not_accepted() -> None:
    """R3; RFC 9728 section 2"""
    document = ProtectedResource("https://a.example/", ISSUER, sender_constrained=True).document()
    assert document["dpop_bound_access_tokens_required"] is True


@pytest.mark.parametrize(
    "url", ["https://a.example", "https://a.example/path", "http://127.0.0.1:80", "http://[::1]", "http://localhost"]
)
def test_https_is_accepted_and_http_on_this_machine(url: str) -> None:
    require_url("url", url)


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example",
        "http://10.0.0.1",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "http://0x7f.1",
        "ftp://a.example",
        "https://a.example?",
        "https://a.example#",
        "https://me@a.example",
        "https://a.example\\@b.example",
        "https://a.example\r\n",
        "https://bücher.example",
        "https://a.example:port",
        "//a.example",
        "",
    ],
)
def test_any_other_url_is_refused_by_the_name_of_its_setting(url: str) -> None:
    with pytest.raises(ValueError, match="url must be"):
        require_url("url", url)
