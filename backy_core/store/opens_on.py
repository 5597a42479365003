"""The least versions that open a pool, as they are shown and remembered. Pure.

Nothing older than Debian 12, the oldest supported system, is ever promised. Each feature on the
drives that Debian 12 lacks asks for more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from backy_core.sdk.models import Requirement
from backy_core.system import release

OLDEST_KERNEL = "6.1"


class OpensOn(BaseModel):
    """The least versions that open a pool, as far as was ``checked``.

    ``kernel`` is None where a feature is in use of which nobody knows what opens it. ``tools`` are
    versions by package; ``because`` names the features that Debian 12 lacks.
    """

    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, defer_build=True
    )

    kernel: str | None = OLDEST_KERNEL
    tools: dict[str, str] = {}
    because: tuple[str, ...] = ()
    checked: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """Why it takes more than the oldest supported system; empty: it does not."""
        return "; ".join(self.because)


def opens_on(
    tools: Mapping[str, str], requirements: Iterable[Requirement], checked: Sequence[str]
) -> OpensOn:
    """Combine requirements. ``tools``: the versions of the oldest supported system."""
    needed = _beyond(tools, requirements)
    versions = dict(tools)
    for requirement in needed:
        if requirement.tool and requirement.tool_version:
            versions[requirement.tool] = _newest(
                versions.get(requirement.tool, ""), requirement.tool_version
            )
    kernel: str | None = OLDEST_KERNEL
    for requirement in needed:
        if requirement.kernel:
            kernel = _newest(kernel or "", requirement.kernel)
    if any(_unknown(requirement) for requirement in needed):
        kernel = None
    return OpensOn(
        kernel=kernel,
        tools=versions,
        because=tuple(dict.fromkeys(map(_told, needed))),
        checked=tuple(checked),
    )


def writable(running: str, requirements: Iterable[Requirement]) -> tuple[Requirement, ...]:
    """Those that the running Linux can put on a drive: it writes no feature that it lacks."""
    return tuple(
        requirement
        for requirement in requirements
        if requirement.kernel is None or release.reaches(running, requirement.kernel)
    )


def lacking(running: str, requirements: Iterable[Requirement]) -> tuple[Requirement, ...]:
    """Those that a machine with this Linux lacks: by the backend's word, else by the kernel they
    need."""
    return tuple(
        requirement for requirement in requirements if not _is_supported(requirement, running)
    )


def sentence(running: str, name: str, lacked: Sequence[Requirement]) -> str:
    """Why the pool called ``name`` cannot be opened by this Linux: what it uses, and what that
    needs."""
    features = " and ".join(dict.fromkeys(requirement.feature for requirement in lacked))
    linux = f"Linux {running}"
    least = _least(lacked)
    if least is None:
        tools = {requirement.tool for requirement in lacked if _unknown(requirement)} - {None}
        knows = f"the {' or '.join(sorted(map(str, tools)))} of this machine" if tools else linux
        return f"Pool {name} uses {features}, which neither this agent nor {knows} knows"
    needs = f"that needs {least} or newer"
    if any(requirement.kernel for requirement in lacked):
        needs += f", and this machine runs {linux}"
    return f"Pool {name} uses {features}; {needs}"


def _least(lacked: Sequence[Requirement]) -> str | None:
    """The least version that opens all of them; None: unknown."""
    kernel = ""
    tools: dict[str, str] = {}
    for requirement in lacked:
        if _unknown(requirement):
            return None
        if requirement.kernel:
            kernel = _newest(kernel, requirement.kernel)
        elif requirement.tool and requirement.tool_version:
            tools[requirement.tool] = _newest(
                tools.get(requirement.tool, ""), requirement.tool_version
            )
    known_needs = [f"Linux {kernel}"] if kernel else []
    return " and ".join((*known_needs, *(f"{tool} {version}" for tool, version in tools.items())))


def _beyond(tools: Mapping[str, str], requirements: Iterable[Requirement]) -> list[Requirement]:
    """Requirements beyond the oldest supported system."""
    return [
        requirement
        for requirement in requirements
        if _unknown(requirement)
        or (requirement.kernel and not release.reaches(OLDEST_KERNEL, requirement.kernel))
        or (
            requirement.tool_version
            and not release.reaches(tools.get(requirement.tool or "", ""), requirement.tool_version)
        )
    ]


def _is_supported(requirement: Requirement, running: str) -> bool:
    if requirement.supported is not None:
        return requirement.supported
    return requirement.kernel is None or release.reaches(running, requirement.kernel)


def _unknown(requirement: Requirement) -> bool:
    return requirement.kernel is None and requirement.tool_version is None


def _newest(first: str, second: str) -> str:
    return first if release.reaches(first, second) else second


def _told(requirement: Requirement) -> str:
    versions = [f"Linux {requirement.kernel}"] if requirement.kernel else []
    if requirement.tool and requirement.tool_version:
        versions.append(f"{requirement.tool} {requirement.tool_version}")
    return f"{requirement.feature}: {', '.join(versions) or 'not known what opens it'}"
