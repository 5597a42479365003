"""Browsers that have signed in with a key, in memory only: a restart of the agent signs all out."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import cast

from quart import current_app

from backy_core.store.keys import Caller, Keys
from backy_core.system.clock import Clock

EXTENSION = "backy_sessions"
COOKIE = "backy-session"
MOST_SESSIONS = 256
"""The one unused for the longest makes room."""
IDLE_S = 12 * 3600.0
"""How long a session lasts after its last request."""


@dataclass
class _Session:
    key_digest: bytes
    """Of the key that opened it: once that is revoked or rotated, the session opens nothing."""
    used_at: float


class Sessions:
    """The sessions of one application, by the hash of their id."""

    def __init__(self, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._sessions: dict[bytes, _Session] = {}
        """Those that were used last come last."""

    def begin(self, secret: str) -> tuple[str, Caller] | None:
        """The id of a new session and its caller; None if no key has this secret."""
        digest = sha256(secret.encode()).digest()
        caller = self._keys.caller_of_digest(digest)
        if caller is None:
            return None
        while len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        session_id = secrets.token_urlsafe(32)
        self._sessions[_hash(session_id)] = _Session(digest, self._clock.monotonic())
        return session_id, caller

    def caller_of(self, session_id: str) -> Caller | None:
        """The bearer of the key that opened the session, with the key's scope."""
        hashed, now = _hash(session_id), self._clock.monotonic()
        session = self._sessions.pop(hashed, None)
        if session is None or now - session.used_at > IDLE_S:
            return None
        caller = self._keys.caller_of_digest(session.key_digest)
        if caller is not None:
            session.used_at = now
            self._sessions[hashed] = session
        return caller

    def end(self, session_id: str) -> None:
        """Idempotent."""
        self._sessions.pop(_hash(session_id), None)


def _hash(session_id: str) -> bytes:
    """So that the time a lookup takes tells nothing of other ids."""
    return sha256(session_id.encode("utf-8", "surrogatepass")).digest()


def sessions() -> Sessions:
    """The sessions of this application."""
    return cast("Sessions", current_app.extensions[EXTENSION])
