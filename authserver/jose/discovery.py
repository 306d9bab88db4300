"""Finding an issuer's keys through its metadata (OpenID Connect Discovery section 4, RFC 8414)."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from authserver.jose.addresses import Location
from authserver.jose.fetch import Cause, Endpoint, Fetched, Fetcher, unreachable
from authserver.oauth import METADATA_PATH, OPENID_METADATA_PATH


def openid_metadata_url(issuer: str) -> str:
    """Where OpenID Connect Discovery section 4.1 puts an issuer's metadata: after its path."""
    return issuer.rstrip("/") + OPENID_METADATA_PATH


def oauth_metadata_url(issuer: str) -> str:
    """Where RFC 8414 section 3.1 puts an issuer's metadata: between its host and its path."""
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}{METADATA_PATH}{parts.path.rstrip('/')}"


@dataclass(frozen=True, slots=True)
class Discovery:
    """Fetches the key set that an issuer's metadata names. Asks for the metadata each time, so that it may move.

    ``metadata`` is where the metadata is, with the certificate authority and the credential for that host.
    """

    fetcher: Fetcher
    issuer: str
    metadata: Endpoint

    def __call__(self) -> Fetched:
        """Fetch the key set.

        :raises Unavailable: the metadata or the key set cannot be had, or the metadata is another issuer's.
        """
        document = self.fetcher.get_json(self.metadata).document
        here = Location.of(self.metadata.url)
        # RFC 8414 section 3.3: identical, or somebody else's metadata would speak for this issuer.
        if document.get("issuer") != self.issuer:
            raise unreachable(Cause.ISSUER_MISMATCH, host=here.host)
        return self.fetcher.get_json(self._key_endpoint(document.get("jwks_uri"), here))

    def _key_endpoint(self, url: object, here: Location) -> Endpoint:
        """What was configured for one host stays with it: its address may be private, its authority is trusted.

        The credential stays with the origin, so that another port of the host does not get it.
        """
        there = _location(url)
        configured = there.host in (here.host, Location.of(self.issuer).host)
        return Endpoint(
            url=str(url),
            ca_file=self.metadata.ca_file if configured else None,
            bearer_token_file=self.metadata.bearer_token_file if there.has_origin_of(here) else None,
            discovered=not configured,
        )


def _location(url: object) -> Location:
    try:
        return Location.of(str(url))
    except ValueError:
        raise unreachable(Cause.URL_REFUSED) from None
