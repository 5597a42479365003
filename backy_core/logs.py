"""Logging to standard error: for people, for the journal, or as JSON.

Under systemd the journal adds the time and reads a ``<N>`` prefix as the priority
(``sd-daemon(3)``), so text lines carry that instead of a time of their own.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, TextIO

from backy_core.system.text import escaped

LogFormat = Literal["text", "json"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}


def configure_logging(
    level: str,
    log_format: LogFormat,
    stream: TextIO | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Send everything from ``level`` on to ``stream`` (standard error), replacing handlers."""
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(_formatter(log_format, target, env or {}))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # asyncio names each selector at debug level; nobody asks for that.
    logging.getLogger("asyncio").setLevel(max(logging.INFO, root.level))


class Repeated:
    """Logs what anyone can cause over and over: at once, then at most once in ``every_s``."""

    def __init__(self, logger: logging.Logger, level: int, every_s: float = 60) -> None:
        self._logger = logger
        self._level = level
        self._every_s = every_s
        self._next = 0.0
        self._unsaid = 0

    def __call__(self, message: str, *values: object) -> None:
        now = time.monotonic()
        if now < self._next:
            self._unsaid += 1
            return
        if self._unsaid:
            message, values = f"{message} (and %d times more before)", (*values, self._unsaid)
        self._next, self._unsaid = now + self._every_s, 0
        self._logger.log(self._level, message, *values)


class TextFormatter(logging.Formatter):
    """``TIME LEVEL logger: message``, always one line."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{moment} {record.levelname:<7} {_line(self, record)}"


class JournalFormatter(logging.Formatter):
    """The same without the time; it opens with its priority."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_PRIORITIES.get(record.levelname, 6)}>"
        return prefix + _line(self, record)


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message, the ``extra`` fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        extras = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **extras,
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        # Of ASCII, JSON itself leaves DEL alone.
        return json.dumps(entry, default=str).replace("\x7f", "\\u007f")


def _line(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    """A label, a tool's output or an error with a line break must not forge a second entry."""
    text = f"{record.name}: {record.getMessage()}"
    if record.exc_info:
        text = f"{text}\n{formatter.formatException(record.exc_info)}"
    return escaped(text)


def _formatter(log_format: LogFormat, stream: TextIO, env: Mapping[str, str]) -> logging.Formatter:
    if log_format == "json":
        return JsonFormatter()
    return JournalFormatter() if _is_journal(stream, env) else TextFormatter()


def _is_journal(stream: TextIO, env: Mapping[str, str]) -> bool:
    """systemd sets ``JOURNAL_STREAM`` to DEVICE:INODE of the stream (``systemd.exec(5)``)."""
    try:
        stat = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return env.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"
