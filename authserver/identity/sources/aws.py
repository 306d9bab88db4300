"""AWS, by the identity token of STS ``GetWebIdentityToken``, or by a request to STS that the caller signed.

Claims of the token: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_outbound_token_claims.html.
How requests are read: :mod:`authserver.identity.aws.request`.
"""

import re
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from authserver.errors import CredentialRejected, Reason
from authserver.identity.aws_principal import Principal
from authserver.identity.source import Identified, JwtSourceTable, claim_at
from authserver.jose.verify import VerifiedClaims
from authserver.table import Duration, Keywords, Mistake, Strings, Table

_CLAIMS: Final = "https://sts.amazonaws.com/"
_ACCOUNT = re.compile(r"[0-9]{12}")
# https://docs.aws.amazon.com/general/latest/gr/sts.html, and the partitions as the SDKs know them.
_REGION = r"(?!cn-)(?!eusc-)[a-z]{2}(?:-[a-z]+){1,2}-[0-9]{1,2}"
_STS_HOST = re.compile(
    rf"sts\.amazonaws\.com"
    rf"|sts(?:-fips)?\.{_REGION}\.(?:amazonaws\.com|api\.aws)"
    r"|sts(?:-fips)?\.cn-[a-z]+-[0-9]{1,2}\.(?:amazonaws\.com\.cn|api\.amazonwebservices\.com\.cn)"
    r"|sts(?:-fips)?\.eusc-[a-z]{2}-[a-z]+-[0-9]{1,2}\.(?:amazonaws\.eu|api\.amazonwebservices\.eu)"
)


def _accounts(accounts: tuple[str, ...]) -> tuple[str, ...]:
    if not all(map(_ACCOUNT.fullmatch, accounts)):
        raise Mistake("has an account id that is not one", 'Write twelve digits in quotes, such as "123456789012".')
    return accounts


def _hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    if not all(map(_STS_HOST.fullmatch, hosts)):
        remedy = 'Write the name of an endpoint of STS in lower case, such as "sts.eu-central-1.amazonaws.com".'
        raise Mistake("has a host that is not STS of AWS", remedy)
    return hosts


class SignedRequestsTable(Table):
    """Which signed requests to STS ``GetCallerIdentity`` a source takes."""

    accounts: Annotated[Strings, Field(min_length=1), AfterValidator(_accounts), Keywords({"minItems": 1})]
    """The accounts whose principals may be callers: anybody with an account of AWS can sign a request."""
    hosts: Annotated[Strings, Field(min_length=1), AfterValidator(_hosts), Keywords({"minItems": 1})]
    """The endpoints of STS that a request may be for, and that it is sent to."""
    unsigned_audience: bool = False
    """Whether the header that names us may be left unsigned, as google-auth for Python and Node leaves it."""


class AwsTable(JwtSourceTable):
    """Roles and users of AWS accounts.

    With ``issuer`` the source takes identity tokens of one account, with ``signed_requests`` signed requests, with both
    either. The subject is ``arn:aws:sts::<account>:assumed-role/<role>`` both ways.
    """

    default_algorithms: ClassVar[tuple[str, ...]] = ("ES384", "RS256")
    # Nothing is recyclable: who may make a role anew under its old name decides in the account anyway, and tokens do
    # not have the id of a role.
    one_workload: ClassVar[tuple[frozenset[str], ...]] = (
        frozenset(("arn",)),
        frozenset(("account", "role")),
        frozenset(("role_id",)),
    )

    type: Literal["aws"]
    issuer: str = ""
    """The `iss` of the account's identity tokens; without it the source takes none."""
    max_age: Duration = 3600
    """How old a token may be, counted from its `iat`, and for how long it may have been made."""
    signed_requests: SignedRequestsTable | None = None
    """Which signed requests to STS it takes; without it none."""

    @model_validator(mode="after")
    def _some_way(self) -> "AwsTable":
        if not self.issuer and self.signed_requests is None:
            remedy = 'Name the "issuer" of the account\'s tokens, or write a table "signed_requests".'
            raise Mistake('has neither "issuer" nor "signed_requests", so nobody can come from it', remedy)
        return self

    @property
    def reads_tokens(self) -> bool:
        """See :attr:`JwtSourceTable.reads_tokens`."""
        return bool(self.issuer)

    @property
    def attribute_names(self) -> frozenset[str]:
        """The principal; ``role`` is there for roles, and ``role_id`` if they sign a request."""
        return frozenset(("account", "role", "role_id", "arn"))

    @property
    def identifying(self) -> frozenset[str]:
        """The role in its account, by its name: tokens do not have its id."""
        return frozenset(("account", "role"))

    def identify(self, verified: VerifiedClaims) -> Identified:
        """See :meth:`JwtSourceTable.identify`."""
        principal = Principal.of(verified.text("sub"))
        account = claim_at(verified.claims, (_CLAIMS, "aws_account"))
        if account is None:
            raise CredentialRejected(Reason.CLAIM_MISSING, claim="aws_account")
        if account != principal.account:
            raise CredentialRejected(Reason.SUBJECT_MISMATCH, sub=principal.spelled, account=str(account)[:200])
        return principal.identified()
