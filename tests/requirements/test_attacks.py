"""What went wrong elsewhere, tried against the whole application; most of it is tried in the rooms that it concerns."""

from authserver.errors import Reason
from authserver.jose.fetch import Cause
from authserver.testing import FakeIssuer
from tests import leaks
from tests.endpoints.conftest import Application, MakeApplication
from tests.served import AUDIENCE, exchange_form

GITHUB = "https://github.auth.example.com"
PINNED = """
[[allow]]
name = "deploy-of-octo"
source = "github"
match = { repository = "octo-org/site", repository_id = "71", repository_owner_id = "7" }
resource = "https://images.example.com"
scope = ["images:read"]
"""


def job(cluster: FakeIssuer, repository: str, repository_id: str, owner_id: str, **claims: str) -> dict[str, str]:
    """The request of a job of this repository."""
    token = cluster.github_token(
        repository, GITHUB, repository_id=repository_id, repository_owner_id=owner_id, **claims
    )
    return exchange_form(leaks.handled(token))


def test_a_repository_or_account_was_renamed_and_its_name_taken_over(
    make_application: MakeApplication, cluster: FakeIssuer
) -> None:
    """GitHub's change of 2026-07-15, PyPI: ids are pinned, and what no longer belongs together is on record."""
    application = make_application(more=PINNED)
    assert application.post(job(cluster, "octo-org/site", "71", "7")).status == 200
    for repository, repository_id, owner_id in (
        ("octo-org/site", "999", "7"),  # the repository was deleted, and made again by the same owner
        ("octo-org/site", "999", "998"),  # the account was renamed, and its name registered by somebody else
        ("octo-org/site", "71", "998"),  # the repository was given away
        ("new-org/site", "71", "7"),  # the same repository under a name that the rule does not have
    ):
        assert application.post(job(cluster, repository, repository_id, owner_id)).status == 400
        event = application.events[-1]
        assert event["reason"] == "no_rule"
        assert event["sub"].startswith(f"github:repo:{repository.partition('/')[0]}@{owner_id}/site@{repository_id}:")


def test_the_subject_of_a_name_that_no_longer_belongs_to_its_id_is_refused_and_reported(
    make_application: MakeApplication, cluster: FakeIssuer
) -> None:
    """GitHub's change of 2026-07-15"""
    application = make_application(more=PINNED)
    old = "repo:octo-org@7/site@71:ref:refs/heads/main"
    assert application.post(job(cluster, "octo-org/site", "999", "998", sub=old)).status == 400
    event = application.events[-1]
    assert event["reason"] == "subject_mismatch"
    assert event["facts"] == {"sub": old, "claims": "repo:octo-org@998/site@999:"}


def test_an_error_description_with_an_odd_character_raised_an_exception_while_the_error_was_built(
    application: Application, cluster: FakeIssuer
) -> None:
    """R26; Authlib: an error is made of constants, so nothing that was sent can break it."""
    good = exchange_form("broken")
    for odd in (*'\u00e9\U0001f5bc"\\\x7f\u2028\ufeff\ufffe%\t', "\x1b[31m", "{}", "{0}", "%s"):
        requests = [{**good, name: odd} for name in good] + [{**good, odd: odd}, {**good, "client_id": odd}]
        for token in (
            cluster.kubernetes_token("media", odd, AUDIENCE),
            cluster.identity_token(AUDIENCE, iss=odd),
            cluster.identity_token(odd),
            cluster.token({"aud": AUDIENCE}, header={"kid": odd, "typ": odd}),
        ):
            requests.append(exchange_form(leaks.handled(token)))
        for request in requests:
            answer = application.post(request)
            assert answer.status == 400, ascii(odd)
            assert answer.body.isascii()
            assert answer.json.keys() == {"error", "error_description", "request_id"}


def test_what_may_label_a_metric_is_from_a_closed_set_whatever_was_sent(
    application: Application, cluster: FakeIssuer
) -> None:
    """Keycloak CVE-2026-16100: error text was used as a metric label."""
    label = "label-of-the-attacker"
    for request in (
        *({**exchange_form("broken"), name: label} for name in exchange_form("broken")),
        exchange_form(leaks.handled(cluster.identity_token(AUDIENCE, iss=f"https://{label}.example"))),
        exchange_form(leaks.handled(cluster.identity_token(label))),
        exchange_form(leaks.handled(cluster.identity_token(AUDIENCE, sub=label))),
    ):
        assert application.post(request).status == 400
        event = application.events[-1]
        assert event["reason"] in set(Reason)
        assert event["outcome"] in {"issued", "refused", "unavailable", "failed"}
        assert label not in (event.get("grant"), event.get("resource"), event.get("source"))


def test_the_causes_of_a_failed_fetch_are_a_closed_set(
    application: Application, cluster: FakeIssuer, identity: str
) -> None:
    """Keycloak CVE-2026-16100"""
    cluster.publish_garbage()
    assert application.post(exchange_form(identity)).status == 503
    assert application.events[-1]["facts"]["cause"] in set(Cause)
