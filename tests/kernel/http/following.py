"""A client of the live events, in a thread of its own."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx

from .site import PATIENCE, Site


class Event(NamedTuple):
    """An event of the agent, and when it came."""

    name: str
    data: Any
    id: str
    at: float


class Follower:
    """Follows from now on, or from the event with ``last_id`` on, until it is cut off."""

    def __init__(self, site: Site, last_id: str = "") -> None:
        self.events: list[Event] = []
        self._came = threading.Condition()
        self._client = httpx.Client(timeout=httpx.Timeout(30 * site.guest.slower))
        headers = {"X-Api-Key": site.guest.api_key, "Last-Event-ID": last_id}
        request = self._client.build_request(
            "GET", f"{site.guest.url}/api/v1/events", headers=headers
        )
        self._reply = self._client.send(request, stream=True)
        assert self._reply.status_code == 200, self._reply.read()
        self._patience = PATIENCE * site.guest.slower
        self.ended = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def last_id(self) -> str:
        return self.events[-1].id

    def until(self, name: str, fits: Callable[[Any], bool] = lambda _: True) -> Event:
        """The first event of this name whose data fit, once it has come."""
        deadline = time.monotonic() + self._patience
        with self._came:
            while True:
                for event in self.events:
                    if event.name == name and fits(event.data):
                        return event
                assert self._came.wait(deadline - time.monotonic()), self.events[-10:]

    def of(self, name: str) -> list[Any]:
        """The data of all events of this name so far."""
        return [event.data for event in tuple(self.events) if event.name == name]

    def cut(self) -> None:
        """End the connection as a lost network does: without a word to the agent's application."""
        self._reply.close()
        self._client.close()

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for line in self._reply.iter_lines():
                name, _, value = line.partition(": ")
                if line and name:
                    fields[name] = value
                elif "event" in fields:
                    self._take(fields)
                    fields = {}
        except (httpx.HTTPError, OSError):
            pass
        self.ended.set()

    def _take(self, fields: dict[str, str]) -> None:
        data = json.loads(fields["data"])
        with self._came:
            self.events.append(Event(fields["event"], data, fields["id"], time.monotonic()))
            self._came.notify_all()
