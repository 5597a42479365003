"""A listener that posts what happened to a web address, as JSON."""

import json
from urllib.request import Request, urlopen

from pydantic import Field, HttpUrl

from backy_core.sdk import hookimpl
from backy_core.sdk.events import OperationRecord, PoolChange
from backy_core.sdk.settings import PluginSettings


class Settings(PluginSettings):
    url: HttpUrl = Field(description="The address to post to.")
    timeout_s: float = Field(10, gt=0, description="Seconds to wait for an answer.")


@hookimpl
def backy_settings() -> type[Settings]:
    return Settings


@hookimpl
def backy_operation_finished(operation: OperationRecord, settings: Settings) -> None:
    _post(settings, {"event": "operation", **operation.model_dump(mode="json")})


@hookimpl
def backy_pool_changed(change: PoolChange, settings: Settings) -> None:
    _post(settings, {"event": "pool", **change.model_dump(mode="json")})


def _post(settings: Settings, event: dict[str, object]) -> None:
    request = Request(  # noqa: S310  (HttpUrl lets no other scheme pass)
        str(settings.url), json.dumps(event).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=settings.timeout_s):  # noqa: S310
        pass
