"""Live events, read from bytes: Server-Sent Events, whoever carries them."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from backy_core.client.address import Address
from backy_core.client.calls import Call
from backy_core.client.errors import ApiError
from backy_core.client.exchange import Exchange, head_of

SILENCE_S = 40.0
"""After it the connection is taken for lost: the agent sends something every 15 s."""
AGAIN_AFTER_S = 1.0


class Event(NamedTuple):
    """``name`` is ``snapshot``, ``operation``, ``pool`` and the like; ``data`` as documented."""

    id: str
    name: str
    data: Any


class EventReader:
    """One connection's worth of events."""

    def __init__(self, address: Address, key: str, last_id: str) -> None:
        """``last_id``: of the last event that was read, to have those after it."""
        headers = (("Last-Event-ID", last_id),) if last_id else ()
        call: Call[Any] = Call("GET", "/events", headers=headers)
        self._exchange = Exchange(call, address, key)
        self._begun = False
        self._rest = b""

    @property
    def request(self) -> bytes:
        return self._exchange.request

    def receive(self, data: bytes) -> list[Event]:
        """The events that are complete now. Raises as :meth:`Exchange.receive`, also at the end."""
        self._rest += data
        if not self._begun:
            head, found, rest = self._rest.partition(b"\r\n\r\n")
            if data and not found:
                return []
            status, _ = head_of(head)
            if status >= 400:
                self._refused(data)
                return []
            self._begun, self._rest = True, rest
        if not data:
            self._exchange.ended()
        *whole, self._rest = self._rest.split(b"\n\n")
        return [event for text in whole if (event := _event(text.decode())) is not None]

    def _refused(self, data: bytes) -> None:
        if not data:
            self._exchange.receive(self._rest)
            self._exchange.receive(b"")


def _event(text: str) -> Event | None:
    """None for a comment."""
    fields = dict(line.split(": ", 1) for line in text.splitlines() if not line.startswith(":"))
    if "data" not in fields:
        return None
    try:
        data = json.loads(fields["data"])
    except ValueError as error:
        raise ApiError(200, "UNREADABLE_REPLY", "An event is not one of the agent's") from error
    identifier = fields.get("id", "")
    return Event(
        identifier if identifier.isprintable() else "", fields.get("event", "message"), data
    )
