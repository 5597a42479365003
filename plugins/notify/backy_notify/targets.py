"""Sending to one target by apprise, without a word of its secrets.

apprise is loaded with the first message: in an agent it takes 0.15 s and 18 MiB.
"""

from __future__ import annotations

import logging
import re
import threading
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pydantic import SecretStr

from backy_notify.alerts import Alert

if TYPE_CHECKING:
    from apprise import Apprise

_SHORTEST_SECRET = 3
_LOGGERS = ("apprise", "urllib3", "requests")
"""Of libraries whose lines hold addresses and tokens, at debug level above all."""


class Target:
    """A place that messages go to. ``name`` gives no secret away; ``key`` is its name on disk."""

    def __init__(self, number: int, url: SecretStr) -> None:
        self._url = url.get_secret_value()
        scheme = self._url.partition("://")[0]
        self.name = f"target {number} ({scheme})"
        self.key = sha256(self._url.encode()).hexdigest()
        self._secrets = _secrets(self._url)
        self._apprise: Apprise | None = None
        self._lock = threading.Lock()

    def prepare(self) -> Apprise:
        """Load what sending needs, if that was not done yet."""
        with self._lock:
            if self._apprise is None:
                self._apprise = _apprise(self._url)
            return self._apprise

    def send(self, alert: Alert) -> str | None:
        """Send now. Returns why it was not delivered; None: it was."""
        try:
            sender = self.prepare()
            if not len(sender):
                return "apprise does not understand the address."
            sent = sender.notify(
                alert.body, title=alert.title, notify_type=alert.type, body_format="text"
            )
            lines = [entry.message for entry in sent.logs()]
        except Exception as error:  # a defect of a service; the error's text may hold secrets
            return f"{type(error).__name__} in apprise."
        if sent:
            return None
        return self._without_secrets(lines[-1]) if lines else "apprise gave no reason."

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return " ".join(text.split())


def _apprise(url: str) -> Apprise:
    _silence()
    import apprise

    # Without async_mode it starts no threads of its own.
    asset = apprise.AppriseAsset(app_id="Backy", app_desc="Backy", async_mode=False)
    sender = apprise.Apprise(asset=asset)
    sender.add(url)
    return sender


@cache
def _silence() -> None:
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(logging.NullHandler())


def _secrets(url: str) -> tuple[str, ...]:
    """Every part of an address behind its scheme, the longest first: any may be a token."""
    parts = re.split(r"[/:@?&=#,]+", url.partition("://")[2])
    words = {word for part in parts for word in (part, unquote(part))}
    secrets = (word for word in words if len(word) >= _SHORTEST_SECRET)
    return tuple(sorted(secrets, key=len, reverse=True))
