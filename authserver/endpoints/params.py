"""The one place that parses a form (RFC 6749 section 3.2 and appendix B)."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

from authserver.endpoints.http import MAX_BODY, Request
from authserver.errors import Reason, RequestMalformed

FORM: Final = "application/x-www-form-urlencoded"
MAX_FIELDS: Final = 50

_REPEATABLE: Final = frozenset(("resource", "audience"))  # RFC 8707 section 2, RFC 8693 section 2.1


class Form:
    """The parameters of a request. One without a value counts as absent (RFC 6749 section 3.2)."""

    def __init__(self, fields: Mapping[str, tuple[str, ...]]) -> None:
        self._fields = fields

    def one(self, name: str) -> str | None:
        """A parameter that appears at most once, or None."""
        values = self._fields.get(name)
        return values[0] if values else None

    def required(self, name: str) -> str:
        """A parameter that must be there.

        :raises RequestMalformed: ``parameter_missing``.
        """
        value = self.one(name)
        if value is None:
            raise RequestMalformed(Reason.PARAMETER_MISSING, parameter=name)
        return value

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a parameter that may be repeated."""
        return self._fields.get(name, ())

    def __contains__(self, name: str) -> bool:
        return bool(self._fields.get(name))


def read_form(request: Request) -> Form:
    """Read the form in the body.

    :raises RequestMalformed: the body is not exactly one well-formed form, or there are parameters in the query.
    """
    if request.query:
        raise RequestMalformed(Reason.PARAMETER_IN_QUERY)
    if len(request.body) > MAX_BODY:
        raise RequestMalformed(Reason.BODY_TOO_LARGE)
    media_type = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if media_type != FORM:
        raise RequestMalformed(Reason.NOT_A_FORM)
    return _form(request.body)


def read_query(request: Request) -> Form:
    """Read the query of a request that asks for something and changes nothing; it is spelled like a form.

    :raises RequestMalformed: it is malformed, or a parameter appears twice.
    """
    return _form(request.query.encode("latin-1"))


def _form(raw: bytes) -> Form:
    fields: dict[str, tuple[str, ...]] = {}
    for name, value in _pairs(raw):
        if name in fields and name not in _REPEATABLE:
            raise RequestMalformed(Reason.PARAMETER_REPEATED)
        known = fields.get(name, ())
        fields[name] = (*known, value) if value else known
    return Form(fields)


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    """Names and values, decoded (URL standard, section 5.1). Python's own ``parse_qsl`` takes twice as long."""
    if raw.count(b"&") >= MAX_FIELDS or b"\0" in raw:
        raise RequestMalformed(Reason.FORM_MALFORMED)
    try:
        text = raw.decode("ascii").replace("+", " ")
        return [_pair(field) for field in text.split("&") if field]
    except UnicodeDecodeError as error:
        raise RequestMalformed(Reason.FORM_MALFORMED) from error


def _pair(field: str) -> tuple[str, str]:
    if "%" in field:  # no token has any, and it is nearly all of a form
        return _decoded(field)
    name, _, value = field.partition("=")
    return name, value


def _decoded(field: str) -> tuple[str, str]:
    if "%00" in field:
        raise RequestMalformed(Reason.FORM_MALFORMED)
    # What URIs are full of is decoded at once; the rest takes as long as all else does.
    name, _, value = field.replace("%3A", ":").replace("%2F", "/").partition("=")
    if "%" not in name and "%" not in value:
        return name, value
    return unquote_to_bytes(name).decode("utf-8"), unquote_to_bytes(value).decode("utf-8")
