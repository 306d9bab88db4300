"""Devices that enrolled here with a key of their own: phones, laptops, browsers, hosts without a platform identity."""

import difflib
from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field

from authserver.identity.source import Attributes, SourceTable
from authserver.model import ATTRIBUTE_NAME, DEVICE_ATTRIBUTES, Device
from authserver.table import IN_SECONDS, Strings, within

_LONGEST_CODE_LIFETIME: Final = 24 * 3600
_NEARLY: Final = 0.8
_ONLY_INVITED: Final = "{} is there only if the device's invitation gave it"
_OWN: Final = tuple(sorted(DEVICE_ATTRIBUTES))
_NOT_MATCHED: Final = frozenset(("app_version", "client_id", "client_name"))


class DeviceTable(SourceTable):
    """Devices, each with a key of its own that it registered with an invitation or with its owner's ID token.

    ``enrollment_code_lifetime`` is in seconds.
    """

    recyclable: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    one_workload: ClassVar[tuple[frozenset[str], ...]] = (frozenset(("owner",)),)

    type: Literal["device"]
    max_per_owner: Annotated[int, Field(ge=1)] = 5
    """How many devices one owner may have that are not revoked."""
    enrollment_code_lifetime: Annotated[int, IN_SECONDS, AfterValidator(within(1, _LONGEST_CODE_LIFETIME))] = 600
    """How long an enrolment code can be used, and the longest that an invitation may ask for."""
    enroll_with: Strings = ()
    """The names of the `oidc` sources whose ID tokens may enrol a device without an invitation."""
    require_nonce: bool = False
    """Whether a DPoP proof at the token endpoint must carry a nonce of ours."""
    rekey: bool = True
    """Whether a device may replace its key by another one."""

    @property
    def attribute_names(self) -> frozenset[str]:
        """Those of every device."""
        return DEVICE_ATTRIBUTES

    def knows(self, attribute: str) -> bool:
        """An invitation may give a device any other attribute."""
        return attribute in DEVICE_ATTRIBUTES or ATTRIBUTE_NAME.fullmatch(attribute) is not None

    @property
    def identifying(self) -> frozenset[str]:
        """The owner: devices of one owner are told apart by their ``client_id`` alone, which no rule matches."""
        return frozenset(("owner",))


def doubt(attribute: str) -> str | None:
    """Why somebody who writes this attribute probably means something else; None where nothing speaks for that.

    It is no mistake: an invitation may give a device an attribute of just this name.
    """
    if attribute in _NOT_MATCHED:
        return f"rules cannot match the {attribute} of a device; {_ONLY_INVITED.format(attribute)}"
    meant = difflib.get_close_matches(attribute, sorted(DEVICE_ATTRIBUTES), n=1, cutoff=_NEARLY)
    if not meant or attribute in DEVICE_ATTRIBUTES:
        return None
    return f"{meant[0]!r} is probably meant; {_ONLY_INVITED.format(attribute)}"


def device_attributes(device: Device) -> Attributes:
    """What rules may match of a device."""
    own = {name: value for name in _OWN if (value := getattr(device, name)) is not None}
    return {name: (value,) for name, value in {**device.attributes, **own}.items()}
