"""How often to ask: the rules of the Backy app."""

from __future__ import annotations

from collections.abc import Iterator

from backy_core.client.errors import ApiError, ClientError, Unreachable

ENDED = frozenset({"ready", "failed", "error"})
"""States of a pool that end the wait for its creation."""
MOST_POLLS = 60
RESEND_AFTER_S = (2.0, 4.0, 8.0)
"""A changing call is sent again after these times: every one may be."""
_FIRST_S, _FACTOR, _LONGEST_S = 1.5, 1.5, 30.0


def pauses() -> Iterator[float]:
    """Seconds before each poll of a new pool; the first comes at once."""
    yield 0
    pause = _FIRST_S
    for _ in range(MOST_POLLS - 1):
        yield pause
        pause = min(pause * _FACTOR, _LONGEST_S)


def worth_sending_again(error: ClientError) -> bool:
    """Whether the same call may succeed a moment later."""
    if isinstance(error, ApiError):
        return error.status >= 500 or error.status in (408, 429)
    return isinstance(error, Unreachable)
