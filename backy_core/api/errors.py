"""The one translator from errors to HTTP: status codes and the error envelope.

Nothing leaves the agent with a status of 400 or more except through :func:`error_response`.
"""

from __future__ import annotations

import logging

from quart import Quart, Response, request
from quart_schema import RequestSchemaValidationError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from backy_core.api.messages import clipped, explain
from backy_core.api.wire.errors import ErrorBody, ErrorReply
from backy_core.api.wording import worded
from backy_core.sdk.errors import BackyError, InvalidRequest, NotFound, PoolBusy

log = logging.getLogger(__name__)

MOST_CHARACTERS = 2000
"""Of a message and of its details: they can hold what a client sent."""
STATUS_OF_CODE = {
    "VALIDATION_ERROR": 400,
    "SYSTEM_ERROR": 400,
    "UNAUTHORIZED": 401,
    "FORBIDDEN": 403,
    "INSUFFICIENT_SCOPE": 403,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "CONFLICT": 409,
    "DRIVE_IN_USE": 409,
    "DRIVE_NOT_EMPTY": 409,
    "DRIVE_PROTECTED": 409,
    "POOL_BUSY": 409,
    "PAYLOAD_TOO_LARGE": 413,
    "URI_TOO_LONG": 414,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "MISDIRECTED_REQUEST": 421,
    "HEADERS_TOO_LARGE": 431,
    "INTERNAL_ERROR": 500,
    "OVERLOADED": 503,
    "SHUTTING_DOWN": 503,
}
"""Every code of the contract with its status."""


class Unauthorized(BackyError):
    """The key is missing or wrong."""

    code = "UNAUTHORIZED"


class Forbidden(BackyError):
    """The caller is known and still may not do this."""

    code = "FORBIDDEN"


class WrongMethod(BackyError):
    """The path exists, the method does not."""

    code = "METHOD_NOT_ALLOWED"


class PayloadTooLarge(BackyError):
    """The body is larger than any request of this API can be."""

    code = "PAYLOAD_TOO_LARGE"


class UnsupportedMediaType(BackyError):
    """The body is not declared as JSON."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class UriTooLong(BackyError):
    """Path and query are longer than any of this API."""

    code = "URI_TOO_LONG"


class MisdirectedRequest(BackyError):
    """The request names a host that is not this agent."""

    code = "MISDIRECTED_REQUEST"


class HeadersTooLarge(BackyError):
    """The request's head is larger than any request of this API needs."""

    code = "HEADERS_TOO_LARGE"


class Overloaded(BackyError):
    """The agent is serving as many requests as it can."""

    code = "OVERLOADED"


class Unexpected(BackyError):
    """A defect of the agent. What happened is in its log, never in the reply."""

    code = "INTERNAL_ERROR"


def internal_error() -> Unexpected:
    """The only sentence that a client gets of a defect."""
    return Unexpected("Internal error; see the agent's log")


def error_body(error: BackyError) -> tuple[int, bytes]:
    """The status of ``error`` and its envelope."""
    busy = True if isinstance(error, PoolBusy) else None
    message = clipped(error.message, MOST_CHARACTERS)
    body = ErrorBody(code=error.code, message=message, details=_details(error))
    text = ErrorReply(error=body, busy=busy).model_dump_json()
    return STATUS_OF_CODE.get(error.code, 500), text.encode()


def error_response(error: BackyError) -> Response:
    """The envelope of ``error`` with the status of its code."""
    status, body = error_body(error)
    return Response(body, status, content_type="application/json")


def _details(error: BackyError) -> str | None:
    """Observation and remedy, as people see them after the message: ``message: details``."""
    parts = [worded(part).strip().rstrip(".") for part in (error.details, error.hint) if part]
    return clipped(". ".join(parts), MOST_CHARACTERS) or None


def register_error_handlers(app: Quart) -> None:
    """Make every failure of ``app`` answer with the envelope."""
    app.register_error_handler(BackyError, _on_expected)
    app.register_error_handler(HTTPException, _on_http)
    app.register_error_handler(Exception, _on_defect)


async def _on_expected(error: BackyError) -> Response:
    response = error_response(error)
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = "X-Api-Key"
    return response


async def _on_http(error: HTTPException) -> Response:
    response = error_response(_translate(error))
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def _translate(error: HTTPException) -> BackyError:
    """The framework's own refusals in the contract's words."""
    if isinstance(error, RequestSchemaValidationError):
        return explain(error)
    match error.code:
        case 404:
            return NotFound(f"There is nothing at {clipped(request.path)}")
        case 405:
            path = clipped(request.path)
            return WrongMethod(f"{clipped(request.method)}is not allowed on {path}")
        case 408:
            return InvalidRequest("The request's body did not arrive in time")
        case 413:
            return PayloadTooLarge("The request's body is too large")
        case 415:
            return UnsupportedMediaType("The body must be sent as application/json")
        case code if code is not None and code < 500:
            return InvalidRequest("The request is malformed")
    log.error("The web framework answered %s", error, exc_info=error)
    return internal_error()


async def _on_defect(error: Exception) -> Response:
    log.error(
        "%s %s failed with an internal error",
        clipped(request.method),
        clipped(request.path),
        exc_info=error,
    )
    return error_response(internal_error())
