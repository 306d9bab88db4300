"""What every source of identity has in common, so that no source can forget a check."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, NamedTuple, Protocol

from pydantic import ConfigDict, Field, model_validator

from authserver.errors import CredentialRejected, Reason
from authserver.jose.compact import UnverifiedToken
from authserver.jose.jwk import ASYMMETRIC
from authserver.jose.verify import Keys, VerifiedClaims, check_age, verify
from authserver.model import NOTHING, Subject
from authserver.table import Duration, Keywords, Mistake, Strings, Table

_SOME_ALGORITHMS: Final = Keywords({"minItems": 1, "items": {"enum": sorted(ASYMMETRIC)}})

IDENTITY_TYPES: Final = frozenset((None, "jwt"))
"""The header ``typ`` of an identity token. Every other kind of JWT has a type of its own (RFC 8725 section 3.11)."""


OBJECT: Final = (dict, Mapping)
"""What a claim that is an object is an instance of: nearly always of the first, which is ten times as quick to ask."""

Attributes = Mapping[str, tuple[str, ...]]
"""What rules may match of a caller: for each attribute the spellings of its values."""


class JwksTable(Table):
    """Where the keys of a source are, when discovery at the issuer is not the way to them.

    ``url`` names a key set over https, ``file`` one on disk. ``ca_file`` holds the only authority that is trusted
    for ``url``, and ``bearer_token_file`` a token that is sent to it, read anew each time.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["url"]}, {"required": ["file"]}]})

    url: str | None = None
    """The https address of the key set."""
    file: str | None = None
    """The path of a file that holds the key set."""
    ca_file: str | None = None
    """The path of the only certificate authorities that are trusted for `url`, in PEM."""
    bearer_token_file: str | None = None
    """The path of a file that holds a token to send to `url`."""

    @model_validator(mode="after")
    def _one_place(self) -> "JwksTable":
        if (self.url is None) == (self.file is None):
            raise Mistake('must name exactly one of "url" and "file"', "Remove one of them, or name one.")
        if self.file is not None and (self.ca_file or self.bearer_token_file):
            raise Mistake('has "ca_file" or "bearer_token_file" without "url"', "Remove what a file does not need.")
        return self


class Identified(NamedTuple):
    """What a source reads from verified claims: the subject's name within the source, and its attributes."""

    subject: str
    attributes: Attributes


class Source(Protocol):
    """One configured source of identity."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        ...  # a protocol has no body

    @property
    def issuer(self) -> str:
        """The issuer whose tokens it reads."""
        ...  # a protocol has no body

    @property
    def audience(self) -> str:
        """The one audience that these tokens have."""
        ...  # a protocol has no body

    def authenticate(self, token: UnverifiedToken, now: float) -> Subject:
        """Verify a token that claims to come from this source.

        :raises CredentialRejected: it is not believed.
        :raises Unavailable: the keys or the replay memory cannot be reached.
        """
        ...  # a protocol has no body


class SourceTable(Table, ABC):
    """What every source of identity has: a type, and attributes that rules may match."""

    # What `check` warns of. Attributes that are names which can be given up and taken by somebody else, each with the
    # ids of which one pins it; and sets of attributes that come down to one workload when each has one value.
    recyclable: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    one_workload: ClassVar[tuple[frozenset[str], ...]]

    type: str
    """What kind of platform it is, which decides what is an attribute and what the subject is."""

    @property
    @abstractmethod
    def attribute_names(self) -> frozenset[str]:
        """The attributes that a rule for this source may match."""

    def knows(self, attribute: str) -> bool:
        """Whether a rule for this source may match this attribute."""
        return attribute in self.attribute_names

    @property
    def identifying(self) -> frozenset[str]:
        """The attributes that together tell one workload from every other, and stay with it from run to run."""
        return self.attribute_names

    def named_only(self, attributes: Attributes) -> Mapping[str, str]:
        """Which of a caller's attributes are dangerous enough that a rule must spell them out. Usually none."""
        del attributes
        return NOTHING


class JwtSourceTable(SourceTable):
    """The settings that every source of identity tokens has, and how the type reads its claims.

    ``audience`` is the one audience that a token for us has. ``max_age`` bounds, in seconds, both the age of a token
    and the time it was made to live. ``algorithms`` are the signature algorithms the issuer may use.
    """

    default_algorithms: ClassVar[tuple[str, ...]] = ("RS256", "ES256")
    token_types: ClassVar[frozenset[str | None]] = IDENTITY_TYPES

    issuer: str = Field(min_length=1)
    """The `iss` of its tokens, compared character by character."""
    audience: str = Field(min_length=1)
    """The `aud` that its tokens must have, alone."""
    jwks: JwksTable | None = None
    """Where its keys are."""
    single_use: bool = False
    """Whether each identity token is accepted only once."""
    max_age: Duration = 24 * 3600
    """How old a token may be, counted from its `iat`, and for how long it may have been made."""
    algorithms: Annotated[Strings, Field(min_length=1), _SOME_ALGORITHMS] | None = None
    """The signature algorithms that its tokens may have, all of them asymmetric."""

    @model_validator(mode="after")
    def _known_algorithms(self) -> "JwtSourceTable":
        unknown = sorted(set(self.algorithms or ()) - ASYMMETRIC)
        if unknown:
            known = ", ".join(sorted(ASYMMETRIC))
            raise Mistake(f"has algorithms that cannot be verified: {', '.join(unknown)}", f"Use some of: {known}.")
        return self

    @property
    def origin(self) -> str:
        """What, with the audience, decides that a token is for this source: here its ``iss``."""
        return self.issuer

    @property
    def reads_tokens(self) -> bool:
        """Whether a source with these settings takes tokens at all: a type may have other ways besides."""
        return True

    @property
    def allowed_algorithms(self) -> tuple[str, ...]:
        """The algorithms that a token of this source may be signed with."""
        return tuple(self.algorithms or self.default_algorithms)

    @abstractmethod
    def identify(self, verified: VerifiedClaims) -> Identified:
        """Read the subject and its attributes from claims that were verified.

        :raises CredentialRejected: a claim that identity depends on is missing, malformed or contradicts another.
        """


@dataclass(frozen=True, slots=True)
class JwtSource:
    """A source whose credential is a JWT: the shared phases, in order, around the type's own reading of claims.

    ``skew`` is in seconds.
    """

    name: str
    table: JwtSourceTable
    keys: Keys
    skew: int

    @property
    def issuer(self) -> str:
        """Whose tokens these are."""
        return self.table.origin

    @property
    def audience(self) -> str:
        """The one audience that these tokens have."""
        return self.table.audience

    def authenticate(self, token: UnverifiedToken, now: float) -> Subject:
        """See :meth:`Source.authenticate`."""
        verified = verify(
            token,
            keys=self.keys,
            issuer=self.table.issuer or None,
            audience=self.audience,
            typ=self.table.token_types,
            algorithms=self.table.allowed_algorithms,
            now=now,
            skew=self.skew,
        )
        check_age(verified, max_age=self.table.max_age, now=now, skew=self.skew)
        refuse_delegation(verified.claims)
        verified.text("sub")
        identified = self.table.identify(verified)
        return Subject(
            source=self.name,
            subject=identified.subject,
            attributes=identified.attributes,
            credential_id=_credential_id(verified, token),
            named_only=self.table.named_only(identified.attributes),
            single_use_until=verified.time("exp") + self.skew if self.table.single_use else None,
        )


def spellings(value: Any) -> tuple[str, ...]:
    """How a claim is spelled for a rule: strings as they are, numbers and booleans as JSON writes them.

    A list gives the spelling of each member. What has no plain spelling (an object, null) gives nothing.
    """
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        return tuple(spelling for member in value if not isinstance(member, list) for spelling in spellings(member))
    if isinstance(value, bool):
        return ("true" if value else "false",)
    return (str(value),) if isinstance(value, int | float) else ()


def attributes_at(claims: Mapping[str, Any], paths: Mapping[str, tuple[str, ...]]) -> Attributes:
    """The attributes that are present, each found at its path into the claims."""
    attributes = {}
    for name, path in paths.items():
        value = claim_at(claims, path)
        values = spellings(value) if value is not None else ()
        if values:
            attributes[name] = values
    return attributes


def claim_at(claims: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """The claim at a path of member names, or None."""
    value: Any = claims
    for name in path:
        if value is None:
            break
        value = value.get(name) if isinstance(value, OBJECT) else None
    return value


def numeric(claims: Mapping[str, Any], name: str) -> str:
    """A number that a platform gave once and gives nobody else, in digits, whether it is sent as a string or not.

    :raises CredentialRejected: ``claim_missing`` or ``claim_malformed``.
    """
    value = claims.get(name)
    if value is None:
        raise CredentialRejected(Reason.CLAIM_MISSING, claim=name)
    spelled = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not (spelled.isascii() and spelled.isdigit()):
        raise CredentialRejected(Reason.CLAIM_MALFORMED, claim=name)
    return spelled


def refuse_delegation(claims: Mapping[str, Any]) -> None:
    """Check that a credential is not meant for somebody who would have to show more than we look at.

    :raises CredentialRejected: ``confirmation_unsupported`` or ``actor_not_allowed``.
    """
    # A token bound to a key may only be used with that key, and an exchange that ignored the binding would hand
    # out what the thief of the token could not have used itself.
    if "cnf" in claims:
        raise CredentialRejected(Reason.CONFIRMATION_UNSUPPORTED)
    # RFC 8693 section 4.4: who may act for the subject is named, and nobody here acts under a name of its own.
    if "may_act" in claims:
        raise CredentialRejected(Reason.ACTOR_NOT_ALLOWED)


def _credential_id(verified: VerifiedClaims, token: UnverifiedToken) -> str:
    # The signing input, unlike the whole token, has one spelling: an ECDSA signature (r, n - s) is as good as (r, s).
    jti = verified.claims.get("jti")
    unique = b"jti:" + jti.encode("utf-8") if isinstance(jti, str) and jti else b"jws:" + token.signing_input
    return hashlib.sha256(unique).hexdigest()
