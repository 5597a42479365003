"""Versions of installed tools that are older than any that pools are tried with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from backy_core.operations import filesystems
from backy_core.pools.core import Core
from backy_core.sdk.models import Tool
from backy_core.system import release

_ASK_S = 10.0


class Outdated(NamedTuple):
    """``used``: a known pool needs the tool."""

    tool: Tool
    version: str
    used: bool


class ToolVersions:
    """Each tool is asked once. One that is too old is asked again, as it may be upgraded."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._answered: set[Tool] = set()

    async def outdated(self) -> tuple[Outdated, ...]:
        asked = [(tool, used, await self._version(tool)) for tool, used in self._tools()]
        return tuple(
            Outdated(tool, version, used)
            for tool, used, version in asked
            if version is not None and not release.reaches(version, tool.oldest or "")
        )

    def _tools(self) -> Iterator[tuple[Tool, bool]]:
        entries = self._core.metadata.entries()
        used = {entry.backend for entry in entries}
        for name, backend in self._core.host.backends.items():
            yield from ((tool, name in used) for tool in backend.info.tools)
        names = sorted({entry.filesystem or "" for entry in entries})
        known = (filesystems.known(name) for name in names if filesystems.is_known(name))
        yield from ((filesystem.tool, True) for filesystem in known)

    async def _version(self, tool: Tool) -> str | None:
        """None if it cannot be told, or was found new enough before."""
        programs = self._core.machine.programs
        tellable = tool.oldest and tool.version and programs.installed(tool.name)
        if tool in self._answered or not tellable:
            return None
        outcome = await programs.run((tool.name, *tool.version), check=False, timeout_s=_ASK_S)
        said = (outcome.stdout, outcome.stderr) if outcome.code == 0 else ()
        version = next(filter(None, map(release.named_in, said)), None)
        if version is None or release.reaches(version, tool.oldest or ""):
            self._answered.add(tool)
        return version
