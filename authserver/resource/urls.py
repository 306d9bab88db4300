"""Which URLs are accepted in the settings of a resource server."""

from authserver.jose.addresses import Location, is_loopback, parse_address


def require_url(name: str, value: str) -> None:
    """Check that a setting is an https URL without user, query or fragment (RFC 8414 section 2 for an issuer).

    Plain http is accepted for this machine itself, without a flag: what goes to a loopback address never
    travels on a network where somebody could read or change it.

    :raises ValueError: it is something else. The message names the setting.
    """
    try:
        location = Location.of(value)
    except ValueError:
        raise ValueError(f"{name} must be an https URL") from None
    if "?" in value:
        raise ValueError(f"{name} must be a URL without a query")
    if location.scheme != "https" and not _is_this_machine(location.host):
        raise ValueError(f"{name} must be an https URL; plain http is for loopback addresses only")


def is_web_address(value: str) -> bool:
    """Whether an identifier is an http or https URL, with a host that can be asked."""
    try:
        Location.of(value)
    except ValueError:
        return False
    return True


def is_on_this_machine(value: str) -> bool:
    """Whether a URL is one of ``localhost`` or of a loopback address."""
    try:
        return _is_this_machine(Location.of(value).host)
    except ValueError:
        return False


def _is_this_machine(host: str) -> bool:
    address = parse_address(host)
    return host == "localhost" or (address is not None and is_loopback(address))
