"""The one place that parses a form (RFC 6749 section 3.2 and appendix B)."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from authserver.endpoints.http import MAX_BODY, Request
from authserver.errors import Reason, RequestMalformed

FORM: Final = "application/x-www-form-urlencoded"
MAX_FIELDS: Final = 50

_REPEATABLE: Final = frozenset(("resource", "audience"))  # RFC 8707 section 2, RFC 8693 section 2.1


class Form:
    """The parameters of a request. An empty one counts as absent (RFC 6749 section 3.2)."""

    def __init__(self, fields: Mapping[str, Sequence[str]]) -> None:
        self._fields = fields

    def one(self, name: str) -> str | None:
        """A parameter that appears at most once, or None."""
        values = self.all(name)
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
        return tuple(self._fields.get(name, ()))

    def __contains__(self, name: object) -> bool:
        return name in self._fields


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
    fields: dict[str, list[str]] = {}
    for name, value in _pairs(raw):
        fields.setdefault(name, []).append(value)
    if any(len(values) > 1 and name not in _REPEATABLE for name, values in fields.items()):
        raise RequestMalformed(Reason.PARAMETER_REPEATED)
    return Form({name: present for name, values in fields.items() if (present := [value for value in values if value])})


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError as error:  # includes UnicodeDecodeError
        raise RequestMalformed(Reason.FORM_MALFORMED) from error
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise RequestMalformed(Reason.FORM_MALFORMED)
    return pairs
