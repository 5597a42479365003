"""How a call can fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backy_core.client.address import Address
    from backy_core.client.advised import Advised

UNREADABLE = "UNREADABLE_REPLY"
"""Code of a reply that is none of the agent's."""


class ClientError(Exception):
    """Base of all failures of a call."""


class Unreachable(ClientError):
    """No reply came. Whether the agent got the call is unknown."""


@contextmanager
def reaching(address: Address, timeout_s: float) -> Iterator[None]:
    """Raise :class:`Unreachable` for what the connection to the agent raises."""
    try:
        yield
    except TimeoutError as error:
        message = f"The agent at {address} did not answer within {timeout_s:g} s"
        raise Unreachable(message) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unreachable(f"The agent at {address} cannot be reached: {reason}") from error


class ApiError(ClientError):
    """The agent answered with an error. ``code`` is stable; ``message`` is for people."""

    def __init__(self, status: int, code: str, message: str, details: str | None = None) -> None:
        super().__init__(f"{message}: {details}" if details else message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details

    @property
    def hint(self) -> Advised | None:
        """The first call that ``details`` advises, if any."""
        from backy_core.client.advised import advised_in

        return next(
            (part for part in advised_in(self.details or "") if not isinstance(part, str)), None
        )
