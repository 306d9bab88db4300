"""The pytest plugin, as somebody uses it who tests an API: pytest within pytest."""

import json
import subprocess
import sys
import tomllib
from typing import Final

import pytest

from tests.house.test_base_install import IMPORT_NAMES, import_without
from tests.house.tree import ROOT

pytest_plugins = ["pytester"]

ALONE: Final = ("-q", "-p", "no:cacheprovider", "-p", "no:authserver", "-p", "authserver.testing.plugin")
"""The plugin by its module's name, and not by its entry point, which is there only where the package is installed."""

CONFTEST: Final = """
import pytest
from authserver.resource import AccessTokenVerifier

AUDIENCE = "https://images.example.com"

@pytest.fixture
def token_audience():
    return AUDIENCE

@pytest.fixture
def verifier(fake_issuer):
    return AccessTokenVerifier(issuer=fake_issuer.issuer, audience=AUDIENCE)
"""

TESTS: Final = """
import pytest
from authserver.errors import CredentialRejected, Reason
from authserver.resource import OfferedProof

def test_a_token(verifier, access_token):
    token = verifier.verify(access_token("images:read", subject="cluster:thumbnailer"))
    assert (token.subject, token.client_id) == ("cluster:thumbnailer", "cluster:thumbnailer")
    assert token.has_scope("images:read")

def test_an_expired_token(verifier, access_token):
    with pytest.raises(CredentialRejected) as caught:
        verifier.verify(access_token("images:read", expired=True))
    assert caught.value.reason is Reason.EXPIRED

def test_a_token_for_another_api(verifier, access_token):
    with pytest.raises(CredentialRejected) as caught:
        verifier.verify(access_token("images:read", audience="https://other.example.com"))
    assert caught.value.reason is Reason.AUDIENCE_WRONG

def test_a_token_that_says_more(verifier, access_token):
    token = verifier.verify(access_token(client_id="somebody-else", tenant="blue"))
    assert (token.client_id, token.claims["tenant"], token.scope) == ("somebody-else", "blue", frozenset())

def test_a_device(verifier, dpop_device):
    url = "https://images.example.com/cats"
    headers = dpop_device.headers("GET", url, scope="images:read")
    offered = OfferedProof((headers["DPoP"],), "GET", (url,))
    token, _ = verifier.verify_bound(headers["Authorization"].removeprefix("DPoP "), offered)
    assert token.thumbprint == dpop_device.thumbprint
"""


def test_the_fixtures_make_what_a_verifier_accepts_and_refuses(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    pytester.runpytest_inprocess(*ALONE).assert_outcomes(passed=5)


def test_who_says_no_audience_is_told_where_to_say_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        def test_a_token(access_token):
            access_token("images:read")

        def test_a_device(dpop_device):
            dpop_device.headers("GET", "https://images.example.com/cats")

        def test_with_an_audience(access_token, dpop_device):
            assert access_token("images:read", audience="https://images.example.com")
            assert dpop_device.access_token(audience="https://images.example.com")
    """)
    result = pytester.runpytest_inprocess(*ALONE)
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*which API is the token for? Pass audience=*token_audience in conftest.py*"])


def test_each_test_has_an_issuer_of_its_own_and_a_session_may_have_one(pytester: pytest.Pytester) -> None:
    two = """
        seen = set()

        def test_one(fake_issuer, access_token):
            seen.add(fake_issuer.issuer + fake_issuer.key.kid)

        def test_two(fake_issuer, access_token):
            seen.add(fake_issuer.issuer + fake_issuer.key.kid)
            assert len(seen) == {issuers}
    """
    pytester.makepyfile(test_own=two.format(issuers=2))
    pytester.mkpydir("once")
    (pytester.path / "once" / "conftest.py").write_text(
        "import pytest\n"
        "from authserver.testing import FakeIssuer\n"
        "@pytest.fixture(scope='session')\n"
        "def fake_issuer():\n"
        "    with FakeIssuer() as issuer:\n"
        "        yield issuer\n",
        encoding="utf-8",
    )
    pytester.makepyfile(**{"once/test_once": two.format(issuers=1)})
    pytester.runpytest_inprocess(*ALONE).assert_outcomes(passed=4)


@pytest.mark.slow
def test_it_works_with_pytest_xdist(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    pytester.runpytest_subprocess(*ALONE, "-n", "2").assert_outcomes(passed=5)


def test_loading_it_loads_nothing_else() -> None:
    """Every run of pytest loads it, where it is installed."""
    program = "import sys, json, authserver.testing.plugin; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = json.loads(done.stdout)
    assert [name for name in loaded if name.startswith(("authserver", "cryptography", "jwt", "urllib3"))] == [
        "authserver",
        "authserver._version",
        "authserver.testing",
        "authserver.testing.plugin",
    ]


def test_it_is_found_by_its_entry_point_and_left_out_of_our_own_runs() -> None:
    """What is loaded before coverage begins to measure is not measured, and pytest loads plugins first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["entry-points"]["pytest11"] == {"authserver": "authserver.testing.plugin"}
    options = project["tool"]["pytest"]["ini_options"]["addopts"]
    assert options[options.index("-p") + 1] == "no:authserver"


def test_the_package_has_what_it_says_and_nothing_else() -> None:
    import authserver.testing

    assert [getattr(authserver.testing, name).__name__ for name in authserver.testing.__all__] == (
        authserver.testing.__all__
    )
    with pytest.raises(AttributeError, match="no attribute 'FakeCluster'"):
        authserver.testing.FakeCluster  # noqa: B018 - looking is what is tested


@pytest.mark.parametrize("module", ["device", "hostile", "issuer", "tokens"])
def test_without_the_server_and_without_pytest_there_is_everything_but_the_plugin(module: str) -> None:
    finished = import_without([*IMPORT_NAMES.values(), "pytest"], f"authserver.testing.{module}")
    assert finished.returncode == 0, finished.stderr
