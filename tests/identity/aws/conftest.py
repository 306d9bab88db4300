"""STS, and a way to show it signed requests through the server's own code."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from authserver.errors import Reason, Refused
from authserver.identity.authenticate import Identity
from authserver.identity.aws.callers import SignedRequestCallers
from authserver.identity.aws.sts import SecurityTokenService
from authserver.identity.sources.aws import AwsTable
from authserver.model import Credential, Subject
from authserver.testing import FrozenClock
from tests.identity.aws.signed import AUDIENCE, HOST, token
from tests.identity.aws.sts import ACCOUNT, FakeSts
from tests.identity.conftest import SKEW, Remembered


@pytest.fixture
def sts() -> Iterator[FakeSts]:
    """STS on loopback."""
    with FakeSts() as sts:
        yield sts


def table(**settings: Any) -> AwsTable:
    """A source of signed requests."""
    signed = {"accounts": [ACCOUNT], "hosts": [HOST], **settings}
    return AwsTable.model_validate({"type": "aws", "audience": AUDIENCE, "signed_requests": signed})


@pytest.fixture
def identity(sts: FakeSts) -> Callable[..., Identity]:
    """The server's identities, with one source of signed requests."""

    def make(**settings: Any) -> Identity:
        service = SecurityTokenService(sts.forward)
        callers = SignedRequestCallers({"here": table(**settings)}, service, skew=SKEW)
        return Identity((), Remembered(), signed_requests=callers)

    return make


@pytest.fixture
def show(identity: Callable[..., Identity], clock: FrozenClock) -> Callable[..., Subject]:
    """Show a request to a server that has just begun."""

    def show(document: Any, **settings: Any) -> Subject:
        shown = document if isinstance(document, str) and "%" in document else token(document)
        return identity(**settings).authenticate(Credential(shown, is_signed_request=True), clock())

    return show


@pytest.fixture
def reason(show: Callable[..., Subject]) -> Callable[..., Reason]:
    """Why a request is refused."""

    def reason(document: Any, **settings: Any) -> Reason:
        with pytest.raises(Refused) as refused:
            show(document, **settings)
        return refused.value.reason

    return reason
