"""The API key: made at the first start, readable by root only."""

from __future__ import annotations

import logging
import secrets
import stat

from backy_core.config.errors import ConfigurationError
from backy_core.system.own_files import OwnFile

LEAST = 32
"""Characters. Whoever has the key is root, and may guess as fast as the agent answers."""

log = logging.getLogger(__name__)


def load_or_make(file: OwnFile) -> str:
    """Read the key from ``file``, or make one if the file is absent. The key has no default.

    Raises :class:`ConfigurationError` for a file that cannot be read, or that does not hold
    exactly one key: making another one would lock every client out.
    """
    try:
        data = file.read()
    except OSError as error:
        raise ConfigurationError(
            f"The API key file {file.path} cannot be read: {error.strerror}"
        ) from error
    if data is None:
        return _make(file)
    _warn_of_readers(file)
    return _checked(data, file)


def _checked(data: bytes, file: OwnFile) -> str:
    key = data.strip()
    if not key:
        raise _unusable(file, "is empty")
    if not all(0x20 < character < 0x7F for character in key):
        raise _unusable(file, "holds more than one line of printable ASCII without blanks")
    if len(key) < LEAST:
        raise _unusable(file, f"holds a key of less than {LEAST} characters")
    return key.decode()


def _unusable(file: OwnFile, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"The API key file {file.path} {reason}",
        hint="Remove it to have a new key made, or make one: "
        f"(umask 077; openssl rand -hex 32 >{file.path})",
    )


def _warn_of_readers(file: OwnFile) -> None:
    if (mode := file.mode()) is not None and mode & stat.S_IROTH:
        log.warning("everyone can read %s; take that away: chmod o= %s", file.path, file.path)


def _make(file: OwnFile) -> str:
    key = secrets.token_urlsafe(32)
    file.directory.make(0o755)
    file.write(f"{key}\n".encode())
    log.warning("a new API key was made; it is in %s", file.path)
    return key
