"""Every kind of mistake: found at its place, said in plain English, with something to do about it."""

from pathlib import Path

import pytest

from authserver.identity.sources import SOURCES
from tests.settings.build import EXPECT, RESOURCE, RULE, SERVER, SOURCE, document, only_problem, problems, write

PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\\nMIGHAgEAMBMGByqGSM49AgEG\\n-----END PRIVATE KEY-----"


def changed(lines: str, old: str, new: str) -> str:
    assert old in lines
    return lines.replace(old, new)


def server(lines: str) -> dict[str, str]:
    return {"server": f"{SERVER}\n{lines}"}


def issuer(value: str, lines: str = "") -> dict[str, str]:
    return {"server": f'issuer = "{value}"\n{lines}'}


def resource(old: str, new: str) -> dict[str, str]:
    return {"resources.images": changed(RESOURCE, old, new)}


def source(old: str, new: str) -> dict[str, str]:
    return {"sources.cluster": changed(SOURCE, old, new)}


def rule(old: str, new: str) -> dict[str, str]:
    return {"[allow]": changed(RULE, old, new)}


def expect(old: str, new: str) -> dict[str, str]:
    return {"[expect]": changed(EXPECT, old, new)}


def device(lines: str) -> dict[str, str]:
    return {"sources.phones": f'type = "device"\n{lines}'}


MATCH = 'match = { namespace = "media" }'

CASES = {
    "an unknown table": ({"token": ""}, "token", "unknown table 'token'; did you mean 'tokens'?"),
    "an unknown key": (server("worker = 2"), "server.worker", "unknown key 'worker'; did you mean 'workers'?"),
    "a misspelt key that is required": (
        resource("scopes", "scops"),
        "resources.images.scops",
        "unknown key 'scops'; did you mean 'scopes'?",
    ),
    "an unknown key that resembles nothing": (server("zzz = 1"), "server.zzz", "unknown key 'zzz'"),
    "an unknown key in a nested table": (
        {"keys": 'master_key = { file = "a", evn = "B" }'},
        "keys.master_key.evn",
        "unknown key 'evn'; did you mean 'env'?",
    ),
    "a missing key": ({"server": ""}, "server.issuer", "is missing"),
    "a number for a string": (server("bind = 8400"), "server.bind", "must be a string"),
    "a string for a number": (server('workers = "2"'), "server.workers", "must be a whole number"),
    "a boolean for a number": (server("workers = true"), "server.workers", "must be a whole number"),
    "a string for a boolean": (
        server('insecure_allow_http = "true"'), "server.insecure_allow_http", "must be true or false"),
    "a string for a list": (server('include = "x.toml"'), "server.include", "must be a list"),
    "a string for a table": (source("audience", 'jwks = "x"\naudience'), "sources.cluster.jwks", "must be a table"),
    "a list for a single table": ({"[tokens]": ""}, "tokens", "must be a table"),
    "an unknown table that resembles one": ({"expekt": ""}, "expekt", "unknown table 'expekt'; did you mean 'expect'?"),
    "no workers": (server("workers = 0"), "server.workers", "must be at least 1"),
    "an environment that is no name": (server('environment = "Prod EU"'), "server.environment", "is not a name"),
    "a duration without a unit": (server("clock_skew = 30"), "server.clock_skew", "must be a duration"),
    "too much clock skew": (server('clock_skew = "61s"'), "server.clock_skew", 'must be between "0s" and "1m"'),
    "an address without a port": (server('bind = "127.0.0.1"'), "server.bind", "is not an address to listen on"),
    "an IPv6 address without brackets": (server('bind = "::1:80"'), "server.bind", "is not an address to listen on"),
    "a proxy that is no network": (
        server('trusted_proxies = ["10.0.0.1/8"]'), "server.trusted_proxies[0]", "is not a network"),
    "a proxy that is everybody": (
        server('trusted_proxies = ["10.0.0.0/8", "::/0"]'), "server.trusted_proxies[1]",
        "trusts every address there is"),
    "an origin that is everybody's": (
        server('allowed_origins = ["*"]'), "server.allowed_origins[0]",
        "has a *, and every origin is named by itself"),
    "an origin with a star for a host": (
        server('allowed_origins = ["https://*.example.com"]'), "server.allowed_origins[0]",
        "has a *, and every origin is named by itself"),
    "an origin that is no URL": (
        server('allowed_origins = ["null"]'), "server.allowed_origins[0]", "is not an http or https URL"),
    "an origin of another kind": (
        server('allowed_origins = ["app://localhost"]'), "server.allowed_origins[0]", "is not an http or https URL"),
    "an origin with a user": (
        server('allowed_origins = ["https://me@a.example.com"]'), "server.allowed_origins[0]",
        "carries a user name or password"),
    "an origin with a slash at the end": (
        server('allowed_origins = ["https://b.example.com", "https://a.example.com/"]'), "server.allowed_origins[1]",
        "is not an origin as browsers write it"),
    "an origin with a path": (
        server('allowed_origins = ["https://a.example.com/app"]'), "server.allowed_origins[0]",
        "is not an origin as browsers write it"),
    "an origin with a query": (
        server('allowed_origins = ["https://a.example.com?"]'), "server.allowed_origins[0]",
        "is not an origin as browsers write it"),
    "an origin with capital letters": (
        server('allowed_origins = ["https://A.example.com"]'), "server.allowed_origins[0]",
        "is not an origin as browsers write it"),
    "an origin with the port that browsers leave out": (
        server('allowed_origins = ["https://a.example.com:443"]'), "server.allowed_origins[0]",
        "is not an origin as browsers write it"),
    "an origin with a long address": (
        server('allowed_origins = ["https://[0:0::1]"]'), "server.allowed_origins[0]",
        "is not an origin as browsers write it"),
    "an origin with an address that is none": (
        server('allowed_origins = ["https://[v1.a:b]"]'), "server.allowed_origins[0]", "is not an http or https URL"),
    "an origin over http": (
        server('allowed_origins = ["http://a.example.com"]'), "server.allowed_origins[0]", "must be https"),
    "an origin over http on loopback": (
        server('allowed_origins = ["http://localhost:3000"]'), "server.allowed_origins[0]", "must be https"),
    "an origin over http that is not on loopback": (
        server('allowed_origins = ["http://a.example.com"]\ninsecure_allow_http = true'),
        "server.allowed_origins[0]",
        "must be https"),
    "an origin twice": (
        server('allowed_origins = ["https://a.example.com", "https://a.example.com"]'), "server.allowed_origins",
        "names something twice"),
    "an origin that is no string": (server("allowed_origins = [7]"), "server.allowed_origins[0]", "must be a string"),
    "one origin without its list": (
        server('allowed_origins = "https://a.example.com"'), "server.allowed_origins", "must be a list"),
    "an include that matches nothing": (server('include = ["no/*.toml"]'), "server.include[0]", "matches no file"),
    "an include that is absolute": (
        server('include = ["/etc/*.toml"]'), "server.include[0]", "is not a pattern for files"),
    "an include twice": (server('include = ["*.toml", "*.toml"]'), "server.include", "names something twice"),
    "an issuer that is no URL": (issuer("auth.example.com"), "server.issuer", "is not an http or https URL"),
    "an issuer with a query": (
        issuer("https://auth.example.com?"), "server.issuer", "must have no query and no fragment"),
    "an issuer with a fragment": (
        issuer("https://auth.example.com#x"), "server.issuer", "must have no query and no fragment"),
    "an issuer with a slash at the end": (
        issuer("https://auth.example.com/"), "server.issuer", "must not end in a slash"),
    "an issuer with a user": (
        issuer("https://me@auth.example.com"), "server.issuer", "carries a user name or password"),
    "an issuer with capital letters": (
        issuer("https://Auth.example.com"), "server.issuer", "has a host with capital letters"),
    "an issuer with dots in its path": (
        issuer("https://auth.example.com/a/../b"), "server.issuer", "has a path with more than one spelling"),
    "an issuer with an impossible port": (
        issuer("https://auth.example.com:99999"), "server.issuer", "is not an http or https URL"),
    "an issuer with an empty port": (
        issuer("https://auth.example.com:"), "server.issuer", "is not an http or https URL"),
    "an issuer over http": (issuer("http://127.0.0.1"), "server.issuer", "must be https"),
    "an issuer over http that is not on loopback": (
        issuer("http://auth.example.com", "insecure_allow_http = true"), "server.issuer", "must be https"),
    "metrics on the public address": (
        {"telemetry": 'bind = "127.0.0.1:8400"'}, "telemetry.bind", "is the public address of the server"),
    "a store of another kind": ({"store": 'url = "postgres://x"'}, "store.url", "does not name a store"),
    "a store as other tools spell it": ({"store": 'url = "sqlite:///x.db"'}, "store.url", "does not name a store"),
    "a store in memory": ({"store": 'url = "sqlite::memory:"'}, "store.url", "does not name a store"),
    "a Redis store with its password": (
        {"store": 'url = "rediss://us:secret@x"'}, "store.url", "carries a user name or password"),
    "a Redis store without a host": ({"store": 'url = "redis://"'}, "store.url", "does not name a store"),
    "a Redis store with an impossible port": (
        {"store": 'url = "redis://x:99999"'}, "store.url", "does not name a store"),
    "a Redis store with options": ({"store": 'url = "redis://x?db=1"'}, "store.url", "does not name a store"),
    "several Redis stores": ({"store": 'url = "redis://x,y"'}, "store.url", "does not name a store"),
    "a Redis store with a database that is no number": (
        {"store": 'url = "redis://x/one"'}, "store.url", "names a database that is no number"),
    "Sentinels of nobody": (
        {"store": 'url = "redis+sentinel://x:26379"'}, "store.url", "does not say what the Sentinels call the primary"),
    "a cluster with a database": (
        {"store": 'url = "redis+cluster://x/1"'}, "store.url", "names a database, and a cluster has only one"),
    "a Redis store without TLS whose authorities are named": (
        {"store": 'url = "redis://x"\nca_file = "x"'},
        "store.ca_file", "means nothing to a store that is reached without TLS"),
    "a key for a Redis store without its certificate": (
        {"store": 'url = "rediss://x"\nkey_file = "x"'}, "store.key_file", "is the key of no certificate"),
    "a prefix that is a pattern": ({"store": 'key_prefix = "a*"'}, "store.key_prefix", "is no prefix for keys"),
    "more replicas than anybody has": (
        {"store": "confirm_replicas = 11"}, "store.confirm_replicas", "must be between 0 and 10"),
    "an algorithm that keys are not made for": (
        {"keys": 'algorithms = ["HS256"]'}, "keys.algorithms[0]", "must be 'ES256', 'RS256' or 'EdDSA'"),
    "an algorithm twice": ({"keys": 'algorithms = ["ES256", "ES256"]'}, "keys.algorithms", "names something twice"),
    "no algorithm": ({"keys": "algorithms = []"}, "keys.algorithms", "is an empty list"),
    "keys cached for too long": ({"keys": 'jwks_max_age = "2h"'}, "keys.jwks_max_age", 'must be between "1s" and "1h"'),
    "a secret instead of a reference": (
        {"keys": 'master_key = "bWFzdGVyIGtleSBtYXN0ZXIga2V5IG1hc3RlciBrZXk="'},
        "keys.master_key",
        "must say where the secret is, never the secret itself"),
    "a secret for the name of a variable": (
        {"keys": 'master_key = { env = "bWFzdGVy+2V5" }'},
        "keys.master_key",
        '"env" must be the name of an environment variable'),
    "a reference to two places": (
        {"keys": 'master_key = { file = "a", env = "B" }'}, "keys.master_key",
        'must name exactly one of "file" and "env"'),
    "a reference to no place": (
        {"keys": "previous_master_keys = [{}]"},
        "keys.previous_master_keys[0]",
        'must name exactly one of "file" and "env"'),
    "a private key": ({"keys": f'master_key = "{PRIVATE_KEY}"'}, "keys.master_key", "contains a private key"),
    "a private key where nobody looks for one": (
        server(f'trusted_proxies = ["{PRIVATE_KEY}"]'), "server.trusted_proxies[0]", "contains a private key"),
    "a lifetime beyond one hour": ({"tokens": 'lifetime = "61m"'}, "tokens.lifetime", 'must be between "1s" and "1h"'),
    "a limit that is no rate": ({"limits": 'failures = "often"'}, "limits.failures", "is not a rate"),
    "two limits": ({"limits": 'failures = "60/minute;1/second"'}, "limits.failures", "is not a rate"),
    "a limit that allows nothing": ({"limits": 'failures = "0/minute"'}, "limits.failures", "would allow nothing"),
    "a resource whose name is none": (
        {"resources.Images_2": changed(RESOURCE, "images.", "i.")}, "resources.Images_2", "is not a name"),
    "an identifier with a line break": (
        {"resources.b": changed(RESOURCE, "https://images.", "my\\n")},
        "resources.b.identifier",
        "is not an identifier"),
    "an identifier with a colon that is no URI": (
        {"resources.b": changed(RESOURCE, "https://images.", "1:")},
        "resources.b.identifier",
        "has a colon and is not an absolute URI without fragment"),
    "an identifier twice": (
        {"resources.b": RESOURCE}, "resources.b.identifier", "is the identifier of resources.images already"),
    "an identifier that is the issuer": (
        {"resources.b": changed(RESOURCE, "https://images.", "https://auth.")},
        "resources.b.identifier",
        "is the issuer of this server already"),
    "a resource without scopes": (
        {"resources.b": 'identifier = "b"\nscopes = []'}, "resources.b.scopes", "is an empty list"),
    "a scope that no request can name": (
        {"resources.b": 'identifier = "b"\nscopes = ["a b"]'},
        "resources.b.scopes",
        "has a scope with a character that no scope may have"),
    "a default scope that does not exist": (
        resource("scopes", 'default_scopes = ["images:reed"]\nscopes'),
        "resources.images.default_scopes[0]",
        "unknown scope 'images:reed'; did you mean 'images:read'?"),
    "an algorithm without keys": (
        resource("scopes", 'algorithm = "EdDSA"\nscopes'), "resources.images.algorithm",
        "is not among keys.algorithms"),
    "a source whose name has a colon": (
        {'sources."a:b"': changed(SOURCE, "cluster.", "c.")}, "sources.'a:b'", "is not a name"),
    "a source without audience": (
        source('audience = "https://auth.example.com"', ""), "sources.cluster.audience", "is missing"),
    "a source with an empty audience": (
        source('audience = "https://auth.example.com"', 'audience = ""'), "sources.cluster.audience",
        "must not be empty"),
    "a source without type": (source('type = "kubernetes"', ""), "sources.cluster.type", "is missing"),
    "a source of an unknown type": (
        source('"kubernetes"', '"jenkins"'), "sources.cluster.type", "is no known type of source"),
    "a source over http": (source("https://cluster", "http://cluster"), "sources.cluster.issuer", "must be https"),
    "a key set over http": (
        source("audience", 'jwks = { url = "http://x" }\naudience'), "sources.cluster.jwks.url", "must be https"),
    "a source that never accepts a token": (
        source("audience", 'max_age = "0s"\naudience'), "sources.cluster.max_age", 'must be between "1s" and "3650d"'),
    "two sources for the same tokens": (
        {"sources.b": SOURCE}, "sources.b.audience", "is, with the same issuer, the audience of sources.cluster too"),
    "a source whose issuer is spelled like a device": (
        source('issuer = "https://cluster.example.com"', 'issuer = "dev_"\njwks = { file = "x" }'),
        "sources.cluster.issuer",
        'begins with "dev_", as the names of the devices that enrol here do'),
    "devices with an issuer": (
        device('issuer = "https://login.example.com"'), "sources.phones.issuer", "unknown key 'issuer'"),
    "owners without devices": (device("max_per_owner = 0"), "sources.phones.max_per_owner", "must be at least 1"),
    "codes that can be used for too long": (
        device('enrollment_code_lifetime = "2d"'), "sources.phones.enrollment_code_lifetime",
        'must be between "1s" and "1d"'),
    "devices that nobody can enrol": (
        device('enroll_with = ["compani"]'), "sources.phones.enroll_with[0]", "unknown source 'compani'"),
    "devices that a workload enrols": (
        device('enroll_with = ["cluster"]'), "sources.phones.enroll_with[0]", 'is no source of type "oidc"'),
    "devices that enrol devices": (
        device('enroll_with = ["phones"]'), "sources.phones.enroll_with[0]", 'is no source of type "oidc"'),
    "devices that are enrolled twice": (
        device('enroll_with = ["a", "a"]'), "sources.phones.enroll_with", "names something twice"),
    "an attribute that no invitation can give": (
        device("") | rule('source = "cluster"\nmatch = { namespace', 'source = "phones"\nmatch = { Platform'),
        "allow[0].match.Platform",
        "unknown attribute 'Platform'; did you mean 'platform'?"),
    "a scope for the devices of a source that has none": (
        rule('resource = "https://images.example.com"\nscope = ["images:read"]',
             'resource = "https://auth.example.com"\nscope = ["devices:invite:cluster"]'),
        "allow[0].scope[0]",
        "unknown scope 'devices:invite:cluster'"),
    "a rule that admits everyone": (
        rule(MATCH, "match = {}"), "allow[0].match", "is empty, so the rule would admit every caller of its source"),
    "a rule without a match": (rule(MATCH, ""), "allow[0].match", "is missing"),
    "a match that is no table": (rule(MATCH, 'match = "media"'), "allow[0].match", "must be a table"),
    "a glob that pins nothing": (
        rule('"media"', '{ glob = "*" }'), "allow[0].match.namespace", "is a glob that pins nothing"),
    "a glob without a star": (
        rule('"media"', '{ glob = "media" }'), "allow[0].match.namespace", "is a glob without a *"),
    "a glob with two stars in a row": (
        rule('"media"', '{ glob = "a/**" }'), "allow[0].match.namespace", "has ** in a glob"),
    "a regular expression": (
        rule('"media"', '{ regex = "^media$" }'), "allow[0].match.namespace", "is a table that is not a glob"),
    "a value that is no spelling": (
        rule('"media"', "1.5"), "allow[0].match.namespace", "cannot be compared with a claim"),
    "an empty list of values": (
        rule('"media"', "[]"), "allow[0].match.namespace", "is an empty list, which nothing matches"),
    "an attribute that the source does not have": (
        rule("namespace =", "name_space ="),
        "allow[0].match.name_space",
        "unknown attribute 'name_space'; did you mean 'namespace'?"),
    "a rule for an unknown source": (
        rule('"cluster"', '"clutser"'), "allow[0].source", "unknown source 'clutser'; did you mean 'cluster'?"),
    "a rule for an unknown resource": (
        rule("https://images", "https://image"),
        "allow[0].resource",
        "unknown resource identifier 'https://image.example.com'; did you mean 'https://images.example.com'?"),
    "a rule that grants nothing": (rule('["images:read"]', "[]"), "allow[0].scope", "is an empty list"),
    "a rule for an unknown scope": (
        rule('["images:read"]', '["images:write", "images:reed"]'),
        "allow[0].scope[1]",
        "unknown scope 'images:reed'; did you mean 'images:read'?"),
    "a rule beyond one hour": (
        rule("scope", 'lifetime = "2h"\nscope'), "allow[0].lifetime", 'must be between "1s" and "1h"'),
    "a rule beyond the lifetime of tokens": (
        {**rule("scope", 'lifetime = "31m"\nscope'), "tokens": 'lifetime = "30m"'},
        "allow[0].lifetime",
        "is longer than tokens.lifetime"),
    "a rule with an unknown mode": (
        rule("scope", 'mode = "dry-run"\nscope'), "allow[0].mode", "must be 'enforce' or 'audit'"),
    "a policy test for an unknown source": (
        expect('"cluster"', '"other"'), "expect[0].source", "unknown source 'other'"),
    "a policy test for an unknown resource": (
        expect("images.example", "image.example"),
        "expect[0].resource",
        "unknown resource identifier 'https://image.example.com'; did you mean 'https://images.example.com'?"),
    "a policy test with an unknown attribute": (
        expect("namespace", "zone"), "expect[0].claims.zone", "unknown attribute 'zone'"),
    "a policy test with an unknown scope": (
        expect('["images:read"]', '["paint"]'), "expect[0].scope[0]", "unknown scope 'paint'"),
    "a policy test with an unknown decision": (
        expect('"allow"', '"permit"'), "expect[0].decision", "must be 'allow' or 'deny'"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "path", "message"), CASES.values(), ids=CASES.keys())
def test_a_mistake_is_one_problem_at_its_place(
    changes: dict[str, str], path: str, message: str, tmp_path: Path
) -> None:
    """R1 for issuers, R24 for scopes, R58 for lifetimes, R94 for audiences; the rest is ours."""
    problem = only_problem(tmp_path, changes)
    assert (problem.file, problem.path, problem.message) == (str(tmp_path / "authserver.toml"), path, message)


def test_a_source_without_audience_does_not_load(tmp_path: Path) -> None:
    """R94; Vault CVE-2024-5798, CVE-2026-40946: the audience was optional, or could not be required."""
    text = document(source('audience = "https://auth.example.com"', ""))
    assert [each.path for each in problems(write(tmp_path, text))] == ["sources.cluster.audience"]


@pytest.mark.parametrize(
    ("origin", "written"),
    [
        ("https://a.example.com/", "https://a.example.com"),
        ("HTTPS://A.example.com:443/app?x", "https://a.example.com"),
        ("https://a.example.com:08443", "https://a.example.com:8443"),
        ("https://[0:0::1]:8443", "https://[::1]:8443"),
    ],
)
def test_an_origin_in_another_spelling_is_given_in_its_own(origin: str, written: str, tmp_path: Path) -> None:
    problem = only_problem(tmp_path, server(f'allowed_origins = ["{origin}"]'))
    assert problem.remedy == f'Write "{written}".'


def test_the_types_of_source_that_exist_are_listed(tmp_path: Path) -> None:
    problem = only_problem(tmp_path, source('"kubernetes"', '"jenkins"'))
    assert problem.remedy == f"Use one of: {', '.join(sorted(SOURCES))}."


@pytest.mark.parametrize(
    "secret", [f'keys]\nmaster_key = "{PRIVATE_KEY}"\n[store', 'keys]\nmaster_key = "c2VjcmV0LXNlY3JldA=="\n[store']
)
def test_a_secret_that_was_written_down_is_never_printed(tmp_path: Path, secret: str) -> None:
    printed = "\n".join(map(str, problems(write(tmp_path, document({secret: ""})))))
    assert "MIGHAgEA" not in printed
    assert "c2VjcmV0" not in printed


def test_two_rules_cannot_share_a_name(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, f"{document()}\n[[allow]]\n{RULE}"))
    assert (problem.path, problem.message) == ("allow[1].name", "is the name of another rule too")


def test_two_policy_tests_cannot_share_a_name(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, f"{document()}\n[[expect]]\n{EXPECT}"))
    assert (problem.path, problem.message) == ("expect[1].name", "is the name of another policy test too")


def test_a_rule_is_not_blamed_for_a_mistake_in_its_source_or_resource(tmp_path: Path) -> None:
    changes = {**source("audience =", "audience2 ="), **resource('"images:write"]', '"a b"]')}
    paths = [each.path for each in problems(write(tmp_path, document(changes)))]
    assert paths == ["resources.images.scopes", "sources.cluster.audience2"]
