"""A listener that posts what happened to a web address, as JSON."""

import json
from urllib.request import Request, urlopen

from backy_core.sdk import hookimpl
from backy_core.sdk.events import OperationRecord, PoolChange

URL = "http://127.0.0.1:8080/backy"
TIMEOUT_S = 10


@hookimpl
def backy_operation_finished(operation: OperationRecord) -> None:
    _post({"event": "operation", **operation.model_dump(mode="json")})


@hookimpl
def backy_pool_changed(change: PoolChange) -> None:
    _post({"event": "pool", **change.model_dump(mode="json")})


def _post(event: dict[str, object]) -> None:
    request = Request(URL, json.dumps(event).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
        pass
