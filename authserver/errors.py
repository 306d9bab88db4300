"""The one exception tree.

An error has three audiences. The caller gets a constant text chosen by the error's class; the operator gets
:attr:`Refused.reason`, a value of the closed set :class:`Reason`, and :attr:`Refused.facts`; the code that
catches it gets the class. Nothing an attacker wrote ever decides what the caller is told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Reason(StrEnum):
    """Why something was refused. Closed, so that it may label a metric; each has its entry in the reference."""

    # The request itself
    BODY_TOO_LARGE = "body_too_large"
    NOT_A_FORM = "not_a_form"
    FORM_MALFORMED = "form_malformed"
    NOT_JSON = "not_json"
    JSON_MALFORMED = "json_malformed"
    PARAMETER_IN_QUERY = "parameter_in_query"
    PARAMETER_REPEATED = "parameter_repeated"
    PARAMETER_MISSING = "parameter_missing"
    PARAMETER_UNSUPPORTED = "parameter_unsupported"
    HEADER_REPEATED = "header_repeated"
    PLAIN_HTTP = "plain_http"

    # Client authentication
    CLIENT_SECRET_OFFERED = "client_secret_offered"
    CLIENT_AUTHENTICATION_REPEATED = "client_authentication_repeated"
    CLIENT_AUTHENTICATION_MISSING = "client_authentication_missing"
    CLIENT_AUTHENTICATION_UNEXPECTED = "client_authentication_unexpected"
    CLIENT_ASSERTION_TYPE_UNKNOWN = "client_assertion_type_unknown"
    CLIENT_ID_MISMATCH = "client_id_mismatch"

    # Grant and target
    GRANT_UNSUPPORTED = "grant_unsupported"
    ACTOR_TOKEN_UNSUPPORTED = "actor_token_unsupported"
    TARGET_MISSING = "target_missing"
    TARGET_AMBIGUOUS = "target_ambiguous"
    TARGET_MALFORMED = "target_malformed"
    TARGET_UNKNOWN = "target_unknown"

    # A JWT and what it says
    TOKEN_MALFORMED = "token_malformed"
    TOKEN_TOO_LARGE = "token_too_large"
    TOKEN_TYPE_WRONG = "token_type_wrong"
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    CRITICAL_HEADER_UNKNOWN = "critical_header_unknown"
    KEY_ID_MISSING = "key_id_missing"
    KEY_UNKNOWN = "key_unknown"
    SIGNATURE_WRONG = "signature_wrong"
    ISSUER_UNKNOWN = "issuer_unknown"
    ISSUER_WRONG = "issuer_wrong"
    AUDIENCE_WRONG = "audience_wrong"
    CLAIM_MISSING = "claim_missing"
    CLAIM_MALFORMED = "claim_malformed"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    ISSUED_IN_FUTURE = "issued_in_future"
    TOO_OLD = "too_old"
    LIVES_TOO_LONG = "lives_too_long"
    USED_TWICE = "used_twice"
    REVOKED = "revoked"
    CONFIRMATION_UNSUPPORTED = "confirmation_unsupported"
    ACTOR_NOT_ALLOWED = "actor_not_allowed"
    LEGACY_SERVICE_ACCOUNT_TOKEN = "legacy_service_account_token"
    SUBJECT_MISMATCH = "subject_mismatch"
    SPIFFE_ID_MALFORMED = "spiffe_id_malformed"
    TRUST_DOMAIN_WRONG = "trust_domain_wrong"
    PRINCIPAL_UNSUPPORTED = "principal_unsupported"

    # A signed request to AWS
    SIGNED_REQUEST_MALFORMED = "signed_request_malformed"
    SIGNED_HEADER_MISSING = "signed_header_missing"
    STS_HOST_NOT_ALLOWED = "sts_host_not_allowed"
    STS_REFUSED = "sts_refused"
    STS_ANSWER_MALFORMED = "sts_answer_malformed"
    ACCOUNT_NOT_ALLOWED = "account_not_allowed"

    # A client certificate
    CERTIFICATE_MALFORMED = "certificate_malformed"
    CERTIFICATE_UNTRUSTED = "certificate_untrusted"
    CERTIFICATE_UNSUITABLE = "certificate_unsuitable"
    CERTIFICATE_NAME_WRONG = "certificate_name_wrong"
    CERTIFICATE_REVOKED = "certificate_revoked"

    # Policy
    NO_RULE = "no_rule"
    SCOPE_MISSING = "scope_missing"
    SCOPE_MALFORMED = "scope_malformed"
    SCOPE_UNKNOWN = "scope_unknown"
    SCOPE_NOT_ALLOWED = "scope_not_allowed"

    # Sender constraint
    PROOF_MISSING = "proof_missing"
    PROOF_REPEATED = "proof_repeated"
    PROOF_MALFORMED = "proof_malformed"
    PROOF_SIGNATURE_WRONG = "proof_signature_wrong"
    PROOF_METHOD_WRONG = "proof_method_wrong"
    PROOF_ADDRESS_WRONG = "proof_address_wrong"
    PROOF_TIME_WRONG = "proof_time_wrong"
    PROOF_TOKEN_WRONG = "proof_token_wrong"
    PROOF_KEY_WRONG = "proof_key_wrong"
    PROOF_REPLAYED = "proof_replayed"
    PROOF_MEMORY_FULL = "proof_memory_full"
    PROOF_UNEXPECTED = "proof_unexpected"
    NONCE_MISSING = "nonce_missing"
    NONCE_WRONG = "nonce_wrong"
    SENDER_UNPROVEN = "sender_unproven"
    CERTIFICATE_MISSING = "certificate_missing"
    CERTIFICATE_WRONG = "certificate_wrong"

    # Devices
    DEVICE_UNKNOWN = "device_unknown"
    DEVICE_REVOKED = "device_revoked"
    CODE_MALFORMED = "code_malformed"
    CODE_UNKNOWN = "code_unknown"
    CODE_EXPIRED = "code_expired"
    CODE_USED = "code_used"
    INVITATION_MISMATCH = "invitation_mismatch"
    ENROLLMENT_NOT_ALLOWED = "enrollment_not_allowed"
    METADATA_MALFORMED = "metadata_malformed"
    METADATA_UNSUPPORTED = "metadata_unsupported"
    KEY_UNSUITABLE = "key_unsuitable"
    KEY_ENROLLED_BEFORE = "key_enrolled_before"
    TOO_MANY_DEVICES = "too_many_devices"
    ATTESTATION_UNSUPPORTED = "attestation_unsupported"
    DEVICE_CHANGED = "device_changed"
    REKEY_NOT_ALLOWED = "rekey_not_allowed"

    # At a resource server
    CREDENTIAL_MISSING = "credential_missing"
    CREDENTIAL_REPEATED = "credential_repeated"
    SCOPE_INSUFFICIENT = "scope_insufficient"
    KEYS_UNAVAILABLE = "keys_unavailable"
    TOKEN_INACTIVE = "token_inactive"
    INTROSPECTION_MISMATCH = "introspection_mismatch"
    INTROSPECTION_UNAVAILABLE = "introspection_unavailable"
    LEGACY_TOKEN_REFUSED = "legacy_token_refused"

    # Outages and limits
    STORE_UNAVAILABLE = "store_unavailable"
    ISSUER_UNREACHABLE = "issuer_unreachable"
    AUTHORITIES_UNAVAILABLE = "authorities_unavailable"
    REVOCATION_LIST_UNAVAILABLE = "revocation_list_unavailable"
    NO_ACTIVE_KEY = "no_active_key"
    AUDIT_UNWRITABLE = "audit_unwritable"
    TOO_MANY_FAILURES = "too_many_failures"
    INTERNAL_ERROR = "internal_error"


Fact: TypeAlias = str | int | float | bool | Sequence[str] | None


class AuthServerError(Exception):
    """Base of everything this package raises on purpose.

    ``source`` is the configured source that the caller's credential claims to be from, where one was found.
    """

    source: str | None = None


class Refused(AuthServerError):
    """The answer is no, and asking again unchanged will not help.

    ``facts`` go to the operator's log and nowhere else. A fact that came from an unverified token has a name
    that starts with ``unverified_``.
    """

    def __init__(self, reason: Reason, /, **facts: Fact) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.facts: Mapping[str, Fact] = facts


class RequestMalformed(Refused):
    """The request is not one that the RFC describes."""


class ClientAuthenticationRefused(Refused):
    """Client authentication was wrong in form, or of a kind that this server never accepts.

    ``scheme`` is the scheme to challenge with when the caller used the ``Authorization`` header (RFC 6749
    section 5.2), else None.
    """

    def __init__(self, reason: Reason, /, *, scheme: str | None = None, **facts: Fact) -> None:
        super().__init__(reason, **facts)
        self.scheme = scheme


class GrantUnsupported(Refused):
    """``grant_type`` names a grant that this server does not have."""


class TargetRefused(Refused):
    """``resource`` or ``audience`` does not name exactly one resource server that is configured."""


class CredentialRejected(Refused):
    """The token or assertion that was presented is not believed."""


class CallerNotAdmitted(Refused):
    """The caller is who it says it is, and no rule lets it have anything at this resource."""


class ScopeRefused(Refused):
    """The scope asked for is malformed, unknown, missing, or more than the rules allow."""


class ProofRejected(Refused):
    """A proof of possession is missing where it is required, or bad."""


class NonceWanted(ProofRejected):
    """The proof has no fresh nonce of ours, and here it must. ``nonce`` is one to try again with."""

    def __init__(self, reason: Reason, /, *, nonce: str, **facts: Fact) -> None:
        super().__init__(reason, **facts)
        self.nonce = nonce


class MetadataRefused(Refused):
    """What a device says of itself when it registers cannot be registered (RFC 7591 section 3.2.2)."""


class DeviceAbsent(Refused):
    """There is no such device, or none that this caller may know of."""


class CredentialMissing(Refused):
    """At a resource server: the request has no credentials of a kind that is accepted (RFC 6750 section 3.1)."""

    def __init__(self) -> None:
        super().__init__(Reason.CREDENTIAL_MISSING)


class ScopeInsufficient(Refused):
    """At a resource server: the token is good and its scope is not enough (RFC 6750 section 3.1)."""

    def __init__(self, required: Sequence[str]) -> None:
        super().__init__(Reason.SCOPE_INSUFFICIENT, required=tuple(required))
        self.required = tuple(required)


class TooManyFailures(Refused):
    """This address has failed too often lately. ``retry_after`` is in seconds.

    ``because`` is what the request would have been refused for; None where it was not looked at.
    """

    def __init__(self, retry_after: int, because: Refused | None) -> None:
        refused_for = None if because is None else because.reason.value
        super().__init__(Reason.TOO_MANY_FAILURES, refused_for=refused_for, **(because.facts if because else {}))
        self.retry_after = retry_after


class Unavailable(AuthServerError):
    """Something this answer depends on is away for now. ``retry_after`` is in seconds."""

    def __init__(self, reason: Reason, /, *, retry_after: int = 5, **facts: Fact) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.retry_after = retry_after
        self.facts: Mapping[str, Fact] = facts


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the configuration: where it is, what it is, and what to do about it."""

    file: str
    path: str
    message: str
    remedy: str

    def __str__(self) -> str:
        stop = "" if self.message.endswith("?") else "."
        return ": ".join(filter(None, (self.file, self.path, f"{self.message}{stop} {self.remedy}")))


class ConfigurationError(AuthServerError):
    """The configuration cannot be used. Carries every problem that was found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class Conflict(AuthServerError):
    """Somebody else changed the record first; read it again and try again."""
