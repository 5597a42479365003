"""The API key: made at the first start, readable by root only."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

from backy_core.sdk.errors import SystemFailure
from backy_core.system import files

log = logging.getLogger(__name__)


def load_or_make(path: Path) -> str:
    """The key in ``path``; made if there is no such file. There is no default key.

    Raises :class:`SystemFailure` for a file that is empty or cannot be read: making another
    key would lock every client out.
    """
    try:
        key = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return _make(path)
    except (OSError, UnicodeDecodeError) as error:
        raise SystemFailure(
            f"The API key file {path} cannot be read", details=str(error)
        ) from error
    if not key:
        raise SystemFailure(
            f"The API key file {path} is empty", hint="Remove it to have a new key made"
        )
    return key


def _make(path: Path) -> str:
    key = secrets.token_urlsafe(32)
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    files.write_atomically(path, f"{key}\n".encode(), mode=0o600)
    log.warning("a new API key was made; it is in %s", path)
    return key
