"""A web address and a mail server on loopback that can be down for a while."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

PATIENCE_S = 30.0
SECRET = "s3cr3t-t0ken"


class Received:
    """The messages that arrived, in order, as title and text."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.woken = threading.Condition()

    def keep(self, title: str, text: str) -> None:
        with self.woken:
            self.messages.append((title, text))
            self.woken.notify_all()

    def after(self, count: int) -> list[tuple[str, str]]:
        """The messages, once there are ``count``."""
        with self.woken:
            assert self.woken.wait_for(lambda: len(self.messages) >= count, PATIENCE_S)
            return list(self.messages)

    def until(self, true: Callable[[], bool]) -> None:
        with self.woken:
            assert self.woken.wait_for(true, PATIENCE_S)

    @property
    def titles(self) -> list[str]:
        return [title for title, _ in self.messages]


class Webhook:
    """Takes what apprise posts as JSON; ``status`` is its answer."""

    def __init__(self) -> None:
        self.received = Received()
        self.attempts = 0
        self.status = 200
        self.port = free_port()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}/{SECRET}"

    def up(self) -> Webhook:
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                webhook.take(posted)
                self.send_response(webhook.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def take(self, posted: dict[str, Any]) -> None:
        with self.received.woken:
            self.attempts += 1
            self.received.woken.notify_all()
        if self.status == 200:
            self.received.keep(posted["title"], posted["message"])

    def down(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Webhook:
        return self.up()

    def __exit__(self, *_: object) -> None:
        self.down()


class MailServer:
    """Takes mail by SMTP."""

    def __init__(self) -> None:
        self.received = Received()
        self.port = free_port()
        self._controller: Controller | None = None

    @property
    def url(self) -> str:
        return f"mailto://127.0.0.1:{self.port}?from=backy@nas.example&to=root@nas.example"

    def up(self) -> MailServer:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()
        return self

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.original_content, bytes)
        mail = message_from_bytes(envelope.original_content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        body = mail.get_body(("plain", "html"))
        assert body is not None
        self.received.keep(mail["Subject"], body.get_content())
        return "250 OK"

    def down(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def __enter__(self) -> MailServer:
        return self.up()

    def __exit__(self, *_: object) -> None:
        self.down()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
