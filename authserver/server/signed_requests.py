"""Who verifies signed requests to AWS, put together from the configuration."""

from typing import Final

from authserver.identity.aws.callers import SignedRequestCallers
from authserver.identity.aws.request import UnverifiedSignedRequest
from authserver.identity.aws.sts import Forward, SecurityTokenService
from authserver.jose.fetch import Answer, Endpoint, Fetcher
from authserver.settings import Settings

MAX_ANSWER: Final = 16 * 1024
"""The longest answer of STS that is read, header section included, in bytes."""

_FETCHER: Final = Fetcher(max_bytes=MAX_ANSWER)


def forward_to_sts(request: UnverifiedSignedRequest) -> Answer:
    """Send a request to the endpoint of STS that it is for, over https alone.

    :raises Unavailable: there is no answer.
    """
    return _FETCHER.post_headers(Endpoint(request.url), {**request.headers, "Accept": "text/xml"})


def build_signed_requests(settings: Settings, forward: Forward = forward_to_sts) -> SignedRequestCallers:
    """Who shows signed requests to the sources of a configuration."""
    return SignedRequestCallers(settings.aws_sources, SecurityTokenService(forward), skew=settings.server.clock_skew)
