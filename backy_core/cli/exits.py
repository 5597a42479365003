"""Exit statuses: those of ``sysexits.h``, which systemd shows by name."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """How ``backy`` ends, and what that means."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Exit:
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    OK = 0, "done, or stopped orderly"
    FAILURE = (
        1,
        "the operation failed and was rolled back, or something unexpected happened; of doctor, "
        "something is in danger",
    )
    USAGE = 2, "the command line cannot be understood, or the agent finds the request invalid"
    REFUSED = 65, "what is there stands in the way: drives, data, or the pool's state"
    NOT_FOUND = 66, "there is no such pool, drive or operation"
    UNAVAILABLE = 69, "the agent cannot be reached; or, of serve, its address cannot be listened on"
    BUSY = 75, "in use, or too busy now: try again later; of serve, another agent runs"
    PERMISSION = 77, "not root, no key, or a key that does not permit it"
    CONFIG = (
        78,
        "a setting, a context or the API key cannot be used, or others may change a file or "
        "directory of the agent; the message names it",
    )
    INTERRUPTED = 130, "Ctrl-C; an operation that was being watched goes on"


OF_CODE = {
    "VALIDATION_ERROR": Exit.USAGE,
    "SYSTEM_ERROR": Exit.FAILURE,
    "UNAUTHORIZED": Exit.PERMISSION,
    "FORBIDDEN": Exit.PERMISSION,
    "INSUFFICIENT_SCOPE": Exit.PERMISSION,
    "NOT_FOUND": Exit.NOT_FOUND,
    "METHOD_NOT_ALLOWED": Exit.FAILURE,
    "CONFLICT": Exit.REFUSED,
    "DRIVE_IN_USE": Exit.REFUSED,
    "DRIVE_NOT_EMPTY": Exit.REFUSED,
    "DRIVE_PROTECTED": Exit.REFUSED,
    "POOL_BUSY": Exit.BUSY,
    "PAYLOAD_TOO_LARGE": Exit.USAGE,
    "URI_TOO_LONG": Exit.USAGE,
    "UNSUPPORTED_MEDIA_TYPE": Exit.FAILURE,
    "MISDIRECTED_REQUEST": Exit.CONFIG,
    "HEADERS_TOO_LARGE": Exit.USAGE,
    "INTERNAL_ERROR": Exit.FAILURE,
    "OVERLOADED": Exit.BUSY,
    "SHUTTING_DOWN": Exit.BUSY,
    "CONFIGURATION_ERROR": Exit.CONFIG,
    "START_REFUSED": Exit.FAILURE,
    "UNREADABLE_REPLY": Exit.FAILURE,
}
"""The status for each code of an error; one that is not here is a failure."""
