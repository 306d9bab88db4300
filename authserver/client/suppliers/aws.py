"""AWS: an identity token that STS makes for the program's role, or a request to STS that the role has signed.

https://docs.aws.amazon.com/STS/latest/APIReference/API_GetWebIdentityToken.html. Which of the two it is, a variable
says, and never what AWS answers: a permission that was taken away must not turn into another way in.
"""

import secrets
from typing import Final

from authserver.client.aws_credentials import KEY_ID, AwsEnvironment
from authserver.client.failures import IdentityUnusable
from authserver.client.identity_token import usable
from authserver.client.platform import NAMED, PlatformSupplier, require_address
from authserver.client.sts import Sts, sign_caller_identity, sts_host
from authserver.client.supplier import Surroundings
from authserver.oauth import TokenType

PROOF: Final = "AUTHSERVER_AWS_PROOF"
TOKEN: Final = "token"
SIGNED_REQUEST: Final = "signed-request"
LAMBDA: Final = "AWS_LAMBDA_FUNCTION_NAME"
ENDPOINT: Final = "AWS_ENDPOINT_URL_STS"
FIPS: Final = "AWS_USE_FIPS_ENDPOINT"


class AwsSupplier(PlatformSupplier):
    """Asks for a new token each time, or signs a new request.

    Keys in the environment are no marker by themselves: developers and jobs have them for AWS, and not for us.
    """

    name = "aws"
    nothing = (
        "this is no function of Lambda, no credentials of a container or web identity are named, "
        f"and {NAMED} is not set"
    )

    def __init__(self, surroundings: Surroundings) -> None:
        super().__init__(surroundings)
        self._proof = self.environ.get(PROOF, TOKEN)
        self._aws = AwsEnvironment(self.environ, self.http)
        self.token_type = TokenType.AWS4_REQUEST if self._proof == SIGNED_REQUEST else TokenType.JWT

    def found(self) -> str | None:
        """See :class:`authserver.client.platform.PlatformSupplier`."""
        place = self._aws.place()
        if place == KEY_ID:
            return f"this is Lambda: {LAMBDA} is set" if self.environ.get(LAMBDA) else None
        return None if place is None else f"{place} is set"

    def check(self, now: float) -> None:
        """See :class:`authserver.client.supplier.Link`."""
        del now
        if self._proof not in (TOKEN, SIGNED_REQUEST):
            raise IdentityUnusable(f"{PROOF} must be {TOKEN} or {SIGNED_REQUEST}")
        self._aws.check()
        region = self._aws.region()
        if region is not None:
            self._sts(region)
        elif self._aws.place() is not None:
            raise IdentityUnusable("neither AWS_REGION nor AWS_DEFAULT_REGION is set. Set one of them")

    def identity_token(self, now: float) -> str:
        """See :class:`authserver.client.identity_token.IdentityTokenSupplier`."""
        self.check(now)
        sts = self._sts(self._aws.region() or self._aws.region_of_instance())
        credentials = self._aws.credentials(sts, now)
        if self._proof == SIGNED_REQUEST:
            # The server sends it to AWS itself, and not by way of an endpoint of the program's own network.
            host, nonce = self._host(sts.region), secrets.token_urlsafe(16)
            return sign_caller_identity(credentials, sts.region, host, self.audience, now, nonce=nonce)
        return usable(sts.get_web_identity_token(credentials, self.audience, now), "the answer of AWS STS", now)

    def _sts(self, region: str) -> Sts:
        host = self._host(region)
        url = self.environ.get(ENDPOINT) or f"https://{host}"
        return Sts(region, require_address(url.rstrip("/"), ENDPOINT) + "/", self.http)

    def _host(self, region: str) -> str:
        return sts_host(region, fips=self.environ.get(FIPS, "").lower() == "true")
