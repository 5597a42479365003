"""Base of all wire models: camelCase names, strict types, no unknown fields."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from backy_core.sdk.errors import InvalidRequest

OWN_TYPE = "backy"
"""Type of the failures our own validators raise; their text is ours and is used as it is."""

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEALTH = ["active", "resync", "recovering", "check", "reshape", "degraded", "inactive", "failed"]
_MEMBER = [
    "active",
    "rebuilding",
    "spare",
    "failed",
    "missing",
    "disconnected",
    "stale",
    "diverged",
]


class RequestModel(BaseModel):
    """Something a client sends. Only its JSON names count."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        defer_build=True,
    )


class ReplyModel(BaseModel):
    """Something the agent answers, always dumped under its JSON names."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        defer_build=True,
    )


class RootReply(RootModel[Any]):
    """A reply that is an array or a union. Subclasses annotate ``root``: a type in brackets would
    make pydantic build another model at the import.
    """

    model_config = ConfigDict(defer_build=True)


class Success(ReplyModel):
    """A changing call did what was asked."""

    success: Literal[True] = True


class SuccessMessage(Success):
    """A changing call did what was asked, and says so to a person."""

    message: str


def broken_rule(rule: str) -> PydanticCustomError:
    """A validation failure in our own words: ``rule`` completes "<field> …"."""
    return PydanticCustomError(OWN_TYPE, "{rule}", {"rule": rule})


def absent(value: object) -> bool:
    """Condition under which an optional reply field is left out."""
    return value is None


def parse_guid(text: str) -> str:
    """A dashed GUID of 36 characters in lower case; raises :class:`InvalidRequest`."""
    if not _GUID.fullmatch(text):
        raise InvalidRequest(f"{text[:50]!r} is not a GUID", hint="GUIDs are dashed, 36 characters")
    return text.lower()


def _guid(text: str) -> str:
    try:
        return parse_guid(text)
    except InvalidRequest as problem:
        raise broken_rule("must be a dashed GUID of 36 characters") from problem


def _printable(text: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise broken_rule("must not contain control characters")
    return text


def percent(number: int) -> str:
    """An integer with a sign: clients parse the digits as an int."""
    return f"{number}%"


Guid = Annotated[str, AfterValidator(_guid), Field(json_schema_extra={"format": "uuid"})]
Text = Annotated[str, AfterValidator(_printable)]
Health = Annotated[str, Field(json_schema_extra={"enum": list[Any](_HEALTH)})]
MemberStatus = Annotated[str, Field(json_schema_extra={"enum": list[Any](_MEMBER)})]
Percent = Annotated[str, Field(json_schema_extra={"pattern": "^[0-9]+%$"})]
Time = datetime
