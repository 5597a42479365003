"""A backend's read-only access to the machine: files of procfs and sysfs, signatures, and its
declared read-only commands."""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from backy_core.machine.signature_cache import SignatureCache
from backy_core.sdk.errors import BackendFailure
from backy_core.sdk.layers import LayerInfo
from backy_core.sdk.models import BackendInfo, ProbedDrive, Signature
from backy_core.system.machine import Machine
from backy_core.system.outcome import CommandFailed, Outcome

_SUPERBLOCK = 4096
_READABLE = ("/proc/", "/sys/", "/run/")
_ANSWER_S = 3.0
"""How long procfs or one drive may keep an inspection waiting that can do without its answer."""


class MachineProbe:
    """One inspection of one backend. Implements :class:`backy_core.sdk.models.Probe`."""

    def __init__(
        self,
        info: BackendInfo | LayerInfo,
        drives: Sequence[ProbedDrive],
        signatures: Sequence[Signature],
        deadline_s: float,
        machine: Machine,
        cache: SignatureCache,
    ) -> None:
        self._machine = machine
        self._cache = cache
        self._info = info
        self._deadline_s = deadline_s
        self.drives = tuple(drives)
        self.signatures = tuple(signatures)

    async def read(self, *paths: str) -> tuple[str | None, ...]:
        """Read sysfs where it is called, in the backend's own thread: to change threads costs
        more. What procfs tells may have to wait for a drive."""
        return tuple([await self._text(self._allowed(path)) for path in paths])

    async def listdir(self, path: str) -> tuple[str, ...]:
        return tuple(sorted(self._machine.kernel.names_in(self._allowed(path))))

    async def superblock(self, signature: Signature, length: int) -> bytes | None:
        if signature not in self.signatures or signature.type not in self._info.signature_types:
            raise BackendFailure(f"Backend {self._info.name} may not read {signature}")
        length = min(length, _SUPERBLOCK)
        return await self._cache.superblock(
            signature, length, partial(self._read_superblock, signature, length)
        )

    async def _read_superblock(self, signature: Signature, length: int) -> bytes | None:
        node = f"/dev/{signature.device.replace('!', '/')}"
        read = partial(self._machine.contents.read_at, node, signature.offset, length)
        try:
            return await self._machine.threads.in_thread(
                read, f"read {signature.device}", _ANSWER_S
            )
        except (OSError, TimeoutError):
            return None

    async def run(self, *argv: str) -> Outcome:
        """Raises :class:`BackendFailure` for a command that was not declared, CommandFailed for
        one that did not end in time: what it has said by then is not the whole truth."""
        if not any(argv[: len(prefix)] == prefix for prefix in self._info.read_commands if prefix):
            raise BackendFailure(
                f"Backend {self._info.name} may not run {argv[0] if argv else 'nothing'} "
                "to inspect its pools",
                details=" ".join(argv),
                hint="Its first words must be one of BackendInfo.read_commands.",
            )
        outcome = await self._machine.programs.run(
            argv, check=False, timeout_s=self._deadline_s, cancel="term"
        )
        if outcome.timed_out:
            raise CommandFailed(f"{argv[0]} gave no answer", outcome)
        return outcome

    async def _text(self, path: Path) -> str | None:
        read = partial(self._machine.kernel.read_whole, path)
        if not path.is_relative_to("/proc"):
            return read()
        return await self._machine.threads.in_thread(read, f"read {path}", _ANSWER_S)

    def _allowed(self, path: str) -> Path:
        if not path.startswith(_READABLE) or os.path.normpath(path) != path.rstrip("/"):
            raise BackendFailure(f"Backend {self._info.name} may not read {path}")
        return Path(path)
