"""The one place that parses a JSON body (RFC 7591 section 3.1)."""

from typing import Final

from authserver.endpoints.http import MAX_BODY, Request
from authserver.errors import Reason, RequestMalformed
from authserver.jose.compact import Json, json_object

JSON: Final = "application/json"


def read_document(request: Request) -> Json:
    """Read the JSON object in the body.

    :raises RequestMalformed: the body is not exactly one object in strict JSON, or there are parameters in the query.
    """
    if request.query:
        raise RequestMalformed(Reason.PARAMETER_IN_QUERY)
    if len(request.body) > MAX_BODY:
        raise RequestMalformed(Reason.BODY_TOO_LARGE)
    media_type = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if media_type != JSON:
        raise RequestMalformed(Reason.NOT_JSON)
    try:
        return json_object(request.body)
    except ValueError as error:
        raise RequestMalformed(Reason.JSON_MALFORMED) from error
