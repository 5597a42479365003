"""The table ``[plugins.notify]`` of ``backy.toml``."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from backy_core.sdk.settings import PluginSettings

EventName = Literal[
    "degraded", "drive_lost", "diverged", "operation_failed", "resync_done", "recovery"
]
EVENTS: tuple[EventName, ...] = get_args(EventName)

_URL = re.compile(r"[a-z][a-z0-9+.-]*://.+")


def _words(value: object) -> object:
    """A variable of the environment is one text: its words, then."""
    return value.split() if isinstance(value, str) else value


def _is_url(target: SecretStr) -> SecretStr:
    if not _URL.fullmatch(target.get_secret_value()):
        raise ValueError("a target is an apprise URL, such as mailto://HOST or json://HOST/PATH")
    return target


class Settings(PluginSettings):
    """The messages to send, and their targets. Without targets the plugin does nothing."""

    targets: Annotated[
        tuple[Annotated[SecretStr, AfterValidator(_is_url)], ...], BeforeValidator(_words)
    ] = Field((), description="Where messages go, as apprise URLs. They are kept secret.")
    events: Annotated[tuple[EventName, ...], BeforeValidator(_words)] = Field(
        EVENTS, description="The events to tell of."
    )
    debounce_s: float = Field(
        1, ge=0, le=3600, description="Seconds that a pool's state must last to be told."
    )
    host: str = Field("", description="The machine's name in messages; empty: its host name.")
    give_up_after_h: float = Field(
        72, gt=0, description="Hours after which an undelivered message is given up."
    )
