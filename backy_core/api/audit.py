"""The line that a changing call leaves in the audit log. Never a key, and no reply."""

from __future__ import annotations

import json
from typing import TypedDict

from pydantic import BaseModel
from quart import Request, Response

from backy_core.api.messages import clipped
from backy_core.sdk.errors import BackyError
from backy_core.store.audit import AuditLog
from backy_core.store.keys import Caller

MOST_CHARACTERS = 4000
"""Of a request's body; a larger one is left out."""
_MOST_OF_A_PATH = 500
_PATIENCE_S = 1.0
_FAILURES = frozenset({"SYSTEM_ERROR", "INTERNAL_ERROR"})


class Asked(TypedDict):
    """The caller and the request."""

    key: str | None
    uid: int | None
    address: str | None
    method: str
    path: str


def asked(current: Request) -> tuple[str, str, str | None]:
    """A request as :class:`Call` takes it: method, path with query, and the client's address."""
    query = current.query_string.decode("latin-1")
    return current.method, f"{current.path}?{query}" if query else current.path, current.remote_addr


class Call:
    """One changing call, from the moment that its caller is known."""

    def __init__(self, log: AuditLog, caller: Caller, request: tuple[str, str, str | None]) -> None:
        """``request`` as :func:`asked` gives it."""
        method, path, address = request
        self.body: BaseModel | None = None
        """The checked body. Fields that hold a secret must be of pydantic's secret types."""
        self.operation: str | None = None
        """The id of the operation that does it."""
        self._log = log
        self._asked = Asked(
            key=caller.key,
            uid=caller.uid,
            address=address,
            method=clipped(method),
            path=clipped(path, _MOST_OF_A_PATH),
        )

    async def answered(self, response: Response) -> None:
        """Write how it ended, by the reply, which waits a moment for the disk: a crash after it
        takes no line away."""
        status, code = response.status_code, None
        if status >= 400:
            code = json.loads(await response.get_data())["error"]["code"]
        self._write(code, accepted=status == 202)
        await self._log.settle(_PATIENCE_S)

    def ended(self, error: BaseException | None) -> None:
        """Write how it ended after its client had disconnected."""
        code = getattr(error, "code", BackyError.code) if error else None
        self._write(code, client="disconnected")

    def _write(
        self, code: str | None, *, accepted: bool = False, client: str | None = None
    ) -> None:
        if code is None:
            outcome = "accepted" if accepted else "done"
        else:
            outcome = "failed" if code in _FAILURES else "refused"
        self._log.write(
            "call",
            **self._asked,
            body=self._shown_body(),
            outcome=outcome,
            code=code,
            operation=self.operation,
            client=client,
        )

    def _shown_body(self) -> object:
        if self.body is None:
            return None
        text = self.body.model_dump_json(exclude_unset=True, by_alias=True)
        return json.loads(text) if len(text) <= MOST_CHARACTERS else "too long"
