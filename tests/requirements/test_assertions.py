"""Section D: JWTs as grants and as client authentication, over HTTP and through every grant."""

from concurrent.futures import ThreadPoolExecutor

from authserver.testing import FakeIssuer, FrozenClock, hostile_tokens
from authserver.testing.claims import kubernetes_claims
from tests import leaks
from tests.endpoints.conftest import Application, MakeApplication
from tests.requirements.grants import REJECTED, each_grant, form
from tests.served import AUDIENCE, IMAGES

CLAIMS = kubernetes_claims("media", "thumbnailer", AUDIENCE)


@each_grant
def test_two_jwts_are_not_one(grant: str, application: Application, identity: str) -> None:
    """R33; RFC 7523 sections 2.1 and 2.2"""
    for separator in (" ", ",", "\n", "."):
        answer = application.post(form(grant, f"{identity}{separator}{identity}"))
        assert (answer.status, answer.json["error"], application.reason) == (*REJECTED[grant], "token_malformed")


@each_grant
def test_a_required_claim_that_is_missing_is_refused(grant: str, application: Application, cluster: FakeIssuer) -> None:
    """R34; RFC 7523 section 3 items 1 to 4"""
    for claim in ("iss", "sub", "aud", "exp"):
        answer = application.post(form(grant, leaks.handled(cluster.token({**CLAIMS, claim: None}))))
        assert (answer.status, answer.json["error"], application.reason) == (*REJECTED[grant], "claim_missing")
        assert application.events[-1]["facts"] == {"claim": claim}


@each_grant
def test_another_audience_than_the_sources_own_is_refused(
    grant: str, application: Application, cluster: FakeIssuer
) -> None:
    """R35, R94; RFC 7523 section 3 item 3"""
    almost = [f"{AUDIENCE}/token", f"{AUDIENCE}/", "https://AUTH.example.com"]
    for audience in (*almost, IMAGES, "*", "", [], [AUDIENCE, IMAGES]):
        answer = application.post(form(grant, leaks.handled(cluster.token({**CLAIMS, "aud": audience}))))
        assert (answer.status, answer.json["error"], application.reason) == (*REJECTED[grant], "audience_wrong")


@each_grant
def test_a_time_outside_its_bounds_is_refused(
    grant: str, application: Application, cluster: FakeIssuer, clock: FrozenClock
) -> None:
    """R36; RFC 7523 section 3 items 4 to 6; the clock skew is 30 s, and the longest age a day."""
    for offsets, reason in (
        ({"iat": -600, "exp": -30}, "expired"),
        ({"nbf": 31}, "not_yet_valid"),
        ({"iat": 31}, "issued_in_future"),
        ({"iat": -86431, "exp": 0}, "too_old"),
        ({"iat": 0, "exp": 86401}, "lives_too_long"),
    ):
        times = {name: int(clock()) + offset for name, offset in offsets.items()}
        answer = application.post(form(grant, leaks.handled(cluster.token({**CLAIMS, **times}))))
        assert (answer.status, answer.json["error"], application.reason) == (*REJECTED[grant], reason)


@each_grant
def test_every_hostile_token_is_refused_with_the_reason_on_record_and_a_constant_outside(
    grant: str, application: Application, cluster: FakeIssuer, clock: FrozenClock
) -> None:
    """R38, R39, R91, R92, R95; RFC 7523 section 3 items 9 and 10"""
    assert application.post(form(grant, leaks.handled(cluster.token(CLAIMS)))).status == 200
    said = set()
    for hostile in hostile_tokens(cluster, CLAIMS, now=clock(), required=("iss", "sub", "aud", "exp", "iat")):
        if hostile.name in ("empty", "oversize"):
            continue  # an empty parameter is an absent one (R21); the other has a test of its own
        answer = application.post(form(grant, leaks.handled(hostile.token)))
        assert (answer.status, answer.json["error"]) == REJECTED[grant], hostile.name
        assert application.reason, hostile.name
        said.add(answer.json["error_description"])
    assert len(said) == 1


@each_grant
def test_a_token_larger_than_the_limit_is_refused_unread(
    grant: str, application: Application, cluster: FakeIssuer
) -> None:
    """R95"""
    token = leaks.handled(cluster.token({**CLAIMS, "padding": "x" * 16 * 1024}))
    answer = application.post(form(grant, token))
    assert (answer.status, answer.json["error"], application.reason) == (*REJECTED[grant], "token_too_large")


@each_grant
def test_of_fifty_uses_on_two_nodes_exactly_one_is_answered_with_a_token(
    grant: str, make_application: MakeApplication, cluster: FakeIssuer
) -> None:
    """R37"""
    nodes = [make_application(folder="shared"), make_application(folder="shared")]
    token = leaks.handled(cluster.identity_token("https://once.auth.example.com"))
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: nodes[n % 2].post(form(grant, token)), range(50)))
    statuses = sorted(answer.status for answer in answers)
    assert statuses == [200, *[REJECTED[grant][0]] * 49]
    refused = [event["reason"] for node in nodes for event in node.events if event["outcome"] == "refused"]
    assert refused == ["used_twice"] * 49


@each_grant
def test_a_hostile_key_id_is_never_on_record_as_it_was_sent(
    grant: str, application: Application, cluster: FakeIssuer
) -> None:
    """R92"""
    for kid in ("../../etc/passwd", "' OR 1=1", "a\r\nb", "k" * 10240, "KID-\u0442"):
        answer = application.post(form(grant, leaks.handled(cluster.token(CLAIMS, header={"kid": kid}))))
        assert (answer.status, answer.json["error"], application.reason) == (*REJECTED[grant], "key_unknown")
        recorded = application.audit.getvalue().decode()
        assert kid not in recorded
        assert "passwd" not in recorded
        assert "OR 1=1" not in recorded


def test_a_client_assertion_may_name_its_client_and_no_other(application: Application, identity: str) -> None:
    """R40; RFC 7521 section 4.2"""
    sub = "cluster:system:serviceaccount:media:thumbnailer"
    for client_id, status in ((sub, 200), (sub.removeprefix("cluster:"), 401), (f"{sub} ", 401), (sub.upper(), 401)):
        assert application.post(form("client_credentials", identity, client_id=client_id)).status == status
