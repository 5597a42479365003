"""The access keys and what each permits, kept as hashes in ``keys.json``.

A secret is 32 random bytes, so one SHA-256 of it is enough: nobody finds it by guessing, however
fast the hash. A slow one, made for passwords, would only cost every request its time.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple

from pydantic import Field

from backy_core.logs import Repeated
from backy_core.sdk.errors import Conflict, InvalidRequest, NotFound, SystemFailure
from backy_core.store import api_key
from backy_core.store.changes import Changes
from backy_core.store.remembered import Item, Remembered
from backy_core.system.clock import Clock
from backy_core.system.own_files import OwnFile

FILE_KEY = "api-key"
"""Name of the key that a file holds in plain text. It is an admin key, and always there."""
MOST_KEYS = 64
"""Each request is compared with every key."""
USE_NOTED_S = 60.0
"""A key's last use is written at most this often."""
_PREFIX = "backy_"
"""By it, programs that search for leaked secrets recognise a key."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Scope(StrEnum):
    """A set of permitted calls. Each scope includes those before it."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    def covers(self, needed: Scope) -> bool:
        return needed in _INCLUDED[self]


_INCLUDED = {scope: frozenset(tuple(Scope)[: rank + 1]) for rank, scope in enumerate(Scope)}


class Caller(NamedTuple):
    """The sender of a request: the bearer of a key, or a user of this machine by ``uid``."""

    scope: Scope
    key: str | None = None
    uid: int | None = None

    def __str__(self) -> str:
        return f"key {self.key}" if self.uid is None else f"uid {self.uid}"


class Key(Item):
    """One access key. The secret itself is not kept."""

    guid: str = Field(alias="name")
    scope: Scope
    digest: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the secret; None for the key of the file."""
    created_at: datetime | None = None
    rotated_at: datetime | None = None
    last_used_at: datetime | None = None

    @property
    def name(self) -> str:
        return self.guid


class Keys(Remembered[Key]):
    """The keys that are accepted. A change counts from the next request on.

    A damaged file is not replaced by its previous generation: that might let in a key that was
    revoked. The key of the file still opens.
    """

    list_key = "keys"
    noun = "key"
    keeps_previous = False
    model = Key

    def __init__(
        self, file: OwnFile, key_file: OwnFile, clock: Clock, changes: Changes | None = None
    ) -> None:
        super().__init__(file, clock, changes)
        self._key_file = key_file
        self._file_digest = b""
        self._accepted: tuple[object, tuple[tuple[bytes, Caller], ...]] = (None, ())
        self._note_from: dict[str, float] = {}
        self._notes: set[asyncio.Task[None]] = set()
        self._cannot_note = Repeated(logging.getLogger(__name__), logging.WARNING)

    def load(self) -> None:
        """Read both files; make the key file if it is absent.

        Raises also :class:`ConfigurationError`, as :func:`api_key.load_or_make`.
        """
        self.use(api_key.load_or_make(self._key_file))
        super().load()

    def use(self, secret: str) -> None:
        """Accept this secret as that of the key file."""
        self._file_digest = sha256(secret.encode()).digest()
        self._accepted = (None, ())

    def caller_of(self, secret: bytes) -> Caller | None:
        """The bearer of ``secret``. The time it takes does not tell how much of it is right."""
        return self.caller_of_digest(sha256(secret).digest())

    def caller_of_digest(self, digest: bytes) -> Caller | None:
        """The bearer of the secret with this SHA-256."""
        caller = None
        for accepted, bearer in self._digests():
            if hmac.compare_digest(digest, accepted):
                caller = bearer
        return caller

    def listed(self) -> tuple[Key, ...]:
        """Every key, that of the file first."""
        rest = tuple(key for key in self.entries() if key.name != FILE_KEY)
        return (self._of_file(), *rest)

    async def create(self, name: str, scope: Scope) -> tuple[Key, str]:
        """A new key and its secret, which is told only here."""
        if not _NAME.fullmatch(name):
            raise InvalidRequest(
                "A key's name has 1 to 63 letters, digits, dots, hyphens or underscores, "
                "and begins with a letter or a digit"
            )
        secret, digest = _make_secret()
        key = Key(guid=name, scope=scope, digest=digest, created_at=self._clock.now())

        def add(keys: dict[str, Key]) -> dict[str, Key]:
            if name in keys or name == FILE_KEY:
                raise Conflict(f"There is a key {name} already")
            if len(keys) >= MOST_KEYS:
                raise Conflict(f"There are {len(keys)} keys, and there cannot be more")
            return {**keys, name: key}

        await self._change(add)
        return key, secret

    async def rotate(self, name: str) -> tuple[Key, str]:
        """A new secret for a key; the old one is refused from now on."""
        secret, digest = _make_secret()
        changes = {"digest": digest, "rotated_at": self._clock.now()}
        if name == FILE_KEY:
            return await self._rotate_file(secret), secret
        await self._change(lambda keys: self._updated(keys, name, changes))
        return self._entries[name], secret

    async def _rotate_file(self, secret: str) -> Key:
        """Once the file has the new secret, nothing keeps the caller from being told it."""
        write = _writing(self._key_file, secret)
        await self._key_file.to_the_end(write, f"write {self._key_file.name}")
        self.use(secret)
        changes = {"rotated_at": self._clock.now()}
        await self._note(FILE_KEY, changes)
        return self._of_file().model_copy(update=changes)

    async def revoke(self, name: str) -> None:
        """Refuse a key from now on, and forget it."""
        if name == FILE_KEY:
            raise Conflict(
                f"The key in {self._key_file.path} cannot be revoked",
                hint="It is what lets the administrator in; rotate it",
            )

        def drop(keys: dict[str, Key]) -> dict[str, Key]:
            if name not in keys:
                raise _unknown(name)
            return {other: key for other, key in keys.items() if other != name}

        await self._change(drop)

    def note_use(self, name: str) -> None:
        """Have the time noted in a moment, unless that was done less than a minute ago."""
        now = self._clock.monotonic()
        if now < self._note_from.get(name, 0):
            return
        self._note_from[name] = now + USE_NOTED_S
        note = asyncio.create_task(self._note(name, {"last_used_at": self._clock.now()}))
        self._notes.add(note)  # the event loop itself keeps only weak references
        note.add_done_callback(self._notes.discard)

    async def _note(self, name: str, changes: Mapping[str, object]) -> None:
        """Remember what a key works without."""
        try:
            await self._change(lambda keys: self._updated(keys, name, changes))
        except NotFound:
            return  # revoked since
        except SystemFailure as error:
            self._cannot_note("The use of a key could not be noted: %s", error)

    def _updated(
        self, keys: dict[str, Key], name: str, changes: Mapping[str, object]
    ) -> dict[str, Key]:
        key = self._of_file() if name == FILE_KEY else keys.get(name)
        if key is None:
            raise _unknown(name)
        return {**keys, name: key.model_copy(update=changes)}

    def _of_file(self) -> Key:
        """The file's key has an entry once there is something to remember of it."""
        return self.get(FILE_KEY) or Key(guid=FILE_KEY, scope=Scope.ADMIN)

    def _digests(self) -> tuple[tuple[bytes, Caller], ...]:
        entries = self._entries  # read once: it is replaced in the thread that writes the file
        if self._accepted[0] is not entries:
            digests = [
                (bytes.fromhex(key.digest), Caller(key.scope, key=key.name))
                for key in entries.values()
                if key.digest is not None and key.name != FILE_KEY
            ]
            if self._file_digest:
                digests.append((self._file_digest, Caller(Scope.ADMIN, key=FILE_KEY)))
            self._accepted = (entries, tuple(digests))
        return self._accepted[1]


def _make_secret() -> tuple[str, str]:
    secret = _PREFIX + secrets.token_urlsafe(32)
    return secret, sha256(secret.encode()).hexdigest()


def _writing(file: OwnFile, secret: str) -> Callable[[], None]:
    return lambda: file.write(f"{secret}\n".encode())


def _unknown(name: str) -> NotFound:
    return NotFound(f"There is no key {name}")
