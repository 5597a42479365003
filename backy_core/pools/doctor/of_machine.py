"""Checks of the agent's surroundings: its files, tools, kernel, clock and namespace."""

from __future__ import annotations

from collections.abc import Iterator

from backy_core.operations import filesystems
from backy_core.pools.doctor.findings import Facts, Finding, Severity
from backy_core.pools.doctor.repairs import RemoveLeftover

MOST_JUMP_S = 60.0


class Tools:
    """Programs and plugins that are missing or too old."""

    name = "tools"

    def findings(self, facts: Facts) -> Iterator[Finding]:
        used = {entry.backend for entry in facts.core.metadata.entries()}
        for name, backend in facts.core.host.backends.items():
            missing = backend.missing_tools()
            if missing:
                packages = " ".join(dict.fromkeys(tool.package for tool in missing))
                yield Finding(
                    Severity.ERROR if name in used else Severity.INFO,
                    name,
                    f"Backend {name} lacks programs that it needs",
                    tuple(f"{tool.name} is not installed" for tool in missing),
                    f"apt-get install {packages}",
                )
        for tool, version, is_used in facts.outdated:
            yield Finding(
                Severity.WARNING if is_used else Severity.INFO,
                tool.name,
                f"{tool.name} {version} is too old: pools are made for {tool.oldest} and newer",
                (f"it is of the package {tool.package}",),
                f"Upgrade it, with the release of this system if need be: {tool.package}",
            )
        for plugin in facts.core.host.failed:
            yield Finding(
                Severity.ERROR if plugin.name in used else Severity.WARNING,
                plugin.name,
                f"Plugin {plugin.name} cannot be loaded",
                (plugin.reason,),
            )


class BlindBackends:
    """Backends that cannot inspect their pools."""

    name = "backends"

    def findings(self, facts: Facts) -> Iterator[Finding]:
        for name, problem in facts.snapshot.problems.items():
            message = f"Backend {name} cannot inspect its pools; what is shown of them is old"
            yield Finding(Severity.ERROR, name, message, (problem,))


class KernelModules:
    """Filesystems of pools that this kernel cannot mount."""

    name = "kernel-modules"

    def findings(self, facts: Facts) -> Iterator[Finding]:
        offered = facts.offered_filesystems
        if offered is None:
            return
        for entry in facts.core.metadata.entries():
            # Other filesystems are delivered by their backends.
            if filesystems.is_known(entry.filesystem) and entry.filesystem not in offered:
                yield Finding(
                    Severity.ERROR,
                    entry.guid,
                    f"Pool {entry.title} cannot be mounted: the kernel lacks {entry.filesystem}",
                    (f"Linux {facts.kernel} has no module {entry.filesystem}",),
                    "Install the package with the modules of the running kernel",
                )


class MountNamespace:
    """An agent whose mounts nobody sees."""

    name = "mount-namespace"

    def findings(self, facts: Facts) -> Iterator[Finding]:
        if facts.own_namespace:
            yield Finding(
                Severity.ERROR,
                "agent",
                "The agent runs in a mount namespace of its own",
                ("other programs may not see the pools that it mounts",),
                "Remove ProtectSystem=, PrivateTmp= and the like from its unit",
            )


class ClockJump:
    """A clock that was set while the agent ran."""

    name = "clock"

    def findings(self, facts: Facts) -> Iterator[Finding]:
        jump = facts.clock_jump_s
        if abs(jump) > MOST_JUMP_S:
            way = "forward" if jump > 0 else "back"
            yield Finding(
                Severity.WARNING,
                "clock",
                f"The clock went {way} by {abs(jump):.0f} s since the agent started",
                ("times of operations and keys from before it are off by that",),
                "Check the time synchronisation of this machine",
            )


class Leftovers:
    """Files of killed tools, because of which udev ignores arrays."""

    name = "leftovers"

    def findings(self, facts: Facts) -> Iterator[Finding]:
        for path in facts.leftovers:
            yield Finding(
                Severity.WARNING,
                str(path),
                f"{path} was left by a program that was killed",
                ("udev ignores the device that it names",),
                f"rm {path}",
                repair=RemoveLeftover(path),
            )


class OwnFiles:
    """Files of the agent that cannot be used or written."""

    name = "own-files"

    def findings(self, facts: Facts) -> Iterator[Finding]:
        for problem in facts.file_problems:
            yield Finding(
                Severity.ERROR, "agent", "A file of the agent needs attention", (problem,)
            )
