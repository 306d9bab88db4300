"""Kubernetes service accounts."""

from collections.abc import Callable
from typing import Any

import pytest

from authserver.errors import CredentialRejected, Reason
from authserver.model import Subject
from authserver.testing import FakeIssuer
from authserver.testing.claims import kubernetes_claims
from tests import vectors
from tests.identity.conftest import AUDIENCE


def test_a_projected_token_gives_the_service_account_and_its_pod(
    issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    subject = authenticate("kubernetes", issuer.kubernetes_token("media", "thumbnailer", AUDIENCE))
    assert subject.sub == "here:system:serviceaccount:media:thumbnailer"
    assert subject.attributes["namespace"] == ("media",)
    assert subject.attributes["service_account"] == ("thumbnailer",)
    assert set(subject.attributes) == {
        "namespace",
        "service_account",
        "service_account_uid",
        "pod",
        "pod_uid",
        "node",
    }


def test_the_public_claim_set_is_understood(issuer: FakeIssuer, authenticate: Callable[..., Subject]) -> None:
    claims = vectors.load("identity-claims/kubernetes/claims-projected.json")
    subject = authenticate("kubernetes", issuer.token({**claims, "iss": issuer.issuer}), audience="api://our-sts")
    assert subject.subject == "system:serviceaccount:prod:api"
    assert subject.attributes["node"] == ("node-1",)
    assert subject.attributes["service_account_uid"] == ("14ee3fa4-a7e2-420f-9f9a-dbc4507c3798",)


def test_a_legacy_token_without_audience_or_expiry_is_refused(
    issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    legacy = vectors.load("identity-claims/kubernetes/rawSAT.json")["claims"]
    never: dict[str, Any] = {"exp": None, "iat": None, "jti": None}
    for claims, reason in (
        ({**legacy, **never}, Reason.CLAIM_MISSING),
        ({**legacy, "iss": issuer.issuer, **never}, Reason.CLAIM_MISSING),
        ({**legacy, "iss": issuer.issuer, "aud": AUDIENCE, **never}, Reason.CLAIM_MISSING),
        ({**legacy, "iss": issuer.issuer, "aud": AUDIENCE}, Reason.LEGACY_SERVICE_ACCOUNT_TOKEN),
    ):
        with pytest.raises(CredentialRejected) as refused:
            authenticate("kubernetes", issuer.token(claims))
        assert refused.value.reason is reason


def test_the_subject_and_the_claims_must_name_the_same_service_account(
    issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    with pytest.raises(CredentialRejected) as refused:
        authenticate(
            "kubernetes",
            issuer.kubernetes_token("media", "thumbnailer", AUDIENCE, sub="system:serviceaccount:kube-system:admin"),
        )
    assert refused.value.reason is Reason.SUBJECT_MISMATCH


@pytest.mark.parametrize("name", [None, "", 7, ["media"], "a:b"])
def test_a_namespace_that_is_no_name_is_refused(
    name: object, issuer: FakeIssuer, authenticate: Callable[..., Subject]
) -> None:
    claims = kubernetes_claims("media", "thumbnailer", AUDIENCE)
    claims["kubernetes.io"] = {**claims["kubernetes.io"], "namespace": name}
    with pytest.raises(CredentialRejected) as refused:
        authenticate("kubernetes", issuer.token(claims))
    assert refused.value.reason is Reason.CLAIM_MALFORMED


def test_a_token_without_a_pod_has_no_pod_to_match(issuer: FakeIssuer, authenticate: Callable[..., Subject]) -> None:
    claims = kubernetes_claims("media", "thumbnailer", AUDIENCE)
    del claims["kubernetes.io"]["pod"], claims["kubernetes.io"]["node"]
    subject = authenticate("kubernetes", issuer.token(claims))
    assert set(subject.attributes) == {"namespace", "service_account", "service_account_uid"}
