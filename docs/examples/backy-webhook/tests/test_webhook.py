"""The listener against a server that keeps what is posted to it."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.error import HTTPError

import backy_webhook
import pytest

from backy_core.sdk.events import OperationRecord, PoolChange
from backy_core.sdk.models import PoolReport

NOW = datetime(2026, 11, 29, 18, 20, tzinfo=UTC)
OPERATION = OperationRecord(
    id="4c1f",
    kind="unmount",
    pool_guid="3fa85f64-5717-4562-b3fc-2c963f66afa6",
    pool_label="shelf",
    outcome="failed",
    started_at=NOW,
    finished_at=NOW,
    step=1,
    steps=3,
    step_title="Unmounting",
    error_code="POOL_BUSY",
    error_message="target is busy",
)
REPORT = PoolReport(
    native_id=OPERATION.pool_guid,
    guid=OPERATION.pool_guid,
    level="raid1",
    presence="active",
    health="degraded",
    expected_members=2,
    members=(),
)
CHANGE = PoolChange(backend="mdadm", seen_at=NOW, before=None, after=REPORT)


class Server(HTTPServer):
    status = 204

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.posted: list[dict[str, object]] = []
        url = f"http://127.0.0.1:{self.server_port}/"
        self.settings = backy_webhook.Settings.model_validate({"url": url})


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.posted.append(json.loads(self.rfile.read(length)))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_an_operation_is_posted(server: Server) -> None:
    backy_webhook.backy_operation_finished(OPERATION, server.settings)
    (posted,) = server.posted
    assert (posted["event"], posted["outcome"]) == ("operation", "failed")
    assert posted["error_message"] == "target is busy"


def test_a_change_of_a_pool_is_posted(server: Server) -> None:
    backy_webhook.backy_pool_changed(CHANGE, server.settings)
    (posted,) = server.posted
    assert (posted["event"], posted["before"]) == ("pool", None)
    assert posted["after"] == REPORT.model_dump(mode="json")


def test_a_refusal_is_raised_for_the_agent_to_log(server: Server) -> None:
    server.status = 500
    with pytest.raises(HTTPError):
        backy_webhook.backy_operation_finished(OPERATION, server.settings)
