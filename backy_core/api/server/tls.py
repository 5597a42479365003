"""The certificate that the server shows, read anew when its files change."""

from __future__ import annotations

import asyncio
import logging
import ssl
import stat
from pathlib import Path

from backy_core.config.errors import ConfigurationError
from backy_core.system.machine import Threads

CHECK_S = 2.0
"""The files are looked at when a client connects, and no more often than this."""
_READ_S = 1.0
"""How long a client waits for the disk, before it gets the certificate that is in memory."""

log = logging.getLogger(__name__)
Stamp = tuple[tuple[int, int, int], ...]


class Certificate:
    """A certificate with its key, as a context for TLS.

    Files that cannot be used, such as half of a pair that is being replaced, change nothing.
    """

    def __init__(self, file: Path, key: Path | None, threads: Threads) -> None:
        """``key``: None if it is in ``file``. Raises :class:`ConfigurationError`."""
        self.problem: str | None = None
        """Why the newest files are not used."""
        self._file = file
        self._key = key
        self._threads = threads
        self._check_from = 0.0
        try:
            self._stamp: Stamp = self._read_stamp()
            self._context = self._make_context()
            _warn_of_readers(key or file)
        except OSError as error:  # among them ssl.SSLError
            raise ConfigurationError(
                f"The certificate cannot be used: {self._reason(error)}",
                hint="Correct tls_certificate and tls_key",
            ) from error

    async def context(self) -> ssl.SSLContext:
        """Of the newest files that can be used."""
        now = asyncio.get_running_loop().time()
        if now >= self._check_from:
            self._check_from = now + CHECK_S
            try:
                await self._threads.in_thread(self._renew, "read the certificate", _READ_S)
            except TimeoutError:
                self._fail(f"{self._file} does not answer")
        return self._context

    def _renew(self) -> None:
        try:
            stamp = self._read_stamp()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._context = self._make_context()
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                self._stamp = ()  # it may come back as it was
            self._fail(self._reason(error))
            return
        self.problem = None
        log.info("The certificate was read again from %s", self._file)

    def _fail(self, reason: str) -> None:
        if reason != self.problem:
            log.error("The certificate stays as it was: %s", reason)
        self.problem = reason

    def _read_stamp(self) -> Stamp:
        infos = [path.stat() for path in (self._file, self._key) if path is not None]
        return tuple((info.st_ino, info.st_size, info.st_mtime_ns) for info in infos)

    def _make_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self._file, self._key, password=_refuse_password)
        return context

    def _reason(self, error: OSError) -> str:
        files = " and ".join(str(path) for path in (self._file, self._key) if path is not None)
        if isinstance(error, ssl.SSLError):
            reason = (error.reason or "not a certificate and its key").replace("_", " ").lower()
            return f"{files}: {reason}"
        return f"{error.filename or files}: {error.strerror or error}"


def _refuse_password() -> str:
    """Instead of OpenSSL, which would ask at the terminal."""
    raise OSError("the key is encrypted")


def _warn_of_readers(key: Path) -> None:
    if key.stat().st_mode & stat.S_IROTH:
        log.warning("everyone can read %s; take that away: chmod o= %s", key, key)
