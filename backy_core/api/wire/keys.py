"""Access keys: what a client sends and what the agent answers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from backy_core.api.wire.base import ReplyModel, RequestModel, Success, Text, Time, broken_rule
from backy_core.store.keys import Scope

_SCOPES = [str(scope) for scope in Scope]


def _scope(value: str) -> str:
    if value not in _SCOPES:
        raise broken_rule(f"must be one of {', '.join(_SCOPES)}")
    return value


ScopeName = Annotated[
    str, AfterValidator(_scope), Field(json_schema_extra={"enum": list[Any](_SCOPES)})
]


class CreateKeyBody(RequestModel):
    """A key to make. Its name stands in the audit log, and cannot be changed."""

    name: Text
    scope: ScopeName


class KeyReply(ReplyModel):
    """An access key without its secret. ``last_used_at`` is noted once a minute at most."""

    name: str
    scope: str
    created_at: Time | None
    rotated_at: Time | None
    last_used_at: Time | None


class KeyList(ReplyModel):
    """The keys that are accepted."""

    keys: tuple[KeyReply, ...]


class SecretReply(Success):
    """A key and its secret, which is never shown again."""

    key: KeyReply
    secret: str
