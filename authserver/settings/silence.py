"""The codes of warnings, and how the configuration says that one was thought about."""

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from authserver.table import Mistake, Table


class Code(StrEnum):
    """What a warning is about. Closed and stable: a code keeps its meaning, and a retired one is never used again."""

    # Rules
    NAME_CAN_BE_TAKEN_OVER = "W101"
    SEVERAL_WORKLOADS = "W102"
    GLOB_WIDE = "W103"
    RULE_UNUSED = "W104"
    ATTRIBUTE_DOUBTFUL = "W105"
    SELF_DECLARED = "W106"
    DEVICES_INVITE = "W107"

    # Resources and sources
    RESOURCE_UNUSED = "W201"
    SOURCE_UNUSED = "W202"
    ENROLLING_TOKEN_LASTS = "W203"
    AUDIENCE_UNSIGNED = "W204"
    CERTIFICATE_IN_HEADER = "W205"

    # Keys
    MASTER_KEY_READABLE = "W301"
    PUBLISH_AHEAD_SHORT = "W302"
    ROTATE_EVERY_SHORT = "W303"
    RS256_MISSING = "W304"

    # Several environments
    MASTER_KEY_SHARED = "W401"
    STORE_SHARED = "W402"
    ISSUER_SHARED = "W403"

    # Production
    PLAIN_HTTP_IN_PRODUCTION = "W501"
    NO_LIMIT_IN_PRODUCTION = "W502"

    # Found online
    CLOCKS_DIFFER = "W601"

    # The list of silences itself
    SILENCE_UNUSED = "W901"


def read_code(value: Any) -> Code:
    """Read the code of a warning that can be silenced.

    :raises Mistake: there is no such warning.
    """
    try:
        code = Code(value)
    except ValueError as error:
        raise Mistake("is not the code of a warning", "Write a code that check has printed, in quotes.") from error
    if code is Code.SILENCE_UNUSED:
        raise Mistake("cannot be silenced", "Remove the silence that it is about.")
    return code


def _some_words(reason: str) -> str:
    if not reason.strip():
        raise Mistake("must not be empty", "Say why the warning does not matter here, for whoever reads it next.")
    return reason


_SILENCEABLE: Final = [code.value for code in Code if code is not Code.SILENCE_UNUSED]
_Code = Annotated[Code, BeforeValidator(read_code), WithJsonSchema({"type": "string", "enum": _SILENCEABLE})]


class SilenceTable(Table):
    """``[[silence]]``: a warning that was thought about, and why it does not matter here."""

    code: _Code
    """The code of the warning."""
    about: Annotated[str, Field(min_length=1)]
    """What the warning is about, as `check` prints it."""
    reason: Annotated[str, AfterValidator(_some_words)]
    """Why the warning does not matter here, for whoever reads it next."""
