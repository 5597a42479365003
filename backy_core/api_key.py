"""The API key: made at the first start, readable by root only."""

from __future__ import annotations

import logging
import secrets

from backy_core.sdk.errors import SystemFailure
from backy_core.system.own_files import OwnFile

log = logging.getLogger(__name__)


def load_or_make(file: OwnFile) -> str:
    """The key in ``file``; made if there is no such file. There is no default key.

    Raises :class:`SystemFailure` for a file that is empty or cannot be read: making another
    key would lock every client out.
    """
    try:
        data = file.read()
        key = None if data is None else data.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SystemFailure(
            f"The API key file {file.path} cannot be read", details=str(error)
        ) from error
    if key is None:
        return _make(file)
    if not key:
        raise SystemFailure(
            f"The API key file {file.path} is empty", hint="Remove it to have a new key made"
        )
    return key


def _make(file: OwnFile) -> str:
    key = secrets.token_urlsafe(32)
    file.directory.make(0o755)
    file.write(f"{key}\n".encode())
    log.warning("a new API key was made; it is in %s", file.path)
    return key
